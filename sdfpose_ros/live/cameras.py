"""Cameras of `sdfpose live`: which process publishes the images, and on which topics.

A camera is named as ``NAME`` or ``NAME:ARGUMENT``. A further one is a function in `CAMERAS` that
returns its process and its topics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from sdfpose_core.cameras.makers import MAKERS, require_package
from sdfpose_core.datasets.bag_reader import Connection
from sdfpose_core.datasets.bags import find_topics, is_bag, open_bag
from sdfpose_core.datasets.folder import frame_folders, holds_frames
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.messages.decoding import InputTopics
from sdfpose_ros.graph.arguments import parameter_arguments
from sdfpose_ros.graph.topics import CAMERA_DRIVER, DRIVER_TOPICS, topic_of

__all__ = [
    "CAMERAS",
    "CameraOptions",
    "CameraProcess",
    "LiveCamera",
    "camera_topics",
    "live_camera",
]

_DRIVER = "sdfpose_ros.cameras.camera_driver_node"

_RECORDINGS = (".bag", ".db3")
"""Files of librealsense."""

_TRANSPORTS = ("compressedDepth", "compressed")


@dataclass(frozen=True)
class CameraProcess:
    """The process that publishes the images.

    Attributes:
        module: module with the node's ``main``.
        arguments: ROS arguments of the node.
        waits: whether it waits by itself until all images are subscribed to. If not, it is started
            once they are.
        ends: whether it ends by itself after its last image.
    """

    module: str
    arguments: tuple[str, ...]
    waits: bool = True
    ends: bool = False


@dataclass(frozen=True)
class LiveCamera:
    """A camera.

    Attributes:
        topics: its topics; the topic of masks is empty if it has none, and that of labels too.
            None for topics that are looked for in the running graph.
        process: publishes the images; None if they are published already.
        namespace: of the topics, if they are looked for.
        sim_time: whether the process publishes the time on ``/clock``.
        parameters: for the pose node.
    """

    topics: InputTopics | None
    process: CameraProcess | None = None
    namespace: str = ""
    sim_time: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CameraOptions:
    """What the user says of a camera beside its name.

    Attributes:
        argument: what follows the name and a colon; empty if nothing does.
        rate_hz: images per second of simulated cameras, frame folders and cameras that are plugged
            in; None for the default.
        seed: of the simulated scene.
        repeat: start again after the last image.
        wait_s: longest wait for subscribers, seconds.
    """

    argument: str = ""
    rate_hz: float | None = None
    seed: int = 0
    repeat: bool = True
    wait_s: float = 0.0


def live_camera(text: str, options: CameraOptions) -> LiveCamera:
    """Return the camera that the user names, e.g. ``simulated`` or ``bag:run.mcap``.

    Raises:
        ConfigurationError: there is no such camera, or its argument is missing or cannot be used.
        BagError: the bag cannot be read, or its topics make up no frame.
    """
    name, _, argument = text.partition(":")
    if name not in CAMERAS:
        raise ConfigurationError(
            f"--camera {text}: no such camera: expected {', '.join(CAMERAS)}; bag, frames and "
            "topic are followed by ':' and a path or namespace, a camera by nothing or ':' and its "
            "serial number, realsense also by the path of a recording"
        )
    values = {**asdict(options), "argument": argument}
    return CAMERAS[name](CameraOptions(**values))


def camera_topics(found: Mapping[str, str], camera: LiveCamera) -> InputTopics:
    """Choose the topics of a running camera by type and name.

    Args:
        found: message types of the topics in the graph, by topic.
        camera: the camera.

    Raises:
        BagError: a topic is missing, or several fit.
    """
    prefix = f"{camera.namespace.rstrip('/')}/"
    inside = [Connection(x, kind, 1, False) for x, kind in found.items() if x.startswith(prefix)]
    return find_topics(inside, camera.namespace, {}, needs_mask=False)


def _simulated(options: CameraOptions) -> LiveCamera:
    if options.argument:
        raise ConfigurationError(
            f"--camera simulated:{options.argument}: the simulated camera has no argument: use "
            "--rate and --seed"
        )
    parameters = parameter_arguments(
        rate_hz=options.rate_hz or 5.0, seed=options.seed, wait_s=options.wait_s
    )
    process = CameraProcess("sdfpose_ros.playback.camera_node", tuple(parameters))
    return LiveCamera(_own_topics(), process)


def _frames(options: CameraOptions) -> LiveCamera:
    path = Path(options.argument)
    if not options.argument or not holds_frames(path):
        raise ConfigurationError(
            f"--camera frames:{options.argument}: expected a frame folder, or a folder of frame "
            "folders with depth.png and meta.json"
        )
    given = any((x / "mask.png").is_file() for x in frame_folders(path))
    parameters = parameter_arguments(
        folders=[str(path)],
        rate_hz=options.rate_hz or 2.0,
        loop=options.repeat,
        wait_s=options.wait_s,
        masks=given,
    )
    process = CameraProcess(
        "sdfpose_ros.playback.camera_node", tuple(parameters), ends=not options.repeat
    )
    topics = _own_topics()
    return LiveCamera(topics if given else replace(topics, mask="", labels=""), process)


def _bag(options: CameraOptions) -> LiveCamera:
    path = Path(options.argument)
    if not options.argument or not is_bag(path):
        raise ConfigurationError(
            f"--camera bag:{options.argument}: expected a rosbag2: a folder, or a .mcap or .db3 "
            "file"
        )
    with open_bag(path, []) as bag:
        topics = find_topics(bag.connections, path, {}, needs_mask=False)
    played = [x for x in asdict(topics).values() if x]
    parameters = parameter_arguments(bag=str(path), topics=played, loop=options.repeat, clock=True)
    process = CameraProcess(
        "sdfpose_ros.playback.player_node",
        tuple(parameters),
        waits=False,
        ends=not options.repeat,
    )
    images, transports = _without_transports(topics)
    return LiveCamera(images, process, sim_time=True, parameters=transports)


def _topic(options: CameraOptions) -> LiveCamera:
    namespace = options.argument or "/camera"
    _ = topic_of(namespace, "colour")  # refuses names that are none
    return LiveCamera(None, namespace=namespace)


def _plugged(name: str, options: CameraOptions) -> LiveCamera:
    """A camera on a port of this machine.

    Raises:
        ConfigurationError: the package of its maker is not installed.
    """
    require_package(name)
    rate = {} if options.rate_hz is None else {"rate_hz": options.rate_hz}
    parameters = parameter_arguments(camera=name, serial_number=options.argument, **rate)
    return _driver(CameraProcess(_DRIVER, tuple(parameters)))


def _realsense(options: CameraOptions) -> LiveCamera:
    """A RealSense camera on a port of this machine, or a recording of one.

    Raises:
        ConfigurationError: the package is not installed, or there is no such recording.
    """
    path = Path(options.argument)
    if path.suffix not in _RECORDINGS:
        return _plugged("realsense", options)
    require_package("realsense")
    if not path.is_file():
        raise ConfigurationError(
            f"--camera realsense:{path}: no such file: expected a recording of librealsense"
        )
    if options.rate_hz is not None:
        raise ConfigurationError(
            "--rate has no effect on a recording of a RealSense camera, which is played as recorded"
        )
    parameters = parameter_arguments(camera="realsense", bag=str(path), loop=options.repeat)
    return _driver(CameraProcess(_DRIVER, tuple(parameters), waits=False, ends=not options.repeat))


def _driver(process: CameraProcess) -> LiveCamera:
    """The topics of the camera driver."""
    topics = {role: topic_of(CAMERA_DRIVER, x) for role, x in DRIVER_TOPICS.items()}
    images = InputTopics(topics["colour"], topics["depth"], "", topics["camera_info"], "")
    return LiveCamera(images, process)


def _own_topics() -> InputTopics:
    """The topics of the camera node."""
    names = ("colour", "depth", "mask", "camera_info", "labels")
    return InputTopics(*(topic_of("/camera", x) for x in names))


def _without_transports(topics: InputTopics) -> tuple[InputTopics, dict[str, str]]:
    """Split off the transports of compressed images, which are parameters of the pose node."""
    plain, transports = asdict(topics), {}
    for role in ("colour", "depth", "mask"):
        for transport in _TRANSPORTS:
            if plain[role].endswith(f"/{transport}"):
                plain[role] = plain[role].removesuffix(f"/{transport}")
                transports[f"{role}_transport"] = transport
    return InputTopics(**plain), transports


CAMERAS: Mapping[str, Callable[[CameraOptions], LiveCamera]] = {
    "simulated": _simulated,
    "topic": _topic,
    "bag": _bag,
    "frames": _frames,
    **{name: partial(_plugged, name) for name in MAKERS},
    "realsense": _realsense,
}
"""The cameras by name."""
