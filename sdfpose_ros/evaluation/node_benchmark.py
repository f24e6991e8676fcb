"""Benchmark of the pose node in a running graph: camera, node and listener as processes."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
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
from sdfpose_ros.graph.arguments import parameter_arguments
from sdfpose_ros.graph.middleware import free_domain
from sdfpose_ros.graph.process_group import ProcessGroup, ros_child_environment
from sdfpose_ros.graph.topics import input_remaps

__all__ = ["BenchmarkError", "NodeBenchmark", "account", "benchmark_node"]

_OBJECTS = ("bottle", "bowl", "can", "mug", "camera", "laptop")
"""Objects on the table. The first N of them are used."""

_COLOUR = "/camera/colour"

_ARC_S = 5.0
"""Length of the camera path, which is rendered in advance and played back and forth."""

_TURN_S = 40.0
_STARTUP_S = 180.0
"""Longest wait for the first result, including loading the weights and rendering."""

_DRAIN_S = 20.0
"""Longest wait after the last frame until the node has reported it on ``/diagnostics``."""

_QOS = QoSProfile(depth=1000)


class BenchmarkError(SdfposeError):
    """A process of the benchmark ended, or there were no results."""


@dataclass(frozen=True)
class NodeBenchmark:
    """Options of the benchmark.

    Attributes:
        log_dir: folder for the logs of the processes.
        objects: number of objects on the table, 1 to 6.
        rate_hz: frame rate of the camera.
        seconds: duration of the measurement.
        warm_up_s: time between the first result and the measurement, seconds.
        width: image width, pixels.
        seed: seed of the scene.
        load: number of busy processes beside the graph.
        masks: source of the masks, as the node's parameter; ``topic`` takes those of the camera.
        node_arguments: arguments of the pose node, after ``--ros-args``.
    """

    log_dir: Path
    objects: int = 4
    rate_hz: float = 30.0
    seconds: float = 30.0
    warm_up_s: float = 10.0
    width: int = 640
    seed: int = 7
    load: int = 0
    masks: str = "topic"
    node_arguments: tuple[str, ...] = ()


class _Listener:
    """Counts the frames of the camera and records the arrival of results.

    Attributes:
        published: number of frames of the camera.
        first_image_ns: wall-clock arrival of the first frame, 0 before.
        results: wall-clock arrival and image stamp of each result, nanoseconds.
        health: latest values of the pose node on ``/diagnostics``.
    """

    def __init__(self, context: Context) -> None:
        self.published = 0
        self.first_image_ns = 0
        self.results: list[tuple[int, int]] = []
        self.health: dict[str, str] = {}
        self.node = Node("benchmark", context=context)
        self.node.create_subscription(CameraInfo, "/camera/camera_info", self._count, _QOS)
        self.node.create_subscription(SdfObjectArray, "/sdfpose/objects", self._record, _QOS)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._take_health, _QOS)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.node)

    def listen(self, seconds: float) -> None:
        """Receive messages for this long."""
        end = time.monotonic() + seconds
        while (rest := end - time.monotonic()) > 0.0:
            self._executor.spin_once(timeout_sec=rest)

    def _count(self, _: CameraInfo) -> None:
        self.published += 1
        self.first_image_ns = self.first_image_ns or time.time_ns()

    def _record(self, message: SdfObjectArray) -> None:
        self.results.append((time.time_ns(), stamp_ns(message.header)))

    def _take_health(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith("sdfpose"):
                self.health = {x.key: x.value for x in status.values}


def benchmark_node(options: NodeBenchmark, log: Callable[[str], None]) -> dict[str, Any]:
    """Benchmark the pose node.

    Latency is the time from the stamp of an image, which is that of its publication, to the arrival
    of its poses in another process. All frames of the run are accounted for. The node's inputs are
    best effort, therefore the middleware may lose some of them on a busy machine.

    Args:
        options: options of the benchmark.
        log: shows a line to the user.

    Returns:
        ``objects``, ``load``, ``masks``, ``first_result_s`` (from the first image to the first
        result), ``input_hz``, ``output_hz``, ``latency_ms`` (``p50``, ``p95``),
        ``cpu_percent`` (of one core; the node's process and its children), ``rss_mib`` (the node's
        own process), and the number of frames ``processed``, ``dropped`` by the node, ``lost``
        between camera and node, and ``unaccounted`` in the whole run.

    Raises:
        ConfigurationError: the number of objects is out of range.
        BenchmarkError: a process ended, or there were no results.
    """
    if not 1 <= options.objects <= len(_OBJECTS):
        raise ConfigurationError(f"{options.objects} objects: expected 1 to {len(_OBJECTS)}")
    if options.load < 0:
        raise ConfigurationError(f"a load of {options.load} processes: expected 0 or more")
    domain = free_domain()
    context = Context()
    rclpy.init(args=[], context=context, domain_id=domain)
    try:
        listener = _Listener(context)
        environment = ros_child_environment({"ROS_DOMAIN_ID": str(domain)})
        with ProcessGroup(options.log_dir, environment) as group:
            return _measure(group, listener, options, log)
    finally:
        context.try_shutdown()


def _measure(
    group: ProcessGroup, listener: _Listener, options: NodeBenchmark, log: Callable[[str], None]
) -> dict[str, Any]:
    for i in range(options.load):  # a module of the standard library that keeps a core busy
        group.start_module(f"load_{i + 1}", "timeit", ["--number", str(10**15), "pass"])
    node = group.start_node(
        "node",
        "sdfpose_ros.pose.pose_node",
        [
            "--ros-args",
            *options.node_arguments,
            *parameter_arguments(masks=options.masks),
            *input_remaps("/camera"),
        ],
    )
    camera = group.start_node(
        "camera",
        "sdfpose_ros.playback.camera_node",
        [
            "--ros-args",
            *parameter_arguments(
                rate_hz=float(options.rate_hz),
                seed=options.seed,
                width=options.width,
                turn_s=_TURN_S,
                categories=_OBJECTS[: options.objects],
                masks=options.masks == "topic",
                prerender=round(_ARC_S * options.rate_hz),
                wait_s=_STARTUP_S,
            ),
        ],
    )  # fmt: skip
    log("rendering the frames and waiting for the first result")
    end = time.monotonic() + _STARTUP_S
    while not listener.results:
        listener.listen(0.5)
        _check_alive(group)
        if time.monotonic() > end:
            raise BenchmarkError(
                f"no result within {_STARTUP_S:.0f} s: see the logs in {options.log_dir}"
            )
    first_result_s = 1e-9 * (listener.results[0][0] - listener.first_image_ns)
    log(f"warming up for {options.warm_up_s:.0f} s, measuring for {options.seconds:.0f} s")
    listener.listen(options.warm_up_s)

    process = psutil.Process(node.pid)
    published, first, cpu_s = listener.published, len(listener.results), _cpu_s(process)
    began = time.monotonic()
    listener.listen(options.seconds)
    seconds = time.monotonic() - began
    _check_alive(group)
    results = listener.results[first:]
    if not results:
        raise BenchmarkError(f"no result in {seconds:.0f} s: see the logs in {options.log_dir}")
    latency_ms = [1e-6 * (arrival - stamp) for arrival, stamp in results]
    document = {
        "objects": options.objects,
        "load": options.load,
        "masks": options.masks,
        "first_result_s": first_result_s,
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
    return {**document, **_drain(listener)}


def _drain(listener: _Listener) -> dict[str, int]:
    """Return the account of all frames, once the node has reported the last one."""
    end = time.monotonic() + _DRAIN_S
    listener.listen(1.0)
    while (found := account(listener.published, listener.health))["lost"] or found["unaccounted"]:
        if time.monotonic() > end:
            break
        listener.listen(0.5)
    return found


def account(published: int, health: Mapping[str, str]) -> dict[str, int]:
    """Return what became of the frames of a camera.

    Args:
        published: number of frames that the camera published.
        health: values of the pose node on ``/diagnostics``.

    Returns:
        The number of frames ``processed``; ``dropped`` by the node for a reason that it reports;
        ``lost`` before they arrived; and ``unaccounted``, which arrived and are none of these: the
        node is still at work on them, or its counts are wrong.
    """
    counts = {key: int(value) for key, value in health.items() if value.isdigit()}
    received = counts[f"messages received on {_COLOUR}"]
    processed = counts["frames processed"]
    dropped = sum(
        counts[f"frames {what}"]
        for what in ("failed", "dropped", "ignored", "rejected", "waiting for camera info")
    ) + sum(counts[f"messages {what} on {_COLOUR}"] for what in ("unmatched", "queued"))
    return {
        "processed": processed,
        "dropped": dropped,
        "lost": published - received,
        "unaccounted": received - processed - dropped,
    }


def _cpu_s(process: psutil.Process) -> float:
    """Return the CPU time of a process and its children, seconds."""
    times = [x.cpu_times() for x in (process, *process.children(recursive=True))]
    return sum(x.user + x.system for x in times)


def _check_alive(group: ProcessGroup) -> None:
    for name, status in group.ended().items():
        raise BenchmarkError(
            f"the process '{name}' ended with status {status} (log: {group.log_path(name)}): "
            f"{group.last_words(name)}"
        )
