"""The command `sdfpose bench pose`."""

import argparse
import json
from collections import Counter

import numpy as np
import pytest
import trimesh
from own_pack import copied_pack

from sdfpose_core.benchmark import poses
from sdfpose_core.benchmark.ablation import PARTS
from sdfpose_core.benchmark.outcomes import PoseOutcome
from sdfpose_core.benchmark.pose_figures import summarise
from sdfpose_core.benchmark.poses import run_cases
from sdfpose_core.cli import bench_pose
from sdfpose_core.cli.arguments import bench_pose as bench_pose_arguments
from sdfpose_core.cli.main import main
from sdfpose_core.estimation.estimator import EstimatorConfig, PoseEstimator
from sdfpose_core.estimation.mode_ranking import MODE_FEATURES, ModeRanking
from sdfpose_core.observation.frame import GroundTruth

MEASURES = {"iou25", "iou50", "iou75", "deg5_cm2", "deg5_cm5", "deg10_cm2", "deg10_cm5"}
FIGURES = {"n", *MEASURES, "rot_median_deg", "trans_median_cm", "chamfer_median_mm"}
FIGURES |= {"wrong_mode", "wrong_confident", "chosen_deg10_cm5", "oracle_deg10_cm5", "right_rank"}


@pytest.fixture(autouse=True)
def few_models(monkeypatch):
    monkeypatch.setattr(poses, "MODELS", 2)
    monkeypatch.setattr(poses, "_DISTRACTORS", 1)


def bench(tmp_path, *arguments):
    out = tmp_path / "bench.json"
    command = ["bench", "pose", "--json", str(out), "--threads", "1", *map(str, arguments)]
    assert main(command) == 0
    return json.loads(out.read_text())


def test_synthetic(tmp_path, capsys):
    document = bench(tmp_path, "--suite", "synthetic", "--category", "bowl", "--count", 4)
    assert document["suite"] == "synthetic"
    assert document["n"] == document["mean"]["n"] == 4
    assert set(document["per_category"]["bowl"]) == FIGURES
    assert set(document["mean"]) == FIGURES | {"ece", "auroc"}
    assert document["per_category"]["bowl"]["iou25"] > 50.0
    assert document["per_category"]["bowl"]["chamfer_median_mm"] < 20.0
    assert set(document["time_ms"]) == {"encode", "refine", "mesh", "total"}
    assert sum(x["n"] for x in document["by_visibility"].values()) == 4
    assert sum(x["n"] for x in document["by_view"].values()) == 4
    output = capsys.readouterr().out
    assert "--suite synthetic" in output
    assert "any mode %" in output
    assert "reported as" not in output  # they were told


def test_the_category_need_not_be_told(tmp_path, capsys):
    arguments = ["--suite", "synthetic", "--category", "bowl", "--count", 2, "--refine", "none"]
    outcomes = tmp_path / "outcomes.json"
    document = bench(tmp_path, *arguments, "--any", "--save-outcomes", outcomes)
    (row,) = document["confusion"].values()
    assert sum(row.values()) == 2
    assert document["category_right"] == 50.0 * row.get("bowl", 0)
    saved = json.loads(outcomes.read_text())["outcomes"]
    assert [x["category"] for x in saved] == ["bowl", "bowl"]
    assert Counter(x["reported_category"] for x in saved) == row
    for x in saved:
        assert (x["iou"] == 0.0) >= (x["reported_category"] != "bowl")
        assert 0.0 <= x["confidence"] <= 1.0
    output = capsys.readouterr().out
    assert "reported as" in output
    assert f"category right: {document['category_right']:.1f} %" in output


def test_meshes(tmp_path, capsys):
    folder = tmp_path / "data" / "meshes" / "can"
    folder.mkdir(parents=True)
    solid = trimesh.creation.cylinder(0.033, 0.12, sections=48)
    solid.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0]))
    solid.export(folder / "plain.obj")
    (folder / "points.obj").write_text("v 0 0 0\nv 1 0 0\n")
    document = bench(
        tmp_path, "--suite", "meshes", "--data", tmp_path / "data", "--count", 2, "--refine", "none"
    )
    assert list(document["per_category"]) == ["can"]
    assert document["per_category"]["can"]["n"] == 2
    assert "points.obj: has no faces" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--suite", "real"], "--suite real needs --data DIR"),
        (["--suite", "meshes"], "--suite meshes needs --data DIR"),
        (
            ["--suite", "synthetic", "--count", "0"],
            "argument --count: '0'",
        ),
        (["--suite", "synthetic", "--camera-poses"], "expected --suite sequence"),
        (["--suite", "synthetic", "--category", "mugg"], "did you mean 'mug'"),
    ],
)
def test_wrong_arguments(arguments, message, capsys):
    assert main(["bench", "pose", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_former_names_of_parts_are_accepted():
    parser = argparse.ArgumentParser()
    bench_pose_arguments.add_parser(parser.add_subparsers())
    command = ["pose", "--suite", "real", "--without", "belief", "shape-belief", "turns", "support"]
    parts = parser.parse_args(command).without
    assert parts == ["rotation-prior", "shape-prior", "yaw-starts", "support"]


@pytest.mark.parametrize("part", PARTS)
def test_each_part_can_be_switched_off(part):
    assert estimator_without(part).config != EstimatorConfig(device="cpu")


def test_without_the_ranking_cost_and_network_decide():
    features = [dict.fromkeys(MODE_FEATURES, 0.0) for _ in range(2)]
    features[0]["upright"] = 5.0
    features[1]["belief"] = 1.0
    first, second = estimator_without("ranking").ranking.probabilities(features)
    assert second / first == pytest.approx(np.e)
    # Without its prior, the network has no say in the choice.
    estimator = estimator_without("ranking", "rotation-prior")
    assert estimator.ranking.probabilities(features) == pytest.approx([0.5, 0.5])
    fitted = estimator_without("support").ranking.probabilities(features)
    assert fitted == pytest.approx(ModeRanking.load().probabilities(features))


def estimator_without(*parts):
    parser = argparse.ArgumentParser()
    bench_pose_arguments.add_parser(parser.add_subparsers())
    command = ["pose", "--suite", "synthetic", "--without", *parts]
    return bench_pose._estimator(parser.parse_args(command))


def test_nothing_to_estimate(tmp_path, capsys):
    (tmp_path / "frames").mkdir()
    assert main(["bench", "pose", "--suite", "real", "--data", str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def outcome(degrees, centimetres, iou=0.9, z=1.0):
    truth = GroundTruth(1, "mug", "one", np.eye(3), np.array([0.0, 0.0, z]), np.full(3, 0.1), False)
    return PoseOutcome("one", truth, 0.8, None, degrees, centimetres, iou, np.nan, {"total": 10.0})


def test_measures_are_those_of_their_names():
    some = [outcome(4.0, 1.0), outcome(4.0, 4.0), outcome(9.0, 1.0), outcome(9.0, 4.0, iou=0.6)]
    figures = summarise({"mug": some})["per_category"]["mug"]
    # Without an estimate all have the same confidence: the order is that of the list.
    assert figures["deg5_cm2"] == pytest.approx(25.0)
    assert figures["deg5_cm5"] == pytest.approx(50.0)
    assert figures["deg10_cm5"] == pytest.approx(100.0)
    assert figures["iou75"] == pytest.approx(75.0)
    assert figures["rot_median_deg"] == pytest.approx(6.5)


def test_a_miss_counts(tmp_path):
    """A category without weights: nothing is estimated, nothing is found."""
    (copied_pack(tmp_path, "can") / "decoder.safetensors").write_bytes(b"rubbish")
    estimator = PoseEstimator(EstimatorConfig(device="cpu"), [tmp_path])
    found = list(run_cases(estimator, poses.synthetic_cases("can", 2, 0)))
    assert [x.reported for x in found] == [None, None]
    figures = summarise({"can": found})
    assert figures["per_category"]["can"]["iou25"] == 0.0
    assert figures["by_distance_m"]
