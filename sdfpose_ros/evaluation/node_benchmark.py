"""How fast the pose node is in a running graph: camera, node and listener as processes."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sdfpose.msg import SdfObjectArray
from sensor_msgs.msg import CameraInfo

from sdfpose_core.errors import ConfigurationError, SdfposeError
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_ros.graph.process_group import ProcessGroup, ros_child_environment
from sdfpose_ros.graph.topics import input_remaps

__all__ = ["BenchmarkError", "NodeBenchmark", "benchmark_node"]

_OBJECTS = ("bottle", "bowl", "can", "mug", "camera", "laptop")
"""Objects of the table, in the order in which they take part."""

_ARC_S = 5.0
"""The camera goes so far and back: its frames are made before."""

_TURN_S = 40.0
_STARTUP_S = 180.0
"""How long weights, frames and the first result may take."""

_DRAIN_S = 3.0
"""After the last frame, until the node has told what became of it."""

_LAST_DOMAIN = 101
_QOS = QoSProfile(depth=1000)


class BenchmarkError(SdfposeError):
    """A process of the benchmark ended, or no results came."""


@dataclass(frozen=True)
class NodeBenchmark:
    """What is measured.

    Attributes:
        log_dir: folder of the processes' logs.
        objects: number of objects on the table, 1 to 6.
        rate_hz: the camera's frames per second.
        seconds: of the measurement.
        warm_up_s: between the first result and the measurement, seconds.
        width: of the images, pixels.
        seed: of the scene.
        node_arguments: of the pose node's process, after ``--ros-args``.
    """

    log_dir: Path
    objects: int = 4
    rate_hz: float = 30.0
    seconds: float = 30.0
    warm_up_s: float = 10.0
    width: int = 640
    seed: int = 7
    node_arguments: tuple[str, ...] = ()


class _Listener:
    """Counts the camera's frames and notes when results come.

    Attributes:
        published: the camera's frames.
        results: of each result its arrival on the wall clock and its image's stamp, nanoseconds.
        health: what the pose node last said on ``/diagnostics``.
    """

    def __init__(self, context: Context) -> None:
        self.published = 0
        self.results: list[tuple[int, int]] = []
        self.health: dict[str, str] = {}
        self.node = Node("benchmark", context=context)
        self.node.create_subscription(CameraInfo, "/camera/camera_info", self._count, _QOS)
        self.node.create_subscription(SdfObjectArray, "/sdfpose/objects", self._note, _QOS)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._take_health, _QOS)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.node)

    def listen(self, seconds: float) -> None:
        """Take what comes for so long."""
        end = time.monotonic() + seconds
        while (rest := end - time.monotonic()) > 0.0:
            self._executor.spin_once(timeout_sec=rest)

    def _count(self, _: CameraInfo) -> None:
        self.published += 1

    def _note(self, message: SdfObjectArray) -> None:
        self.results.append((time.time_ns(), stamp_ns(message.header)))

    def _take_health(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith("sdfpose"):
                self.health = {x.key: x.value for x in status.values}


def benchmark_node(options: NodeBenchmark, tell: Callable[[str], None]) -> dict[str, Any]:
    """Measure the node.

    Latency is from an image's stamp, which the camera gives it when it publishes it, to the arrival
    of its poses in another process. Every frame of the run is accounted for, from the first on.

    Args:
        options: say what is measured.
        tell: shows a line to the user.

    Returns:
        ``objects``, ``input_hz``, ``output_hz``, ``latency_ms`` (``p50``, ``p95``),
        ``cpu_percent`` (of one core; of the node's process and its children), ``rss_mib`` (of the
        node's own process), and of all frames of the run ``processed``, ``dropped`` and
        ``unaccounted``.

    Raises:
        ConfigurationError: there are not so many objects.
        BenchmarkError: a process ended, or no results came.
    """
    if not 1 <= options.objects <= len(_OBJECTS):
        raise ConfigurationError(f"{options.objects} objects: expected 1 to {len(_OBJECTS)}")
    domain = random.SystemRandom().randint(1, _LAST_DOMAIN)
    context = Context()
    rclpy.init(args=[], context=context, domain_id=domain)
    try:
        listener = _Listener(context)
        environment = ros_child_environment({"ROS_DOMAIN_ID": str(domain)})
        with ProcessGroup(options.log_dir, environment) as group:
            return _measure(group, listener, options, tell)
    finally:
        context.try_shutdown()


def _measure(
    group: ProcessGroup, listener: _Listener, options: NodeBenchmark, tell: Callable[[str], None]
) -> dict[str, Any]:
    node = group.start_module(
        "node",
        "sdfpose_ros.pose.pose_node",
        ["--ros-args", *options.node_arguments, *input_remaps("/camera")],
    )
    camera = group.start_module(
        "camera",
        "sdfpose_ros.playback.camera_node",
        [
            "--ros-args",
            "-p", f"rate_hz:={float(options.rate_hz)}",
            "-p", f"seed:={options.seed}",
            "-p", f"width:={options.width}",
            "-p", f"turn_s:={_TURN_S}",
            "-p", f"categories:=[{', '.join(_OBJECTS[: options.objects])}]",
            "-p", f"prerender:={round(_ARC_S * options.rate_hz)}",
            "-p", f"wait_s:={_STARTUP_S}",
        ],
    )  # fmt: skip
    tell("waits for the camera's frames to be made and for the first result")
    end = time.monotonic() + _STARTUP_S
    while not listener.results:
        listener.listen(0.5)
        _check_alive(group)
        if time.monotonic() > end:
            raise BenchmarkError(f"no result for {_STARTUP_S:.0f} s: see {options.log_dir}")
    tell(f"warms up for {options.warm_up_s:.0f} s, measures for {options.seconds:.0f} s")
    listener.listen(options.warm_up_s)

    process = psutil.Process(node.pid)
    published, first, cpu_s = listener.published, len(listener.results), _cpu_s(process)
    began = time.monotonic()
    listener.listen(options.seconds)
    seconds = time.monotonic() - began
    _check_alive(group)
    results = listener.results[first:]
    if not results:
        raise BenchmarkError(f"no result in {seconds:.0f} s: see {options.log_dir}")
    latency_ms = [1e-6 * (arrival - stamp) for arrival, stamp in results]
    document = {
        "objects": options.objects,
        "input_hz": (listener.published - published) / seconds,
        "output_hz": len(results) / seconds,
        "latency_ms": {
            "p50": float(np.percentile(latency_ms, 50)),
            "p95": float(np.percentile(latency_ms, 95)),
        },
        "cpu_percent": 100.0 * (_cpu_s(process) - cpu_s) / seconds,
        "rss_mib": process.memory_info().rss / 2**20,
    }
    camera.send_signal(signal.SIGINT)
    listener.listen(_DRAIN_S)
    return {**document, **_accounts(listener)}


def _accounts(listener: _Listener) -> dict[str, int]:
    """What became of the frames, as the node tells it, against what the camera published."""
    told = {key: int(value) for key, value in listener.health.items() if value.isdigit()}
    processed = told["frames worked on"]
    dropped = sum(
        told[f"frames {what}"]
        for what in (
            "gone wrong",
            "left out",
            "passed over",
            "refused",
            "waiting for a camera info",
        )
    ) + sum(told[f"messages {what} on /camera/colour"] for what in ("unmatched", "waiting"))
    return {
        "processed": processed,
        "dropped": dropped,
        "unaccounted": listener.published - processed - dropped,
    }


def _cpu_s(process: psutil.Process) -> float:
    """Seconds that a process and its children have computed."""
    times = [x.cpu_times() for x in (process, *process.children(recursive=True))]
    return sum(x.user + x.system for x in times)


def _check_alive(group: ProcessGroup) -> None:
    for name, status in group.ended().items():
        raise BenchmarkError(
            f"the process '{name}' ended with status {status}: expected it to run; its last "
            f"words:\n{group.log_tail(name)}"
        )
