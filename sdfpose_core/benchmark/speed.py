"""Speed benchmark: our pipeline and that of SSC-6D, by stage and in total, on the same scene.

"The paper" is SSC-6D (Peng et al., AAAI 2022).
"""

from __future__ import annotations

import os
import platform
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sdfpose_core.benchmark.extents import OBJECTS, REPETITIONS
from sdfpose_core.benchmark.speed_frames import table_categories, table_frames
from sdfpose_core.benchmark.speed_ours import (
    Detection,
    median_stages,
    new_tracker,
    time_tracking,
)
from sdfpose_core.benchmark.speed_paper import Observed, PaperConfig, time_paper
from sdfpose_core.benchmark.stopwatch import median_ms
from sdfpose_core.benchmark.throughput import measure_throughput
from sdfpose_core.categories import default_categories
from sdfpose_core.device import all_threads, resolve_device
from sdfpose_core.estimation.estimator import EstimatorConfig
from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.observation.segmentation import segment
from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.sdf.meshing import decode_mesh
from sdfpose_core.tracking.tracker import Tracker, TrackerConfig
from sdfpose_core.weights import weights_file

__all__ = ["SpeedBenchmark", "benchmark_speed"]

_TRACKED_PER_REPETITION, _SCALED_PER_REPETITION = 10, 3
"""Tracked frames per repetition: several, since tracking is fast and its tail is measured; fewer
when the number of objects is varied."""

_TAIL_PERCENT = 95.0


@dataclass(frozen=True)
class SpeedBenchmark:
    """Configuration of the speed benchmark.

    Attributes:
        objects: number of objects on the table, 1 to `MAX_OBJECTS`.
        repetitions: number of frames for detection, and of runs per median elsewhere.
        seed: random seed of models, scenes and noise.
        device: ``auto | cpu | cuda[:N]``.
        frames: number of rendered frames per scene; they are played forward and backward.
        warm_up: tracked frames before the measurement.
        counts: numbers of objects at which tracking is timed.
        surface_points: numbers of surface points at which detection is timed.
        resolutions: grid cells per axis at which meshing is timed.
        paper: configuration of the paper's pipeline.
        tracking: tracker configuration; default: that of the pose node.
    """

    objects: int = OBJECTS
    repetitions: int = REPETITIONS
    seed: int = 0
    device: str = "auto"
    frames: int = 16
    warm_up: int = 60
    counts: tuple[int, ...] = (1, 2, 4, 8, 16)
    surface_points: tuple[int, ...] = (128, 256, 512)
    resolutions: tuple[int, ...] = (32, 64, 96, 128)
    paper: PaperConfig = field(default_factory=PaperConfig)
    tracking: TrackerConfig | None = None


def benchmark_speed(
    options: SpeedBenchmark, progress: Callable[[str], object] = lambda part: None
) -> dict[str, Any]:
    """Measure everything except the memory of the node.

    Uses the number of threads that is set when this is called (`set_threads`).

    Args:
        options: configuration of the benchmark.
        progress: called with a description of the current step.

    Returns:
        ``objects`` and ``machine``. ``paper`` (``encode``, ``mesh``, ``icp``, ``total``),
        ``detect`` and ``track`` (``segment``, ``encode``, ``refine``, ``mesh``, ``total``; for
        tracking also ``p95`` of the total): milliseconds per object. ``ratio_detect`` and
        ``ratio_track``: speed-up over the paper. ``scaling``: milliseconds of tracking per frame
        by number of objects. ``points``: milliseconds of detection per object by number of surface
        points. ``mesh_resolution``: milliseconds per mesh by grid cells per axis.
        ``matmul_gflops`` and ``decoder_gflops``: throughput, GFLOP/s. ``peak_fraction`` and
        ``peak_fraction_jacobian``: fraction of the peak that the decoder reaches, without and with
        derivatives. ``peak_rss_mib``: peak memory of this process until the end of tracking, MiB.

    Raises:
        DeviceError: The device is not available.
        SdfposeError: An object on the table is not detected.
    """
    device = resolve_device(options.device)
    names = table_categories(options.objects)
    repetitions = options.repetitions
    progress("rendering frames")
    frames = table_frames(options.objects, options.frames, options.seed, colour=True)

    progress("detection")
    detection = Detection(names, device, options.paper.resolution)
    usual = EstimatorConfig().surface_points
    detected = detection.stage_ms(frames, [usual], repetitions)[usual]
    progress("tracking")
    tracker = new_tracker(device, options.tracking)
    try:
        tracker.prepare()
        tracked = time_tracking(
            tracker, frames, options.warm_up, _TRACKED_PER_REPETITION * repetitions, device
        )
        peak_rss_mib = _peak_rss_mib()
        scaling = _scaling(tracker, options, {options.objects: frames}, device, progress)
    finally:
        tracker.close()
    progress("detection by number of points")
    by_points = detection.stage_ms(frames, options.surface_points, repetitions)
    progress("meshing")
    observed = _observed(detection, frames[0], options.paper.resolution)
    decoder = SdfDecoder.load(weights_file(observed[0].instance.category, "decoder"), device)
    code = torch.from_numpy(observed[0].estimate.code).to(device)
    with all_threads():  # detection uses all threads
        by_resolution = {
            str(x): median_ms(partial(decode_mesh, decoder, code, x), repetitions, device)
            for x in options.resolutions
        }
        progress("peak performance")
        reached = measure_throughput(decoder, repetitions)
        progress("the paper's pipeline")
        paper = time_paper(options.paper, observed, repetitions, device)

    detect, track = (median_stages(x, options.objects) for x in (detected, tracked))
    track["p95"] = _tail([x["total"] for x in tracked]) / options.objects
    return {
        "objects": options.objects,
        "machine": _machine(device),
        "paper": paper,
        "detect": detect,
        "track": track,
        "ratio_detect": paper["total"] / detect["total"],
        "ratio_track": paper["total"] / track["total"],
        "scaling": scaling,
        "points": {
            str(x): median_stages(rows, options.objects)["total"] for x, rows in by_points.items()
        },
        "mesh_resolution": by_resolution,
        "matmul_gflops": reached.matmul,
        "decoder_gflops": reached.values,
        "peak_fraction": reached.values / reached.matmul,
        "peak_fraction_jacobian": reached.jacobian / reached.matmul,
        "peak_rss_mib": peak_rss_mib,
    }


def _scaling(
    tracker: Tracker,
    options: SpeedBenchmark,
    rendered: dict[int, list[RgbdFrame]],
    device: torch.device,
    progress: Callable[[str], object],
) -> dict[str, float]:
    """Time tracking per frame by number of objects; `rendered` has frames to reuse."""
    scaling = {}
    for count in options.counts:
        progress(f"tracking {count} objects")
        frames = rendered.get(count) or table_frames(count, options.frames, options.seed)
        rows = time_tracking(
            tracker, frames, options.warm_up, _SCALED_PER_REPETITION * options.repetitions, device
        )
        scaling[str(count)] = median_stages(rows, 1)["total"]
    return scaling


def _observed(detection: Detection, frame: RgbdFrame, resolution: int) -> list[Observed]:
    """Detect the objects of a frame and mesh their surfaces at a resolution."""
    instances, _ = segment(frame, default_categories())
    estimates = {x.mask_id: x for x in detection(frame).estimates}
    observed = []
    for instance in instances:
        estimate = estimates[instance.mask_id]
        decoder = SdfDecoder.load(weights_file(instance.category, "decoder"))
        code = torch.from_numpy(estimate.code)
        surface = decode_mesh(decoder, code, resolution, with_normals=False).vertices
        observed.append(Observed(instance, estimate, surface))
    return observed


def _tail(values: Sequence[float]) -> float:
    return float(np.percentile(values, _TAIL_PERCENT))


def _machine(device: torch.device) -> dict[str, Any]:
    """Describe the machine: CPU, cores, threads of tracking and of detection, torch, device."""
    with all_threads():
        burst_threads = torch.get_num_threads()
    return {
        "cpu": _processor(),
        "cpus": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "burst_threads": burst_threads,
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
    }


def _processor() -> str:
    """Return the model name of the CPU."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.is_file() else ""
    lines = text.splitlines()
    names = [x.partition(":")[2].strip() for x in lines if x.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _peak_rss_mib() -> float:
    """Return the peak memory of this process, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
