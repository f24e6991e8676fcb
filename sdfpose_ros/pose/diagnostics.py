"""Health of the pose node, published on ``/diagnostics`` once a second."""

from __future__ import annotations

import resource
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Literal

import psutil
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node

from sdfpose_core.messages.synchronizer import FrameSynchronizer
from sdfpose_core.observation.frame import SkippedInstance
from sdfpose_ros.graph.input_watchdog import SILENT_AFTER_S

if TYPE_CHECKING:
    from sdfpose_core.tracking.tracker import TrackerResult

__all__ = ["Diagnostics", "FrameCounts", "Health", "NodeState", "Period", "status_of"]

NodeState = Literal["unconfigured", "inactive", "active"]
"""Lifecycle state of the node."""

_PERIOD_S = 1.0

_MAX_DROPPED = 0.5
"""Warn when more than this share of the frames is dropped in favour of newer ones."""


@dataclass(frozen=True)
class FrameCounts:
    """Frames since the node was configured.

    Attributes:
        submitted: complete frames.
        processed: frames with published results.
        failed: frames that were unusable or raised an error.
        dropped: frames that a newer one replaced before they were processed.
        ignored: frames that arrived while the node was disabled.
    """

    submitted: int = 0
    processed: int = 0
    failed: int = 0
    dropped: int = 0
    ignored: int = 0

    def since(self, earlier: FrameCounts) -> FrameCounts:
        """Return the counts since an earlier report."""
        return FrameCounts(*(a - b for a, b in zip(self.values(), earlier.values(), strict=True)))

    def values(self) -> tuple[int, ...]:
        """Return the counts in the order of the attributes."""
        return astuple(self)


@dataclass(frozen=True)
class Health:
    """Snapshot of the node's health.

    Attributes:
        node_state: lifecycle state.
        frames: frame counts since the node was configured.
        device: device of the networks.
        synchronizers: hold the message statistics, one for each camera while the node is active.
        busy: whether a frame is being processed.
    """

    node_state: NodeState
    frames: FrameCounts
    device: str
    synchronizers: Sequence[FrameSynchronizer] = ()
    busy: bool = False


@dataclass(frozen=True)
class Period:
    """What happened between two reports.

    Attributes:
        node_state: lifecycle state.
        seconds: time between the two reports.
        frames: frame counts of the period.
        silence_s: seconds since the last complete frame; None before the first.
        latency_ms: time from image stamp to result, one entry per processed frame.
        stage_ms: wall time of each processed frame, by stage.
        objects: number of tracked objects.
        confidences: confidences of the objects visible in the last image.
        skipped: why masks of the last image have no estimate.
        waiting: masks of the last image that are to be detected or tried later.
        busy: whether a frame is being processed.
    """

    node_state: NodeState
    seconds: float
    frames: FrameCounts
    silence_s: float | None = None
    latency_ms: tuple[float, ...] = ()
    stage_ms: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    objects: int = 0
    confidences: tuple[float, ...] = ()
    skipped: tuple[SkippedInstance, ...] = ()
    waiting: int = 0
    busy: bool = False


def status_of(period: Period) -> tuple[bytes, str]:
    """Return the level and message of the `DiagnosticStatus`."""
    frames = period.frames
    if period.node_state != "active":
        return DiagnosticStatus.OK, period.node_state
    if period.silence_s is None:
        return DiagnosticStatus.WARN, "waiting for the first complete frame"
    if period.busy and period.silence_s > SILENT_AFTER_S:
        # The first image may take long, and a player in lockstep waits for its result.
        return DiagnosticStatus.OK, f"processing a frame for {period.silence_s:.0f} s"
    if period.silence_s > SILENT_AFTER_S:
        return (
            DiagnosticStatus.ERROR,
            f"no complete frame for {period.silence_s:.0f} s, see the log",
        )
    if frames.ignored and frames.ignored == frames.submitted:
        return DiagnosticStatus.OK, "disabled: images are ignored"
    if frames.failed and not frames.processed:
        return DiagnosticStatus.ERROR, f"all {frames.failed} frames failed, see the log"
    if frames.failed:
        return DiagnosticStatus.WARN, f"{frames.failed} frames failed, see the log"
    if frames.dropped > _MAX_DROPPED * frames.submitted:
        return DiagnosticStatus.WARN, (
            f"{frames.dropped} of {frames.submitted} frames dropped: images arrive faster than "
            "they are processed"
        )
    rate_hz = frames.processed / period.seconds
    return DiagnosticStatus.OK, f"{period.objects} objects at {rate_hz:.1f} Hz"


class Diagnostics:
    """Collects frame statistics and publishes them.

    Args:
        node: publishes the diagnostics; its clock gives the latency.
        health: returns the node's current health; the timer calls it.
    """

    def __init__(self, node: Node, health: Callable[[], Health]) -> None:
        self._node = node
        self._health = health
        self._lock = threading.Lock()
        self._before = FrameCounts()
        self._period_start_s = time.monotonic()
        self._last_frame_s: float | None = None
        self._latency_ms: list[float] = []
        self._stage_ms: dict[str, list[float]] = {}
        self._objects = 0
        self._confidences: tuple[float, ...] = ()
        self._skipped: tuple[SkippedInstance, ...] = ()
        self._waiting = 0
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._timer = node.create_timer(
            _PERIOD_S, self._publish, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def frame_received(self) -> None:
        """Note that a frame is complete."""
        self._last_frame_s = time.monotonic()

    def frame_processed(self, stamp_ns: int, result: TrackerResult) -> None:
        """Note that the results of a frame were published.

        Args:
            stamp_ns: stamp of the image, nanoseconds.
            result: the tracker's result.
        """
        latency_ms = 1e-6 * (self._node.get_clock().now().nanoseconds - stamp_ns)
        visible = [x.estimate.confidence for x in result.tracks if x.state.name != "LOST"]
        with self._lock:
            self._latency_ms.append(latency_ms)
            for stage, milliseconds in result.stage_ms.items():
                self._stage_ms.setdefault(stage, []).append(milliseconds)
            self._objects, self._confidences = len(result.tracks), tuple(visible)
            self._skipped = tuple(result.skipped)
            self._waiting = len(result.waiting)

    def _period(self, health: Health) -> Period:
        now, counts = time.monotonic(), health.frames
        if counts.submitted < self._before.submitted:
            self._before = FrameCounts()  # the node was configured again
        if health.node_state != "active":
            self._last_frame_s = None
        with self._lock:
            period = Period(
                health.node_state,
                now - self._period_start_s,
                counts.since(self._before),
                None if self._last_frame_s is None else now - self._last_frame_s,
                tuple(self._latency_ms),
                {stage: tuple(x) for stage, x in self._stage_ms.items()},
                self._objects if health.node_state == "active" else 0,
                self._confidences if health.node_state == "active" else (),
                self._skipped if health.node_state == "active" else (),
                self._waiting if health.node_state == "active" else 0,
                health.busy,
            )
            self._latency_ms, self._stage_ms = [], {}
        self._period_start_s, self._before = now, counts
        return period

    def _publish(self) -> None:
        health = self._health()
        period = self._period(health)
        level, message = status_of(period)
        values = {**_values(period, health), **_messages(health.synchronizers)}
        status = DiagnosticStatus(
            level=level,
            name=f"{self._node.get_fully_qualified_name().lstrip('/')}: pose estimation",
            message=message,
            hardware_id=health.device,
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)


def _values(period: Period, health: Health) -> dict[str, str]:
    frames = period.frames
    return {
        "input rate (Hz)": f"{frames.submitted / period.seconds:.2f}",
        "output rate (Hz)": f"{frames.processed / period.seconds:.2f}",
        **{
            f"frames {name}": str(count)
            for name, count in zip(
                ("submitted", "processed", "failed", "dropped", "ignored"),
                health.frames.values(),
                strict=True,
            )
        },
        "time since last frame (s)": _number(period.silence_s),
        "latency median (ms)": _median(period.latency_ms),
        "latency max (ms)": _number(max(period.latency_ms, default=None)),
        **{f"{stage} median (ms)": _median(x) for stage, x in period.stage_ms.items()},
        "objects": str(period.objects),
        "confidence min": _number(min(period.confidences, default=None)),
        "masks without an estimate": str(len({x.mask_id for x in period.skipped})),
        "masks waiting": str(period.waiting),
        "reasons": "; ".join(dict.fromkeys(x.reason for x in period.skipped)),
        "device": health.device,
        **_memory("" if health.node_state == "unconfigured" else health.device),
    }


def _messages(synchronizers: Sequence[FrameSynchronizer]) -> dict[str, str]:
    """Return the message counts of each topic."""
    if not synchronizers:
        return {}
    messages = {
        f"messages {what} {topic}": str(counts.get(topic, 0))
        for x in synchronizers
        for topic in x.statistics.received
        for what, counts in (
            ("received on", x.statistics.received),
            ("unmatched on", x.statistics.unmatched),
            ("queued on", x.waiting),
        )
    }
    rejected = sum((Counter(x.statistics.rejected) for x in synchronizers), Counter[str]())
    return {
        **messages,
        **{f"frames rejected, {name}": str(n) for name, n in rejected.items()},
        "frames rejected": str(rejected.total()),
        "frames waiting for camera info": str(
            sum(int(x.waiting_for_camera_info) for x in synchronizers)
        ),
    }


def _memory(device: str) -> dict[str, str]:
    """Return the memory use of this process, on the CPU and on the GPU of the networks."""
    memory = {
        "memory (MiB)": f"{psutil.Process().memory_info().rss / 2**20:.0f}",
        "memory peak (MiB)": f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}",
    }
    if device.startswith("cuda"):
        import torch

        memory["GPU memory (MiB)"] = f"{torch.cuda.memory_allocated(device) / 2**20:.0f}"
    return memory


def _median(values: tuple[float, ...]) -> str:
    return _number(statistics.median(values) if values else None)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
