"""Watches the running graph: counts results, measures latency, and records."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sdfpose.msg import InstanceLabels, SdfObjectArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage

from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_ros.evaluation.recorder import McapRecorder, RecordedTopic
from sdfpose_ros.graph.topics import topic_of

__all__ = ["LiveSummary", "Monitor"]

_SENSOR_QOS = QoSProfile(depth=30, reliability=ReliabilityPolicy.BEST_EFFORT)
_RESULT_QOS = QoSProfile(depth=100)
_LATCHED_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)

_STAMPS_KEPT = 300
_POSE_STATUS = ": pose estimation"
"""End of the name of the pose node's diagnostics."""

_FRAME_COUNTS = ("submitted", "processed", "failed", "dropped", "ignored")

_NOT_READY = ("unconfigured", "inactive")
"""What they say while the node loads."""

_RECENT_S = 5.0
"""Rate and latency of the display are those of this time."""


@dataclass(frozen=True)
class LiveSummary:
    """What a run gave.

    Attributes:
        results: number of results.
        objects: number of objects in the last result.
        results_hz: results per second between the first and the last one; None with fewer than two.
        first_result_s: time from the start of the run to the first result with an object, seconds;
            None if there was none.
        latency_ms: percentiles ``p50`` and ``p95`` of the time from the arrival of an image's
            intrinsics to that of its result, milliseconds; None without a result.
    """

    results: int
    objects: int
    results_hz: float | None
    first_result_s: float | None
    latency_ms: Mapping[str, float] | None

    def text(self) -> str:
        """Describe the run in one line."""
        if self.first_result_s is None:
            return f"live: {self.results} results, none with an object"
        parts = [f"{self.results} results, objects in the last one: {self.objects}"]
        if self.results_hz is not None:
            parts.append(f"{self.results_hz:.1f} results/s")
        if self.latency_ms is not None:
            parts.append(f"latency {self.latency_ms['p50']:.0f} ms (median)")
        return f"live: {', '.join(parts)}"

    def as_json(self) -> dict[str, Any]:
        """Convert to a JSON object."""
        return {
            "objects": self.objects,
            "results_hz": self.results_hz,
            "first_result_s": self.first_result_s,
            "latency_ms": None if self.latency_ms is None else dict(self.latency_ms),
        }


class Monitor:
    """A node of this process that listens to the camera and the pose node.

    Args:
        context: the initialised context.
        started_s: when the run started, by the monotonic clock.

    Attributes:
        node_message: what the pose node last said of its health; empty before the first time.
    """

    def __init__(self, context: Context, started_s: float) -> None:
        self.node = Node("live", context=context)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.node)
        self._started_s = started_s
        self._arrivals_s: OrderedDict[int, float] = OrderedDict()
        self._results_s: list[float] = []
        self._latencies_s: list[float] = []
        self._objects = 0
        self._first_result_s: float | None = None
        self._recorder: McapRecorder | None = None
        self._idle_since_s: float | None = None
        self.node_message = ""
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._take_health, 10)

    @property
    def last_result_s(self) -> float | None:
        """Arrival of the last result by the monotonic clock; None before the first one."""
        return self._results_s[-1] if self._results_s else None

    def age_s(self, now_s: float) -> float:
        """Time from the start of the run to a time of the monotonic clock, seconds."""
        return now_s - self._started_s

    def idle_s(self, now_s: float) -> float:
        """For how long the pose node has been ready without a frame to process, seconds.

        Args:
            now_s: by the monotonic clock.
        """
        return 0.0 if self._idle_since_s is None else now_s - self._idle_since_s

    def listen(self, camera_info: str, results: str) -> None:
        """Subscribe to the intrinsics of the camera and to the results of the pose node."""
        self.node.create_subscription(CameraInfo, camera_info, self._take_info, _SENSOR_QOS)
        self.node.create_subscription(SdfObjectArray, results, self._take_result, _RESULT_QOS)

    def record(self, path: Path, inputs: Mapping[str, str], pose_node: str) -> None:
        """Record the inputs and the results, without drawings, to an MCAP file.

        Args:
            path: of the file.
            inputs: topics of the camera by role.
            pose_node: name of the pose node.

        Raises:
            BagError: the file cannot be written.
        """
        kinds: dict[str, type] = {"camera_info": CameraInfo, "labels": InstanceLabels}
        topics = {
            topic: RecordedTopic(kinds.get(role, _image_type(topic)), _SENSOR_QOS)
            for role, topic in inputs.items()
            if topic
        }
        topics[topic_of(pose_node, "objects")] = RecordedTopic(SdfObjectArray, _RESULT_QOS)
        topics[topic_of(pose_node, "meshes")] = RecordedTopic(SdfObjectArray, _LATCHED_QOS)
        topics["/tf"] = RecordedTopic(TFMessage, _RESULT_QOS)
        topics["/tf_static"] = RecordedTopic(TFMessage, _LATCHED_QOS)
        topics["/diagnostics"] = RecordedTopic(DiagnosticArray, _RESULT_QOS)
        self._recorder = McapRecorder(self.node, path, topics)

    def spin(self, seconds: float) -> None:
        """Receive messages for this long."""
        end = time.monotonic() + seconds
        while (rest := end - time.monotonic()) > 0.0:
            self._executor.spin_once(timeout_sec=rest)

    def close(self) -> None:
        """Finish the recording, if there is one."""
        if self._recorder is not None:
            self._recorder.close()

    def line(self) -> str:
        """Describe the last seconds in one line."""
        if not self._results_s:
            images = "receiving images" if self._arrivals_s else "no images yet"
            node = self.node_message or "loading"
            return f"waiting for the first result ({images}; pose node: {node})"
        since = time.monotonic() - _RECENT_S
        recent = [i for i, x in enumerate(self._results_s) if x >= since]
        rate = len(recent) / min(_RECENT_S, max(time.monotonic() - self._results_s[0], 1.0))
        parts = [f"objects: {self._objects}", f"{rate:.1f} results/s"]
        if self._latencies_s:
            parts.append(f"latency {1000.0 * float(np.median(self._latencies_s[-20:])):.0f} ms")
        return ", ".join(parts)

    def summary(self) -> LiveSummary:
        """Summarise the whole run."""
        rate = None
        if len(self._results_s) > 1 and self._results_s[-1] > self._results_s[0]:
            rate = (len(self._results_s) - 1) / (self._results_s[-1] - self._results_s[0])
        latency = None
        if self._latencies_s:
            p50, p95 = np.percentile(self._latencies_s, [50, 95])
            latency = {"p50": 1000.0 * float(p50), "p95": 1000.0 * float(p95)}
        return LiveSummary(len(self._results_s), self._objects, rate, self._first_result_s, latency)

    def _take_info(self, message: CameraInfo) -> None:
        self._arrivals_s[stamp_ns(message.header)] = time.monotonic()
        while len(self._arrivals_s) > _STAMPS_KEPT:
            self._arrivals_s.popitem(last=False)

    def _take_health(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.endswith(_POSE_STATUS):
                self.node_message = status.message
                values = {x.key: x.value for x in status.values}
                if status.message in _NOT_READY or _frames_in_work(values):
                    self._idle_since_s = None
                elif self._idle_since_s is None:
                    self._idle_since_s = time.monotonic()

    def _take_result(self, message: SdfObjectArray) -> None:
        now = time.monotonic()
        self._results_s.append(now)
        self._objects = len(message.objects)
        if self._objects and self._first_result_s is None:
            self._first_result_s = now - self._started_s
        arrival = self._arrivals_s.get(stamp_ns(message.header))
        if arrival is not None:
            self._latencies_s.append(now - arrival)


def _frames_in_work(values: Mapping[str, str]) -> bool:
    """Whether the pose node has a frame that has not come to an end."""
    count = {x: int(values.get(f"frames {x}", "0")) for x in _FRAME_COUNTS}
    return count.pop("submitted") > sum(count.values())


def _image_type(topic: str) -> type:
    return CompressedImage if topic.endswith(("/compressed", "/compressedDepth")) else Image
