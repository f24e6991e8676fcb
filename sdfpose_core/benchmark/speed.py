"""Speed, stage by stage and end to end: the paper's configuration against ours on one table."""

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

__all__ = ["MOST_OBJECTS", "SpeedBenchmark", "benchmark_speed"]

MOST_OBJECTS = 16

_TRACKED_PER_REPETITION, _SCALED_PER_REPETITION = 10, 3
"""Tracking has so many frames for each of detection, as it is faster and has a tail, and so many
with other numbers of objects."""

_TAIL_PERCENT = 95.0


@dataclass(frozen=True)
class SpeedBenchmark:
    """What is measured.

    Attributes:
        objects: number of objects on the table, 1 to `MOST_OBJECTS`.
        repetitions: frames that are detected, and runs of whatever else medians are taken of.
        seed: of models, scenes and noise.
        device: ``auto | cpu | cuda[:N]``.
        frames: that are made of a table; they are played forth and back.
        warm_up: frames of tracking that do not count.
        counts: numbers of objects at which tracking is timed.
        surface_points: numbers of observed points at which detection is timed.
        resolutions: cells along each axis of the grid at which a shape is decoded.
        paper: the other configuration.
        tracking: by default as the pose node has it.
    """

    objects: int = 4
    repetitions: int = 10
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
    """Measure everything but the memory of the node.

    The threads are those that are set when this is called (`use_threads`).

    Args:
        options: say what is measured.
        progress: told what is measured next.

    Returns:
        ``objects``; ``machine``; milliseconds per object of the ``paper`` (``encode``, ``mesh``,
        ``icp``, ``total``), of detection, ``detect``, and of tracking, ``track`` (``segment``,
        ``encode``, ``refine``, ``mesh``, ``total``; ``p95`` of the total); ``ratio_detect`` and
        ``ratio_track``, how many times as long the paper takes; ``scaling``, milliseconds of
        tracking per frame by the number of objects; ``points``, milliseconds of detection per
        object by the number of observed points; ``mesh_resolution``, milliseconds to decode a
        shape; ``matmul_gflops`` and ``decoder_gflops``, 1e9 operations per second, and what share
        the decoder reaches, ``peak_fraction``, and with derivatives ``peak_fraction_jacobian``;
        ``peak_rss_mib``, the most memory that this process had until tracking ended.

    Raises:
        DeviceError: the device is not there.
        SdfposeError: an object of the table is not found.
    """
    device = resolve_device(options.device)
    names = table_categories(options.objects)
    repetitions = options.repetitions
    progress("frames are made")
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
    progress("detection with more and fewer points")
    by_points = detection.stage_ms(frames, options.surface_points, repetitions)
    progress("shapes")
    observed = _observed(detection, frames[0], options.paper.resolution)
    decoder = SdfDecoder.load(weights_file(observed[0].instance.category, "decoder", None), device)
    code = torch.from_numpy(observed[0].estimate.code).to(device)
    with all_threads():  # as detections have it
        by_resolution = {
            str(x): median_ms(partial(decode_mesh, decoder, code, x), repetitions, device)
            for x in options.resolutions
        }
        progress("peak of the machine")
        reached = measure_throughput(decoder, repetitions)
        progress("the paper's configuration")
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
    made: dict[int, list[RgbdFrame]],
    device: torch.device,
    progress: Callable[[str], object],
) -> dict[str, float]:
    """Milliseconds per frame by the number of objects; `made` has the frames that are there."""
    scaling = {}
    for count in options.counts:
        progress(f"tracking of {count}")
        frames = made.get(count) or table_frames(count, options.frames, options.seed)
        rows = time_tracking(
            tracker, frames, options.warm_up, _SCALED_PER_REPETITION * options.repetitions, device
        )
        scaling[str(count)] = median_stages(rows, 1)["total"]
    return scaling


def _observed(detection: Detection, frame: RgbdFrame, resolution: int) -> list[Observed]:
    """The objects of a frame with the vertices of their surfaces on a grid of that resolution."""
    instances, _ = segment(frame, default_categories())
    estimates = {x.mask_id: x for x in detection(frame).estimates}
    observed = []
    for instance in instances:
        estimate = estimates[instance.mask_id]
        decoder = SdfDecoder.load(weights_file(instance.category, "decoder", None))
        code = torch.from_numpy(estimate.code)
        surface = decode_mesh(decoder, code, resolution, with_normals=False).vertices
        observed.append(Observed(instance, estimate, surface))
    return observed


def _tail(values: Sequence[float]) -> float:
    return float(np.percentile(values, _TAIL_PERCENT))


def _machine(device: torch.device) -> dict[str, Any]:
    """What the figures are of: processor, its number, threads of tracking and of all else, version
    of torch, device.
    """
    with all_threads():
        most = torch.get_num_threads()
    return {
        "cpu": _processor(),
        "cpus": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "burst_threads": most,
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
    }


def _processor() -> str:
    """Name of the processor's model."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.is_file() else []
    names = [x.partition(":")[2].strip() for x in lines if x.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _peak_rss_mib() -> float:
    """The most memory, MiB, that this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
