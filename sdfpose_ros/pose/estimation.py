"""Processing of frames in worker threads: decode the messages, make masks, track, publish."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from rclpy.node import Node
from std_msgs.msg import Header

from sdfpose_core.categories import Categories
from sdfpose_core.errors import ConfigurationError, SdfposeError, WeightsError
from sdfpose_core.masks.instance_mask import InstanceMask
from sdfpose_core.messages.decoding import InputTopics, LabelRules
from sdfpose_core.messages.input_checks import checked_frame
from sdfpose_core.messages.label_rules import nameable_categories, parse_label_rules
from sdfpose_core.messages.synchronizer import FrameMessages
from sdfpose_core.observation.frame import ObjectEstimate, RgbdFrame, SkippedInstance
from sdfpose_core.packs.collection import Packs
from sdfpose_ros.graph.pipeline import NewestPipeline
from sdfpose_ros.graph.throttle import ThrottledLog
from sdfpose_ros.graph.worker import NewestWorker
from sdfpose_ros.pose.diagnostics import FrameCounts
from sdfpose_ros.pose.grasps import Grasps
from sdfpose_ros.pose.gravity import Gravity
from sdfpose_ros.pose.made_masks import MadeMasks
from sdfpose_ros.pose.parameters import PoseNodeParameters
from sdfpose_ros.pose.publishers import ResultPublisher
from sdfpose_ros.pose.world_frame import WorldFrame

if TYPE_CHECKING:
    from sdfpose_core.sdf.shape_decoder import ShapeDecoder
    from sdfpose_core.tracking.tracker import TrackerResult

__all__ = ["Estimation", "FrameTracker", "TrackerFactory", "make_tracker"]

_PATIENCE_S = 0.02
"""A frame is dropped if the next one is due within this time."""

_MAX_SKIPPED_LOGGED = 5
"""Largest number of instances without an estimate that one warning lists."""

_STOP_S = 10.0
"""Longest wait for the last frame when the node is deactivated..."""

_END_S = 3.0
"""...and when the process ends, which has to be quick."""


class FrameTracker(Protocol):
    """Interface of the tracker that the node uses."""

    @property
    def device(self) -> str:
        """Device of the networks."""
        ...

    def decoder(self, category: str) -> ShapeDecoder:
        """Decoder of a category's shapes."""
        ...

    def prepare(self, *, wait: bool = True) -> None:
        """Do the work up front that would slow down the first images."""
        ...

    def followed(self, frame: RgbdFrame) -> Sequence[ObjectEstimate]:
        """Predict the objects that claim their pixels in the masks of the next frame."""
        ...

    def step(self, frame: RgbdFrame) -> TrackerResult:
        """Estimate and track the objects of one frame."""
        ...

    def reset(self) -> None:
        """Forget all objects."""
        ...

    def close(self) -> None:
        """Stop the background work. `prepare` starts it again."""
        ...


TrackerFactory = Callable[[PoseNodeParameters, Packs, Callable[[str], object]], FrameTracker]


def make_tracker(
    parameters: PoseNodeParameters, packs: Packs, warn: Callable[[str], object]
) -> FrameTracker:
    """Create the tracker and load the weights of the categories that labels can name.

    Args:
        parameters: parameters of the pose node.
        packs: of all known categories.
        warn: called with a message for each category whose weights cannot be loaded.

    Raises:
        SdfposeError: the device is not usable, or no category has usable weights.
    """
    # Imported here because torch takes seconds to load and tests of the node do without it.
    from sdfpose_core.device import set_threads
    from sdfpose_core.estimation.estimator import EstimatorConfig, PoseEstimator
    from sdfpose_core.tracking.tracker import Tracker, TrackerConfig

    set_threads(parameters.threads, considerate=True)
    config = EstimatorConfig(
        encoder=parameters.encoder,
        refine=parameters.refine,
        device=parameters.device,
        upright=parameters.upright,
        category_trust=parameters.category_trust,
        min_known=parameters.min_known,
        colour=parameters.colour,
    )
    estimator = PoseEstimator(config, packs)
    rules = parse_label_rules(parameters.category, parameters.mask_categories, packs.categories)
    names = nameable_categories(rules, packs.categories)
    failures = []
    for category in names:
        try:
            estimator.load(category)
        except WeightsError as error:
            failures.append(error)
            warn(f"category '{category}' is disabled: {error}")
    if len(failures) == len(names):
        raise WeightsError(f"no category has usable weights: {failures[0]}")
    return Tracker(
        estimator, TrackerConfig.live(estimator.device, wait=parameters.wait_for_verification)
    )


class _Work(NamedTuple):
    """The messages of a frame and what is needed to decode them."""

    camera: str
    messages: FrameMessages
    topics: InputTopics
    rules: LabelRules | None
    depth_unit: float | None


class _Image(NamedTuple):
    """A decoded frame.

    Attributes:
        work: what it was decoded from.
        frame: the frame.
        found: its masks before the claims; None if they came with the frame.
        masks_s: time that they took, seconds.
    """

    work: _Work
    frame: RgbdFrame
    found: InstanceMask | None
    masks_s: float


class Estimation:
    """Processes the newest frame and publishes the results.

    If the node makes the masks, those of the next frame are found in a second thread while the
    poses of this one are estimated.

    An error in one frame is logged; processing goes on with the next frame.

    Args:
        node: provides the logger.
        tracker: estimates and tracks the objects.
        publisher: publishes the results.
        categories: known categories.
        on_processed: called with the header and the result of each processed frame.
        gravity: finds the direction of gravity.
        log: throttled log for problems that may repeat with every frame.
        masks: by camera, makes the masks; empty if they come with the frames.
        grasps: looks for grasps; None if none are wanted.
        world: finds the pose of the camera in the world, in which the objects are then tracked;
            images for which it is missing are dropped. None to track them in the camera frame.

    Attributes:
        enabled: whether frames are processed; if not, they are ignored.
        ignored: number of frames that arrived while disabled.
        worker: the worker threads and their frame counts.
    """

    def __init__(
        self,
        node: Node,
        tracker: FrameTracker,
        publisher: ResultPublisher,
        categories: Categories,
        on_processed: Callable[[Header, TrackerResult], None],
        gravity: Gravity,
        log: ThrottledLog,
        masks: Mapping[str, MadeMasks] | None = None,
        grasps: Grasps | None = None,
        world: WorldFrame | None = None,
    ) -> None:
        self._node = node
        self.tracker = tracker
        self._publisher = publisher
        self._categories = categories
        self._on_processed = on_processed
        self._gravity = gravity
        self._log = log
        self._masks = masks or {}
        self._camera_of: dict[str, str] = {}  # by frame id
        self._grasps = grasps
        self._world = world
        self._last_header = Header()
        self._closed = False
        self._reported_first = False
        self.enabled = True
        self.ignored = 0
        self.worker: NewestWorker[_Work] | NewestPipeline[_Work, _Image]
        if not masks:
            self.worker = NewestWorker(
                self._process, self.log_error, "estimation", patience_s=_PATIENCE_S
            )
        else:
            self.worker = NewestPipeline(
                self._decode, self._estimate, self.log_error, "estimation", patience_s=_PATIENCE_S
            )

    def submit(
        self,
        messages: FrameMessages,
        topics: InputTopics,
        rules: LabelRules | None,
        depth_unit: float | None = None,
        camera: str = "",
    ) -> None:
        """Hand a frame to the worker and return at once.

        Args:
            messages: messages of the frame.
            topics: topics of the messages.
            rules: categories of the mask ids; None to take them from the labels message.
            depth_unit: metres per unit of depth; None for the default of the encoding.
            camera: name of the camera. The cameras take turns.
        """
        if self.enabled:
            self.worker.submit(_Work(camera, messages, topics, rules, depth_unit), camera)
        else:
            self.ignored += 1

    def forget(self) -> None:
        """Forget all objects before the next frame. Returns at once."""
        self.worker.interrupt(self._forget)

    def counts(self) -> FrameCounts:
        """Return the frame counts."""
        worker = self.worker
        return FrameCounts(
            worker.submitted + self.ignored,
            worker.processed,
            worker.failed,
            worker.replaced,
            self.ignored,
        )

    def pause(self) -> None:
        """Forget all objects, wait until the worker is idle, and stop the background work.

        Raises:
            SdfposeError: the last frame takes too long.
        """
        self.forget()
        if not self.worker.wait_idle(_STOP_S):
            raise SdfposeError(
                f"the last frame is still being processed after {_STOP_S:.0f} s: try again later"
            )
        self.tracker.close()

    def close(self) -> None:
        """Stop the worker thread and the background work. Nothing is published afterwards."""
        self._closed = True
        if not self.worker.stop(_END_S):
            self._node.get_logger().warning(
                "the worker is still processing its last frame: not waiting for it"
            )
        self.tracker.close()

    def log_error(self, error: Exception) -> None:
        """Log an error. May be called from any thread."""
        # After the end in the middle of a frame, publishing fails.
        if not self._closed and self._node.context.ok():
            self._log.failure(error)

    def _process(self, work: _Work) -> None:
        self._estimate(self._decode(work))

    def _decode(self, work: _Work) -> _Image:
        camera, messages, topics, rules, depth_unit = work
        self._check_frame_id(camera, messages.colour.header.frame_id)
        self._last_header = messages.colour.header
        frame, warnings = checked_frame(
            messages,
            rules,
            topics,
            self._categories,
            depth_unit=depth_unit,
            up=self._gravity(messages.colour.header),
        )
        for x in warnings:
            self._log.warning(x.kind, x.text)
        if self._world is not None:
            frame = replace(frame, camera_pose=self._world(messages.colour.header))
        start_s = time.monotonic()
        found = self._masks[camera].find(frame) if self._masks else None
        return _Image(work, frame, found, time.monotonic() - start_s)

    def _check_frame_id(self, camera: str, frame_id: str) -> None:
        """Refuse images of two cameras in one frame: they would have one pose."""
        other = self._camera_of.setdefault(frame_id, camera)
        if other != camera:
            raise ConfigurationError(
                f"the cameras '{other}' and '{camera}' both publish images in the frame "
                f"'{frame_id}': expected a frame for each camera, such as '{camera}_optical_frame'"
            )

    def _estimate(self, image: _Image) -> None:
        work, frame, found, masks_s = image
        header = work.messages.colour.header
        start_s = time.monotonic()
        stage_ms = {}
        if found is not None:
            followed = self.tracker.followed(frame)
            frame = self._masks[work.camera].masked(frame, found, followed, work.rules, header)
            stage_ms["masks"] = 1e3 * (masks_s + time.monotonic() - start_s)
        result = self.tracker.step(frame)
        result = replace(result, stage_ms=stage_ms | result.stage_ms)
        if self._closed:
            return
        if result.tracks and not self._reported_first:
            self._reported_first = True
            self._node.get_logger().info(
                f"first result: {len(result.tracks)} object(s) after "
                f"{masks_s + time.monotonic() - start_s:.1f} s"
            )
        self._publisher.publish(frame, header, result)
        if self._grasps is not None:
            self._grasps.submit(header, result)
        self._on_processed(header, result)
        for x in result.warnings:
            self._log.warning(x.kind, x.text)
        self._log_skipped(work.topics.mask, result.skipped)

    def _forget(self) -> None:
        self.tracker.reset()
        self._camera_of.clear()
        for masks in self._masks.values():
            masks.forget()
        self._publisher.clear(self._last_header)

    def _log_skipped(self, topic: str, skipped: Sequence[SkippedInstance]) -> None:
        failed = [s for s in skipped if not s.rejected]
        due = [s for s in failed if self._log.due(("skipped", s.mask_id, s.category))]
        if not due:
            return
        reasons = "; ".join(s.reason for s in due[:_MAX_SKIPPED_LOGGED])
        more = (
            f"; and {len(due) - _MAX_SKIPPED_LOGGED} more" if len(due) > _MAX_SKIPPED_LOGGED else ""
        )
        self._node.get_logger().warning(
            f"{topic}: {len(failed)} instance(s) without an estimate: {reasons}{more}"
        )
