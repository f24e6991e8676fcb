"""The benchmark of speed, with networks, frames and repetitions that take no time."""

import types
from dataclasses import replace

import numpy as np
import pytest
import torch

from sdfpose_core.benchmark import speed_ours, speed_paper
from sdfpose_core.benchmark.speed import SpeedBenchmark, benchmark_speed
from sdfpose_core.benchmark.speed_frames import table_frames
from sdfpose_core.benchmark.speed_ours import (
    Detection,
    median_stages,
    new_tracker,
    time_tracking,
)
from sdfpose_core.benchmark.speed_paper import Observed, PaperConfig, time_paper
from sdfpose_core.categories import default_categories
from sdfpose_core.encoder.ssc6d import Ssc6dConfig
from sdfpose_core.errors import DeviceError, SdfposeError
from sdfpose_core.estimation import shape_cache
from sdfpose_core.observation.segmentation import segment
from sdfpose_core.sdf.deepsdf import DeepSdfConfig
from sdfpose_core.tracking.config import TrackerConfig

CPU = torch.device("cpu")
SMALL_PAPER = PaperConfig(
    Ssc6dConfig(points=64, image_size=48, width=4),
    DeepSdfConfig(width=24, hidden_layers=5),
    resolution=32,
    meshes=1,
)
SMALL = SpeedBenchmark(
    objects=2,
    repetitions=1,
    device="cpu",
    frames=2,
    warm_up=3,
    counts=(1, 2),
    surface_points=(64, 128),
    resolutions=(32,),
    paper=SMALL_PAPER,
    tracking=TrackerConfig(wait_for_verification=False),
)
STAGES = ("segment", "encode", "refine", "mesh")


@pytest.fixture(scope="module")
def frames():
    return table_frames(2, 2, 0, colour=True)


def test_all_figures():
    told = []
    figures = benchmark_speed(SMALL, told.append)
    assert list(figures) == [
        "objects",
        "machine",
        "paper",
        "detect",
        "track",
        "ratio_detect",
        "ratio_track",
        "scaling",
        "points",
        "mesh_resolution",
        "matmul_gflops",
        "decoder_gflops",
        "peak_fraction",
        "peak_fraction_jacobian",
        "peak_rss_mib",
    ]
    assert figures["objects"] == 2
    assert set(figures["machine"]) == {
        "cpu", "cpus", "threads", "burst_threads", "torch", "device"
    }  # fmt: skip
    assert figures["machine"]["threads"] == torch.get_num_threads()
    assert figures["machine"]["burst_threads"] >= torch.get_num_threads()
    paper, detect, track = (figures[x] for x in ("paper", "detect", "track"))
    assert list(paper) == ["encode", "mesh", "icp", "total"]
    assert min(paper.values()) > 0.0
    assert paper["total"] == pytest.approx(paper["encode"] + paper["mesh"] + paper["icp"])
    assert list(detect) == [*STAGES, "total"]
    assert min(detect.values()) > 0.0
    # Of one frame the medians are its own.
    assert sum(detect[x] for x in STAGES) <= detect["total"]
    assert list(track) == [*STAGES, "total", "p95"]
    assert min(track[x] for x in ("segment", "refine", "mesh")) > 0.0
    assert 0.0 < track["total"] <= track["p95"]
    assert figures["ratio_detect"] == pytest.approx(paper["total"] / detect["total"])
    assert figures["ratio_track"] == pytest.approx(paper["total"] / track["total"])
    assert list(figures["scaling"]) == ["1", "2"]
    assert list(figures["points"]) == ["64", "128"]
    assert list(figures["mesh_resolution"]) == ["32"]
    for name in ("scaling", "points", "mesh_resolution"):
        assert min(figures[name].values()) > 0.0
    assert figures["peak_fraction"] == pytest.approx(
        figures["decoder_gflops"] / figures["matmul_gflops"]
    )
    assert figures["peak_fraction_jacobian"] > 0.0
    assert figures["peak_rss_mib"] > 100.0
    assert told[0] == "rendering frames"
    assert told[-1] == "the paper's pipeline"


def test_a_device_that_is_not_there():
    with pytest.raises(DeviceError, match="warp"):
        benchmark_speed(replace(SMALL, device="warp"))


def test_each_detection_knows_no_shape_but_the_same_networks(frames, monkeypatch):
    made, decoded = [], []
    wrapped, decode = speed_ours.PoseEstimator, shape_cache.mesh_from_grid

    def estimator(config):
        made.append((config.surface_points, config.mesh_resolution))
        return wrapped(config)

    def mesh_from_grid(grid, *rest, **more):
        decoded.append(grid.resolution)
        return decode(grid, *rest, **more)

    monkeypatch.setattr(speed_ours, "PoseEstimator", estimator)
    monkeypatch.setattr(shape_cache, "mesh_from_grid", mesh_from_grid)
    rows = Detection(["bottle", "bowl"], CPU, 32).stage_ms([frames[0]], [32, 64], 2)
    assert {points: len(x) for points, x in rows.items()} == {32: 2, 64: 2}
    assert made == [(32, 32), (64, 32)]
    assert decoded == [32] * 2 * 3 * 2  # objects, frames, numbers of points


def test_an_object_that_is_not_found_ends_the_benchmark(frames):
    mask = frames[0].mask.copy()
    mask.ravel()[np.flatnonzero(mask == 2)[5:]] = 0
    detection = Detection(["bottle", "bowl"], CPU, 32)
    with pytest.raises(SdfposeError, match=r"an object has no estimate.*mask id 2.*another seed"):
        detection(replace(frames[0], mask=mask))


class StubTracker:
    """Says of each frame that it took its number in milliseconds."""

    def __init__(self, *given):
        self.given = given
        self.stamps = []
        self.resets = 0

    def reset(self):
        self.resets += 1

    def step(self, frame):
        self.stamps.append(frame.stamp_ns)
        return types.SimpleNamespace(stage_ms={"refine": float(len(self.stamps)), "total": 1e6})


def test_tracking_counts_after_warming_up(frames):
    tracker = StubTracker()
    rows = time_tracking(tracker, frames, 4, 3, CPU)
    assert tracker.resets == 1
    assert len(tracker.stamps) == 7
    assert np.diff(tracker.stamps).min() > 0
    assert [x["refine"] for x in rows] == [5.0, 6.0, 7.0]
    assert all(0.0 < x["total"] < 1e5 for x in rows)
    medians = median_stages(rows, 2)
    assert medians["refine"] == 3.0
    assert medians["encode"] == 0.0


def test_the_tracker_is_the_nodes(monkeypatch):
    monkeypatch.setattr(speed_ours, "Tracker", StubTracker)
    _, config = new_tracker(CPU).given
    assert config == TrackerConfig.live(CPU)
    assert config.verify_in_process
    mine = TrackerConfig(wait_for_verification=False)
    assert new_tracker(CPU, mine).given[1] is mine


def test_icp_starts_from_a_slightly_wrong_pose(frames, monkeypatch):
    detection = Detection(["bottle", "bowl"], CPU, 32)
    estimates = detection(frames[0]).estimates
    instances, _ = segment(frames[0], default_categories())
    surface = np.eye(3, dtype=np.float32)
    observed = [Observed(x, y, surface) for x, y in zip(instances, estimates, strict=True)]
    calls = []
    monkeypatch.setattr(speed_paper, "refine_icp", lambda *args: calls.append(args))
    monkeypatch.setattr(
        speed_paper,
        "median_ms",
        lambda work, repetitions, device: (work(), 10.0 * (1 + len(calls)))[1],
    )
    monkeypatch.setattr(speed_paper, "elapsed_ms", lambda work, device: 7.0)
    paper = time_paper(SMALL_PAPER, observed, 1, CPU)
    # Two instances in a batch, one mesh, and the mean over two objects.
    assert paper == {"encode": 5.0, "mesh": 7.0, "icp": 25.0, "total": 37.0}
    for (vertices, points, rotation, translation, _), x, instance in zip(
        calls, estimates, instances, strict=True
    ):
        assert np.allclose(vertices, x.decoder_scale * surface)
        assert points is instance.points
        cosine = 0.5 * (np.trace(rotation @ x.rotation.T) - 1.0)
        assert np.rad2deg(np.arccos(cosine)) == pytest.approx(2.0, abs=0.01)
        assert np.linalg.norm(translation - x.decoder_translation) == pytest.approx(0.002)
