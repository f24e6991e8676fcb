"""Every key of the JSON files is documented."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from simple_estimates import make_alternative, make_frame

from sdfpose_core.benchmark.adaptation import ROWS, AdaptationRun, summarise_adaptation
from sdfpose_core.benchmark.many_categories import (
    LoadingCost,
    ScreenOutcome,
    summarise_loading,
    summarise_screen,
)
from sdfpose_core.benchmark.masks import OTHER, MaskOutcome, summarise_masks
from sdfpose_core.benchmark.outcomes import PoseOutcome
from sdfpose_core.benchmark.pose_figures import summarise, summarise_categories
from sdfpose_core.benchmark.rejection import JudgedMask, RejectionOutcome
from sdfpose_core.benchmark.rejection_figures import confident_estimates, summarise_rejection
from sdfpose_core.benchmark.repeated_runs import repeated_figures
from sdfpose_core.benchmark.sequences import TrackedSequence, summarise_sequences
from sdfpose_core.benchmark.speed import benchmark_speed
from sdfpose_core.cli import adapt, bench_pose, doctor, replay
from sdfpose_core.cli.estimate_results import EstimateRow, Estimates
from sdfpose_core.cli.frame_masks import FrameMasks
from sdfpose_core.cli.main import main
from sdfpose_core.datasets import FolderFrame
from sdfpose_core.diagnosis.findings import Finding
from sdfpose_core.evaluation import compare
from sdfpose_core.evaluation.frame_evaluation import (
    FrameEvaluation,
    ObjectEvaluation,
    ReportedObject,
)
from sdfpose_core.evaluation.frame_metrics import frame_metrics
from sdfpose_core.evaluation.mask_metrics import match_masks
from sdfpose_core.evaluation.nocs_results import average_metrics
from sdfpose_core.evaluation.tracks import TrackSample
from sdfpose_core.masks.instance_mask import InstanceMask
from sdfpose_core.observation.frame import (
    GroundTruth,
    InstanceLabel,
    ObjectEstimate,
    RgbdFrame,
    SkippedInstance,
)
from sdfpose_core.packs.pack import Pack
from sdfpose_core.selfsup.fitness import Fitness
from sdfpose_core.weights import SHIPPED

PAGE = Path(__file__).parents[2] / "docs" / "json_files.md"
FREE = {"can", "total", "points_on_surface", "refine", "1", "50"}
"""Names of categories, stages and statistics in the documents below."""


@pytest.fixture(scope="module")
def documented() -> set[str]:
    return set(re.findall(r"`([a-z0-9_]+)`", PAGE.read_text(encoding="utf-8"), re.IGNORECASE))


def keys(document: Any) -> set[str]:
    if isinstance(document, dict):
        return set(document) | set().union(*(keys(x) for x in document.values()))
    if isinstance(document, list | tuple):
        return set().union(*(keys(x) for x in document))
    return set()


TRUTH = GroundTruth("", "can", "can_1", np.eye(3), np.ones(3), np.ones(3), True)  # type: ignore[arg-type]
ESTIMATE = ObjectEstimate(
    mask_id=1,
    category="can",
    rotation=np.eye(3),
    translation=np.ones(3),
    scale=1.7,
    dimensions_m=np.ones(3),
    confidence=0.9,
    covariance=np.eye(6),
    symmetric_about_y=True,
    code=np.zeros(4, np.float32),
    decoder_translation=np.zeros(3),
    decoder_scale=1.0,
    vertices=np.zeros((0, 3), np.float32),
    faces=np.zeros((0, 3), np.int32),
    normals=np.zeros((0, 3), np.float32),
    diagnostics={"points_on_surface": 1.0},
    probability=0.75,
    alternatives=(make_alternative(),),
    symmetries=np.diag([1.0, -1.0, -1.0])[None],
)
ERRORS = compare(ESTIMATE, TRUTH)


def frame() -> FrameEvaluation:
    item = ObjectEvaluation(ReportedObject.of(ESTIMATE), TRUTH, ERRORS)
    return FrameEvaluation("one", 1, (item,), (TRUTH,), {"total": 1.0})


def outcome() -> PoseOutcome:
    reported = ReportedObject.of(ESTIMATE)
    return PoseOutcome("one", TRUTH, 0.8, reported, 1.0, 1.0, 0.9, 1.0, {"total": 1.0})


MISS = dataclasses.replace(outcome(), reported=None)


def test_the_file_of_estimates_names_what_it_was_written_beside(documented: set[str]) -> None:
    done = Estimates({"total": []}, folders={"total": Path("frames/total")})
    done.skipped["total"] = [SkippedInstance(1, "can", "too few points")]
    document = done.as_json(Path("out"), None)
    assert keys(document) - FREE <= documented
    assert document["folders"] == {"total": "frames/total"}
    assert document["out"] == "out"


def test_estimates(documented: set[str]) -> None:
    document = EstimateRow("can_1", ESTIMATE, ERRORS, 1.0).as_json()
    assert keys(document) - FREE <= documented
    assert {"symmetric_about_y", "covariance", "diagnostics"} <= set(document)
    assert np.shape(document["covariance"]) == (6, 6)
    assert np.shape(document["symmetries"]) == (1, 3, 3)
    (rival,) = document["alternatives"]
    assert rival["category"] == "bowl"
    assert document["probability"] + rival["probability"] == pytest.approx(1.0)
    json.dumps(document, allow_nan=False)


def test_keys_of_skipped_masks(documented: set[str]) -> None:
    assert {x.name for x in dataclasses.fields(SkippedInstance)} | {"skipped"} <= documented


def test_packs(documented: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    entry = set(Pack.read(SHIPPED / "laptop").category.as_entry())
    shares = {"standing", "upside_down", "lying"}
    page = (PAGE.parent / "packs.md").read_text(encoding="utf-8")
    assert entry <= set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    for arguments in (["list"], ["show", "can"]):
        assert main(["packs", *arguments, "--json", "-"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert keys(document) - entry - shares <= documented


def test_frames(documented: set[str]) -> None:
    document = frame_metrics([frame()]) | {"frames": [x.as_json() for x in frame().objects]}
    assert keys(document) - FREE <= documented
    x = document["frames"][0]
    assert x["symmetric_about_y"] is True
    assert np.shape(x["symmetries"]) == (1, 3, 3)
    assert x["probability"] == 0.75
    assert np.shape(x["alternatives"][0]["R"]) == (3, 3)


MASK = np.eye(8, dtype=np.uint16)


def test_masks(documented: set[str]) -> None:
    masks = FrameMasks("tabletop", TabletopLike(), None, None)
    item = FolderFrame("one", make_frame(8, 8), [], {}, [])
    masks.of_folder(dataclasses.replace(item, frame=dataclasses.replace(item.frame, mask=MASK)))
    document = masks.as_json()
    assert {"mean", "frames", "source"} == set(document)
    assert keys(document) - {"one"} <= documented
    assert {"mask_id", "found_id", "category", "best_iou"} <= keys(document)
    json.dumps(document, allow_nan=False)


def test_mask_benchmark(documented: set[str]) -> None:
    outcome = MaskOutcome("one", 1.0, match_masks(MASK, MASK), {1: "can"})
    document = summarise_masks([outcome, dataclasses.replace(outcome, categories={})])
    assert set(document["per_category"]) == {"can", OTHER}
    assert keys(document) - FREE <= documented


def test_category_benchmark(documented: set[str]) -> None:
    loading = summarise_loading([LoadingCost("can", 1.0, 1.0)])
    rows = summarise_screen([ScreenOutcome("can", ("can",), "can", 1.0)])
    assert keys({"loading": loading, "categories": rows}) <= documented


def test_rejection_benchmark(documented: set[str]) -> None:
    masks = (
        JudgedMask(1, "object", called="can", confidence=0.9, true_category="can", right=True),
        JudgedMask(2, "background", called="can", confidence=0.9),
    )
    outcomes = [RejectionOutcome("one", 1.0, masks)]
    document = [summarise_rejection(outcomes, 0.5, complete=x) for x in (True, False)]
    assert keys([*document, confident_estimates(outcomes, 0.5)]) - FREE <= documented


class TabletopLike:
    """A backend that finds everything."""

    def segment(self, frame: RgbdFrame) -> InstanceMask:
        return InstanceMask(np.ones_like(frame.mask), {1: InstanceLabel("any")})

    def reset(self) -> None:
        pass


def test_findings(documented: set[str]) -> None:
    assert keys(Finding("ok", "rate", "30 Hz").as_json()) <= documented


def test_own_categories_have_errors() -> None:
    kettle = dataclasses.replace(frame().objects[0].reported, category="kettle")
    item = ObjectEvaluation(kettle, dataclasses.replace(TRUTH, category="kettle"), ERRORS)
    metrics = frame_metrics([dataclasses.replace(frame(), objects=(item, *frame().objects))])
    assert list(metrics["errors"]) == ["can", "kettle"]


def test_repeated_runs(documented: set[str]) -> None:
    metrics = frame_metrics([frame()])["average_precision"]
    assert keys(average_metrics([metrics, metrics])) - FREE <= documented


def test_repeated_benchmarks(documented: set[str]) -> None:
    figures = frame_metrics([frame()])["average_precision"]
    rules = dict.fromkeys(("truth", "images", "iou", "misses", "scores"), "")
    document = rules | {"detections": {}, "problems": [], **figures}
    assert keys(repeated_figures([document, document])) - FREE <= documented


def test_poses(documented: set[str]) -> None:
    document = summarise({"can": [outcome()]}) | summarise_categories({"can": [outcome(), MISS]})
    document |= {"instances": [bench_pose._instance(outcome())]}
    names = {x for x in keys(document) if not re.fullmatch(r"[0-9.]+-[0-9.]+", x)}
    assert names - FREE <= documented


def test_sequences(documented: set[str]) -> None:
    sample = TrackSample(0.0, visible=True, hidden=False)
    sequence = TrackedSequence(0, ["0:can"], [[sample]], [outcome()], [outcome()], [outcome()])
    names = {
        x for x in keys(summarise_sequences([sequence])) if not re.fullmatch(r"[0-9.]+-[0-9.]+", x)
    }
    assert names - FREE <= documented


def test_adaptation(documented: set[str]) -> None:
    some = {row: [outcome()] for row in ROWS}
    run = AdaptationRun("can", 0, some, some, dict.fromkeys(ROWS, 7))
    assert keys(summarise_adaptation([run], [])) - FREE <= documented
    assert {x.name for x in dataclasses.fields(Fitness)} <= documented


@pytest.mark.parametrize(
    "function", [adapt.run, bench_pose._instance, doctor.run, replay.run, replay._frames]
)
def test_keys_in_the_commands(function: Any, documented: set[str]) -> None:
    source = inspect.getsource(function)
    if "report = {" in source:
        source = source[source.index("report = {") :]
    assert set(re.findall(r'"([a-z_]+)": ', source)) <= documented


def test_speed(documented: set[str]) -> None:
    named = set(re.findall(r"``([a-z0-9_]+)``", benchmark_speed.__doc__ or ""))
    assert named <= documented


def test_camera(documented: set[str]) -> None:
    source = (PAGE.parents[1] / "sdfpose_ros/cameras/benchmark.py").read_text("utf-8")
    assert set(re.findall(r'"([a-z_]+)": ', source)) - {"colour", "depth"} <= documented | {
        "ROS_DOMAIN_ID"
    }
