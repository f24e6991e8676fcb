"""A live session: camera, masks, poses and viewer as processes of one graph."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType

import rclpy
from rclpy.context import Context

from sdfpose_core.errors import ConfigurationError, SdfposeError
from sdfpose_core.messages.decoding import InputTopics
from sdfpose_core.viewer.address import Address
from sdfpose_ros.graph.arguments import parameter_arguments
from sdfpose_ros.graph.process_group import ProcessGroup, ros_child_environment
from sdfpose_ros.graph.topics import result_remaps, topic_of
from sdfpose_ros.live.cameras import LiveCamera, camera_topics
from sdfpose_ros.live.monitor import LiveSummary, Monitor

__all__ = ["GIVEN", "LiveError", "LiveOptions", "run_live"]

GIVEN = "given"
"""The masks are those that the camera comes with."""

_POSE_NODE = "/sdfpose"
_MASK_NODE = "/sdfpose_masks"
_SIMULATION_TIME = {"use_sim_time": True}

_POLL_S = 0.1
_SEARCH_S = 10.0
"""Longest wait for the topics of a running camera."""

_STALL_S = 90.0
"""Longest wait for the first result while the pose node is ready and has nothing to do. To load and
to compute, it may take any time on a busy machine."""

_DRAIN_S = 3.0
"""After the last image, the session ends when there was no result for this long."""


class LiveError(SdfposeError):
    """A process of the session failed, or the camera was not found."""


@dataclass(frozen=True)
class LiveOptions:
    """Options of a session.

    Attributes:
        camera: where the images come from.
        masks: `GIVEN`, or the backend of the mask node; empty for the given ones if there are any,
            else objects on a table.
        category: category of all masks, ``any`` to let the pose node find it; empty for the labels.
        device: of the networks.
        packs: packs of categories, or folders of packs, beside the shipped ones.
        domain: ROS domain.
        log_dir: folder for the logs of the processes.
        viewer: address of the viewer; None for none.
        record: MCAP file to write; None for none.
        seconds: duration from the first result; None until the user ends it or the camera does.
    """

    camera: LiveCamera
    domain: int
    log_dir: Path
    masks: str = ""
    category: str = ""
    device: str = "auto"
    packs: tuple[str, ...] = ()
    viewer: Address | None = None
    record: Path | None = None
    seconds: float | None = None


def run_live(
    options: LiveOptions, log: Callable[[str], None], status: Callable[[str], None]
) -> LiveSummary:
    """Run a session until its time is over, the camera or the user ends it.

    SIGINT and SIGTERM end it: all processes stop, and the recording is complete.

    Args:
        options: options of the session.
        log: shows a line to the user.
        status: shows the present state, a few times a second.

    Raises:
        LiveError: a process failed; the message ends with its last words.
        SdfposeError: the topics of the camera cannot be used, or the recording not be written.
    """
    started_s = time.monotonic()
    context = Context()
    rclpy.init(args=[], context=context, domain_id=options.domain)
    try:
        monitor = Monitor(context, started_s)
        environment = ros_child_environment({"ROS_DOMAIN_ID": str(options.domain)})
        with _interruptible() as stopped, ProcessGroup(options.log_dir, environment) as group:
            session = _Session(options, monitor, group, log, stopped)
            try:
                session.run(status)
            finally:
                group.stop()
                monitor.close()
        return monitor.summary()
    finally:
        context.try_shutdown()


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Note SIGINT and SIGTERM instead of raising; yield whether one has come."""
    came: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)

    before = {x: signal.signal(x, note) for x in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Session:
    """Starts the processes and waits for the end."""

    def __init__(
        self,
        options: LiveOptions,
        monitor: Monitor,
        group: ProcessGroup,
        log: Callable[[str], None],
        stopped: Callable[[], bool],
    ) -> None:
        self._options = options
        self._monitor = monitor
        self._group = group
        self._log = log
        self._stopped = stopped
        self._to_announce = options.viewer
        self._viewer_ended = False

    def run(self, status: Callable[[str], None]) -> None:
        camera = self._options.camera
        process = camera.process
        topics = camera.topics or self._find_topics(camera)
        if topics is None:
            return  # interrupted
        masks = self._options.masks or (GIVEN if topics.mask else "network")
        inputs = self._with_masks(topics, masks)
        self._start_nodes(inputs, masks)
        self._monitor.listen(inputs.camera_info, topic_of(_POSE_NODE, "objects"))
        if self._options.record is not None:
            self._monitor.record(
                self._options.record, _transported(inputs, camera.parameters), _POSE_NODE
            )
        if process is not None and (process.waits or self._wait_for_subscribers(inputs, masks)):
            self._group.start_node("camera", process.module, ["--ros-args", *process.arguments])
        self._wait(status)

    def _find_topics(self, camera: LiveCamera) -> InputTopics | None:
        """Look for the topics of a running camera; None if the user ends the search.

        Raises:
            LiveError: there are none, or several that fit.
        """
        self._log(f"live: looking for the topics of {camera.namespace}")
        end = time.monotonic() + _SEARCH_S
        while True:
            self._monitor.spin(0.5)
            if self._stopped():
                return None
            found = {x: kinds[0] for x, kinds in self._monitor.node.get_topic_names_and_types()}
            try:
                return camera_topics(found, camera)
            except SdfposeError as error:
                if time.monotonic() > end:
                    raise LiveError(
                        f"no camera in the namespace {camera.namespace} after {_SEARCH_S:.0f} s: "
                        f"{error} (is its driver running in this ROS_DOMAIN_ID, "
                        f"{self._options.domain}, and with the same middleware settings?)"
                    ) from error

    def _with_masks(self, topics: InputTopics, masks: str) -> InputTopics:
        """The inputs of the pose node.

        Raises:
            ConfigurationError: the camera has no masks, or the mask node cannot read its images.
        """
        if masks == GIVEN:
            if not topics.mask:
                raise ConfigurationError(
                    "--masks given: the camera has no topic for masks: let --masks network or "
                    "tabletop make them"
                )
            return topics
        transports = self._options.camera.parameters
        if any(x in transports for x in ("colour_transport", "depth_transport")):
            raise ConfigurationError(
                f"--masks {masks}: the mask node reads no compressed images: expected raw ones, or "
                "the masks of the bag (--masks given)"
            )
        made = {x: topic_of(_MASK_NODE, x) for x in ("mask", "labels")}
        return replace(topics, **made)

    def _start_nodes(self, inputs: InputTopics, masks: str) -> None:
        options, camera = self._options, self._options.camera
        time_source = _SIMULATION_TIME if camera.sim_time else {}
        remaps = _remaps(asdict(inputs))
        rules = {"category": options.category} if options.category else {}
        networks = {"device": options.device, "weights_dirs": options.packs}
        transports = dict(camera.parameters)
        if masks != GIVEN:
            transports.pop("mask_transport", None)
        self._group.start_node(
            "node",
            "sdfpose_ros.pose.pose_node",
            [
                "--ros-args", *remaps,
                *parameter_arguments(**networks, **rules, **transports, **time_source),
            ],
        )  # fmt: skip
        if masks != GIVEN:
            self._group.start_node(
                "masks",
                "sdfpose_ros.masks.mask_node",
                [
                    "--ros-args", *remaps,
                    *parameter_arguments(backend=masks, **networks, **time_source),
                ],
            )  # fmt: skip
        if options.viewer is not None:
            shown = _remaps(_transported(inputs, camera.parameters))
            self._group.start_node(
                "viewer",
                "sdfpose_ros.viewer.viewer_node",
                [
                    "--ros-args", *shown, *result_remaps(_POSE_NODE),
                    *parameter_arguments(
                        host=options.viewer.host, port=options.viewer.port, **time_source
                    ),
                ],
            )  # fmt: skip

    def _poll(self) -> bool:
        """Receive messages for a moment; return whether the camera has ended as it should.

        Raises:
            LiveError: a process has ended that should not.
        """
        self._monitor.spin(_POLL_S)
        viewer = self._to_announce
        if viewer is not None and self._viewer_listens():
            self._to_announce = None
            for line in viewer.lines():
                self._log(line)
        return self._check()

    def _viewer_listens(self) -> bool:
        """Whether the page is there: the viewer node subscribes after it has started its server."""
        own = 1 if self._options.record is not None else 0
        return self._monitor.node.count_subscribers(topic_of(_POSE_NODE, "meshes")) > own

    def _wait_for_subscribers(self, inputs: InputTopics, masks: str) -> bool:
        """Wait until the nodes have subscribed; return whether the session goes on."""
        topics = _transported(inputs, self._options.camera.parameters)
        wanted = 1 if masks == GIVEN else 2  # the mask node reads the images too
        names = [topics["colour"], topics["depth"]]
        own = 1 if self._options.record is not None else 0
        while not self._stopped():
            self._poll()
            viewers = 0 if self._options.viewer is None or self._viewer_ended else 1
            if all(
                self._monitor.node.count_subscribers(x) >= wanted + own + viewers for x in names
            ):
                return True
        return False

    def _wait(self, status: Callable[[str], None]) -> None:
        """Wait for the end of the session."""
        options, monitor = self._options, self._monitor
        first_s: float | None = None
        while not self._stopped():
            camera_ended = self._poll()
            status(monitor.line())
            last_s, now = monitor.last_result_s, time.monotonic()
            if first_s is None and last_s is not None:
                first_s = last_s
                self._log(f"live: first result after {monitor.age_s(last_s):.1f} s")
            if options.seconds is not None:
                if first_s is not None and now - first_s >= options.seconds:
                    return
                if first_s is None and monitor.idle_s(now) > _STALL_S:
                    raise LiveError(
                        f"no result: the pose node has waited for {_STALL_S:.0f} s and says "
                        f"'{monitor.node_message}': expected images with masks that it can use; "
                        f"see the logs in {options.log_dir}"
                    )
            if camera_ended and (last_s is None or now - last_s > _DRAIN_S):
                return

    def _check(self) -> bool:
        """Return whether the camera has ended as it should.

        Raises:
            LiveError: a process has ended that should not.
        """
        ended = self._group.ended()
        process = self._options.camera.process
        if process is not None and process.ends and ended.get("camera") == 0:
            del ended["camera"]
            if not ended.keys() - {"viewer"}:
                return True
        if self._stopped():  # an interrupt reaches the children, too
            return False
        viewer = ended.pop("viewer", None)
        if viewer is not None and not self._viewer_ended:
            self._viewer_ended, self._to_announce = True, None
            self._log(
                f"live: the viewer ended with status {viewer}, the others go on: start the command "
                f"again to see them; {self._group.last_words('viewer')}"
            )
        for name, state in ended.items():
            raise LiveError(
                f"the process '{name}' ended with status {state} (log: "
                f"{self._group.log_path(name)}): {self._group.last_words(name)}"
            )
        return False


def _remaps(topics: Mapping[str, str]) -> list[str]:
    return [part for k, v in topics.items() if v for part in ("-r", f"~/{k}:={v}")]


def _transported(inputs: InputTopics, parameters: Mapping[str, str]) -> dict[str, str]:
    """The topics by role, compressed images with the name of their own topic."""
    return {
        role: f"{topic}/{parameters[f'{role}_transport']}"
        if f"{role}_transport" in parameters
        else topic
        for role, topic in asdict(inputs).items()
    }
