"""The recorder node: records a camera and the results of a pose node into one MCAP file."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import Qos

from sdfpose_core.datasets.bag_writing import OBJECTS, offered_qos
from sdfpose_core.datasets.mcap_writing import McapFile
from sdfpose_core.errors import BagError, ConfigurationError
from sdfpose_core.messages.compression import Codecs, ColourCodec, DepthCodec
from sdfpose_core.messages.definitions import message_definitions
from sdfpose_ros.graph.message_factory import message_class
from sdfpose_ros.graph.parameters import declare
from sdfpose_ros.graph.process import run_node
from sdfpose_ros.graph.throttle import ThrottledLog
from sdfpose_ros.recording.parameters import RecorderNodeParameters
from sdfpose_ros.recording.pipeline import ArrivedMessage, RecordingPipeline, compressed

__all__ = ["RecorderNode", "main"]

_IMAGES = ("colour", "depth", "mask")
"""Private names of the images; they are recorded raw or from a transport that is published."""

_OTHERS: Mapping[str, str] = {
    "~/camera_info": "sensor_msgs/msg/CameraInfo",
    "~/labels": "sdfpose/msg/InstanceLabels",
    "~/ground_truth": OBJECTS,
    "~/imu": "sensor_msgs/msg/Imu",
    "~/objects": OBJECTS,
    "~/meshes": OBJECTS,
    "/tf": "tf2_msgs/msg/TFMessage",
    "/tf_static": "tf2_msgs/msg/TFMessage",
}
"""Types of the other topics."""

_IMAGE, _COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"

_FOLLOW_S, _WATCH_S, _PROGRESS_S = 0.1, 0.5, 10.0
"""Periods: of the look for publishers, of the look at disk and clock, and of messages about them.
"""

_SHORTEST_WAIT_S = 5.0
"""A graph may take this long to show its publishers."""

_DEPTH = 100
"""Messages of a topic that are queued for the node's thread."""

_MIB = 2**20


@dataclass(frozen=True)
class _Source:
    """A topic that may be recorded.

    Attributes:
        topic: its name.
        kind: its type.
        role: image of a frame; empty for other topics.
        group: of the topics of a group, the first one that is published is recorded.
    """

    topic: str
    kind: str
    role: str
    group: str


class RecorderNode(Node):
    """Records what a camera and a pose node publish.

    Raw images are compressed, without loss by default. A topic is subscribed to once it has a
    publisher, with the quality of service that it offers. The file is whole when the node ends, be
    it by an interrupt, after its time, or because the disk is nearly full. With a time, the first
    message is awaited for as long, but `_SHORTEST_WAIT_S` at least; the exit status is 1 without.

    Args:
        name: node name.
        options: further arguments of `rclpy.node.Node`.

    Raises:
        ConfigurationError: no path is given.
        BagError: the file exists or cannot be written.
    """

    _file: McapFile | None = None  # while a wrong parameter ends the node

    def __init__(self, *, name: str = "recorder", **options: Any) -> None:
        super().__init__(name, **options)
        self._settings = settings = declare(self, RecorderNodeParameters)
        if not settings.path:
            raise ConfigurationError("parameter path is empty: expected the name of a new file")
        self._path = Path(settings.path)
        self._store = message_definitions()
        self._file = McapFile(self._path, self._store)
        codecs = Codecs(
            cast(ColourCodec, settings.colour_codec),
            cast(DepthCodec, settings.depth_codec),
            settings.jpeg_quality,
        )
        self._pipeline = RecordingPipeline(
            self._file, partial(compressed, store=self._store, codecs=codecs)
        )
        self._log = ThrottledLog(self.get_logger())
        self._sources = self._all_sources()
        self._recorded: set[str] = set()  # groups
        self._started_s: float | None = None
        self._told_s = self._waiting_s = time.monotonic()
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_FOLLOW_S, self._follow, clock=clock)
        self.create_timer(_WATCH_S, self._watch, clock=clock)
        self._follow()
        self.get_logger().info(f"recording to {self._path}; Ctrl-C ends it")

    def destroy_node(self) -> None:
        """Finish the file, then destroy the node."""
        self.finish()
        super().destroy_node()

    def finish(self) -> None:
        """Write what waits and finish the file; nothing is recorded from now on.

        Raises:
            BagError: the disk is full or fails; the file lacks its end.
        """
        if self._file is not None:
            file, self._file = self._file, None
            self._pipeline.close()
            seconds = 0.0 if self._started_s is None else time.monotonic() - self._started_s
            file.close()
            self._tell_end(file, seconds)

    def _all_sources(self) -> list[_Source]:
        sources = []
        for name in _IMAGES:
            topic = self.resolve_topic_name(f"~/{name}")
            suffixes = ("/compressedDepth", "/compressed") if name == "depth" else ("/compressed",)
            sources.append(_Source(topic, _IMAGE, name, topic))
            sources += [_Source(topic + x, _COMPRESSED, name, topic) for x in suffixes]
        for name, kind in _OTHERS.items():
            topic = self.resolve_topic_name(name)
            sources.append(_Source(topic, kind, "", topic))
        known = {x.topic for x in sources}
        more = (self.resolve_topic_name(x) for x in self._settings.topics)
        return sources + [_Source(x, "", "", x) for x in more if x not in known]

    def _follow(self) -> None:
        """Subscribe to the topics that have a publisher by now."""
        for source in self._sources:
            if source.group in self._recorded:
                continue
            offers = self.get_publishers_info_by_topic(source.topic)
            kinds = sorted({x.topic_type for x in offers})
            if not kinds or source.kind not in ("", *kinds):
                continue
            self._recorded.add(source.group)
            kind = source.kind or kinds[0]
            if kind not in self._store.fielddefs:
                self.get_logger().warning(
                    f"{source.topic}: is not recorded: its type {kind} is unknown: expected a type "
                    "of ROS 2 or sdfpose"
                )
                continue
            self._subscribe(source, kind, [x.qos_profile for x in offers])

    def _subscribe(self, source: _Source, kind: str, offers: Sequence[QoSProfile]) -> None:
        """Request what all publishers offer, so that nothing is lost or missed."""
        reliable = all(x.reliability == ReliabilityPolicy.RELIABLE for x in offers)
        latched = all(x.durability == DurabilityPolicy.TRANSIENT_LOCAL for x in offers)
        profile = QoSProfile(
            depth=_DEPTH,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )
        qos = offered_qos(latched=latched, reliable=reliable)
        take = partial(self._take, source=source, kind=kind, qos=qos)
        self.create_subscription(message_class(kind), source.topic, take, profile, raw=True)

    def _take(self, data: bytes, *, source: _Source, kind: str, qos: Qos) -> None:
        if self._file is None:
            return
        if self._started_s is None:
            self._started_s = time.monotonic()
        now_ns = self.get_clock().now().nanoseconds
        message = ArrivedMessage(source.topic, kind, source.role, data, now_ns, qos)
        if not self._pipeline.put(message):
            self._log.warning(
                "dropped",
                f"{self._pipeline.dropped} messages are not recorded: compression or disk are too "
                "slow: lower the rate or the resolution, or choose colour_codec jpeg",
            )

    def _watch(self) -> None:
        """End the recording if the file fails, the disk is nearly full, or the time is over.

        Raises:
            BagError: the file cannot be written.
            SystemExit: the time is over; 1 if no message came, which `finish` explains.
        """
        if self._file is None:
            return
        if self._pipeline.failure is not None:
            raise self._pipeline.failure
        free_mib = shutil.disk_usage(self._path.absolute().parent).free / _MIB
        if free_mib < self._settings.reserve_mib:
            raise BagError(
                f"{self._path}: the recording ends here, and the file is whole: {free_mib:.0f} MiB "
                f"are free on the disk, expected {self._settings.reserve_mib:g}: free space, or "
                "lower reserve_mib"
            )
        now_s = time.monotonic()
        elapsed_s = 0.0 if self._started_s is None else now_s - self._started_s
        if duration_s := self._settings.duration_s:
            longest_wait_s = max(duration_s, _SHORTEST_WAIT_S)
            if self._started_s is None and now_s - self._waiting_s >= longest_wait_s:
                raise SystemExit(1)
            if elapsed_s >= duration_s:
                raise SystemExit(0)
        if now_s - self._told_s >= _PROGRESS_S:
            self._told_s = now_s
            self._tell_progress(self._file, elapsed_s)

    def _tell_progress(self, file: McapFile, seconds: float) -> None:
        if not file.counts:
            self.get_logger().warning(f"no messages yet: {self._expected()}")
            return
        self.get_logger().info(f"{seconds:.0f} s, {file.size / _MIB:.0f} MiB")

    def _expected(self) -> str:
        """What a recording without messages lacks."""
        wanted = ", ".join(x.topic for x in self._sources if x.role and x.kind == _IMAGE)
        return (
            f"expected publishers of {wanted} (is the camera running in this ROS_DOMAIN_ID, and is "
            "its name right?)"
        )

    def _tell_end(self, file: McapFile, seconds: float) -> None:
        if not file.counts:
            self._path.unlink(missing_ok=True)
            self.get_logger().error(
                f"nothing was recorded: no topic had a message: {self._expected()}"
            )
            return
        counts = ", ".join(f"{count} on {topic}" for topic, count in file.counts.items())
        rate = file.size / _MIB / max(seconds, 1e-3)
        self.get_logger().info(
            f"{self._path}: {file.size / _MIB:.1f} MiB in {seconds:.1f} s ({rate:.1f} MiB/s): "
            f"{counts}"
        )


def main(args: Sequence[str] | None = None) -> int:
    """Run the recorder node."""
    return run_node(RecorderNode, args)


if __name__ == "__main__":
    sys.exit(main())
