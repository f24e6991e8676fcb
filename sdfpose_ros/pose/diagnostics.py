"""What the pose node says of its health on ``/diagnostics``, once in a second."""

from __future__ import annotations

import resource
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Literal

import psutil
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node

from sdfpose_core.messages.synchronizer import FrameSynchronizer
from sdfpose_ros.graph.input_watchdog import SILENT_AFTER_S

if TYPE_CHECKING:
    from sdfpose_core.tracking.tracker import TrackerResult

__all__ = ["Condition", "Diagnostics", "FrameCounts", "Health", "Period", "judge"]

Condition = Literal["unconfigured", "inactive", "active"]
"""Where a node stands in its lifecycle."""

_PERIOD_S = 1.0

_MOST_LEFT_OUT = 0.5
"""Share of the frames that may be left out as newer ones came before they are told of."""


@dataclass(frozen=True)
class FrameCounts:
    """Frames since the node was configured.

    Attributes:
        submitted: that were put together.
        processed: that were worked on.
        failed: that could not be used, or went wrong.
        left_out: for which there was no time.
        passed_over: that came while the node was disabled.
    """

    submitted: int = 0
    processed: int = 0
    failed: int = 0
    left_out: int = 0
    passed_over: int = 0

    def since(self, earlier: FrameCounts) -> FrameCounts:
        """Those that came later."""
        return FrameCounts(*(a - b for a, b in zip(self.values(), earlier.values(), strict=True)))

    def values(self) -> tuple[int, ...]:
        """In the order of the attributes."""
        return astuple(self)


@dataclass(frozen=True)
class Health:
    """What a node says of itself when it is asked.

    Attributes:
        condition: where it stands in its lifecycle.
        frames: what became of them.
        device: where the networks run.
        synchronizer: with the statistics of the messages, while it is active.
    """

    condition: Condition
    frames: FrameCounts
    device: str
    synchronizer: FrameSynchronizer | None = None


@dataclass(frozen=True)
class Period:
    """What happened between two reports.

    Attributes:
        condition: where the node stands in its lifecycle.
        seconds: between them.
        frames: what became of them.
        silence_s: seconds since the last frame was put together, None where none ever was.
        latency_ms: from the stamps of the images that were worked on to their results.
        stage_ms: wall time of each of them, by stage.
        objects: that are followed.
        confidences: of those that the last image showed.
    """

    condition: Condition
    seconds: float
    frames: FrameCounts
    silence_s: float | None = None
    latency_ms: tuple[float, ...] = ()
    stage_ms: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    objects: int = 0
    confidences: tuple[float, ...] = ()


def judge(period: Period) -> tuple[bytes, str]:
    """Level and message of a `DiagnosticStatus`."""
    frames = period.frames
    if period.condition != "active":
        return DiagnosticStatus.OK, period.condition
    if period.silence_s is None:
        return DiagnosticStatus.WARN, "waits for the first image"
    if period.silence_s > SILENT_AFTER_S:
        return DiagnosticStatus.ERROR, f"no image for {period.silence_s:.0f} s"
    if frames.passed_over and frames.passed_over == frames.submitted:
        return DiagnosticStatus.OK, "disabled: images are passed over"
    if frames.failed and not frames.processed:
        return DiagnosticStatus.ERROR, f"all {frames.failed} frames went wrong, see the log"
    if frames.failed:
        return DiagnosticStatus.WARN, f"{frames.failed} frames went wrong, see the log"
    if frames.left_out > _MOST_LEFT_OUT * frames.submitted:
        return DiagnosticStatus.WARN, (
            f"{frames.left_out} of {frames.submitted} frames are left out: images come faster than "
            "they are worked on"
        )
    rate_hz = frames.processed / period.seconds
    return DiagnosticStatus.OK, f"{period.objects} objects at {rate_hz:.1f} Hz"


class Diagnostics:
    """Collects what became of the frames and publishes it.

    Args:
        node: publishes; its clock tells how old images are.
        health: of the node; asked by the timer.
    """

    def __init__(self, node: Node, health: Callable[[], Health]) -> None:
        self._node = node
        self._health = health
        self._lock = threading.Lock()
        self._before = FrameCounts()
        self._began = time.monotonic()
        self._came: float | None = None
        self._latency_ms: list[float] = []
        self._stage_ms: dict[str, list[float]] = {}
        self._objects = 0
        self._confidences: tuple[float, ...] = ()
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._timer = node.create_timer(
            _PERIOD_S, self._publish, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def came(self) -> None:
        """A frame was put together."""
        self._came = time.monotonic()

    def done(self, stamp_ns: int, result: TrackerResult) -> None:
        """A frame was worked on, and its results are published.

        Args:
            stamp_ns: of its image.
            result: the tracker's.
        """
        latency_ms = 1e-6 * (self._node.get_clock().now().nanoseconds - stamp_ns)
        shown = [x.estimate.confidence for x in result.tracks if x.state.name != "LOST"]
        with self._lock:
            self._latency_ms.append(latency_ms)
            for stage, milliseconds in result.stage_ms.items():
                self._stage_ms.setdefault(stage, []).append(milliseconds)
            self._objects, self._confidences = len(result.tracks), tuple(shown)

    def _period(self, health: Health) -> Period:
        now, counts = time.monotonic(), health.frames
        if counts.submitted < self._before.submitted:
            self._before = FrameCounts()  # configured anew
        if health.condition != "active":
            self._came = None
        with self._lock:
            period = Period(
                health.condition,
                now - self._began,
                counts.since(self._before),
                None if self._came is None else now - self._came,
                tuple(self._latency_ms),
                {stage: tuple(x) for stage, x in self._stage_ms.items()},
                self._objects if health.condition == "active" else 0,
                self._confidences if health.condition == "active" else (),
            )
            self._latency_ms, self._stage_ms = [], {}
        self._began, self._before = now, counts
        return period

    def _publish(self) -> None:
        health = self._health()
        period = self._period(health)
        level, message = judge(period)
        values = {**_values(period, health), **_messages(health.synchronizer)}
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
                ("put together", "worked on", "gone wrong", "left out", "passed over"),
                health.frames.values(),
                strict=True,
            )
        },
        "age of the last image (s)": _shown(period.silence_s),
        "latency, median (ms)": _median(period.latency_ms),
        "latency, largest (ms)": _shown(max(period.latency_ms, default=None)),
        **{f"{stage}, median (ms)": _median(x) for stage, x in period.stage_ms.items()},
        "objects": str(period.objects),
        "confidence, least": _shown(min(period.confidences, default=None)),
        "device": health.device,
        **_memory("" if health.condition == "unconfigured" else health.device),
    }


def _messages(synchronizer: FrameSynchronizer | None) -> dict[str, str]:
    """What became of the messages of each topic."""
    if synchronizer is None:
        return {}
    found, waiting = synchronizer.statistics, synchronizer.waiting
    messages = {
        f"messages {what} {topic}": str(counts.get(topic, 0))
        for topic in found.received
        for what, counts in (
            ("received on", found.received),
            ("unmatched on", found.unmatched),
            ("waiting on", waiting),
        )
    }
    refused = {f"frames refused, {name}": str(count) for name, count in found.refused.items()}
    return {
        **messages,
        **refused,
        "frames refused": str(sum(found.refused.values())),
        "frames waiting for a camera info": str(int(synchronizer.awaits_camera_info)),
    }


def _memory(device: str) -> dict[str, str]:
    """Of this process, and of the device where the networks are."""
    memory = {
        "memory (MiB)": f"{psutil.Process().memory_info().rss / 2**20:.0f}",
        "memory, peak (MiB)": f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}",
    }
    if device.startswith("cuda"):
        import torch

        memory["memory of the GPU (MiB)"] = f"{torch.cuda.memory_allocated(device) / 2**20:.0f}"
    return memory


def _median(values: tuple[float, ...]) -> str:
    return _shown(statistics.median(values) if values else None)


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
