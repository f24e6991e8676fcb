"""What becomes of grasps on a true mesh, and the figures of the benchmark."""

from __future__ import annotations

import json

import numpy as np
import pytest
import trimesh

from sdfpose_core.benchmark.grasps import GraspOutcome, TrueObject, summarise_grasps
from sdfpose_core.cli.main import main
from sdfpose_core.grasping.candidates import Grasp
from sdfpose_core.grasping.gripper import Gripper

ANGLE = Gripper(friction=0.5).friction_angle
BOX = trimesh.creation.box((0.06, 0.1, 0.2))


def grasp(axis=(1.0, 0.0, 0.0), at=(0.0, 0.0, 0.0), opening=0.08):
    x = np.asarray(axis) / np.linalg.norm(axis)
    y = np.cross([0.0, 0.0, 1.0], x)
    rotation = np.stack([x, y, np.cross(x, y)], axis=1)
    return Grasp(1, rotation, np.asarray(at), 0.06, opening, 0.5, 0.05)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (grasp(), "holds"),
        (grasp(at=(0.005, 0.04, 0.05)), "holds"),
        (grasp((np.cos(0.4), np.sin(0.4), 0.0)), "holds"),
        (grasp((np.cos(0.5), np.sin(0.5), 0.0), opening=0.1), "slips"),
        (grasp(at=(0.0, 0.06, 0.0)), "misses"),
        (grasp(at=(0.02, 0.0, 0.0)), "collides"),
    ],
)
def test_a_box_decides(item, expected):
    """The friction angle is 0.46."""
    assert TrueObject(BOX.vertices, BOX.faces).result(item, ANGLE) == expected


def test_heights_are_above_the_lowest_point():
    true = TrueObject(BOX.vertices + np.array([0.0, 0.3, 0.0]), BOX.faces)
    height = true.height(np.array([[0.0, 0.25, 0.0], [1.0, 0.2, 0.0]]), np.array([0.0, 1.0, 0.0]))
    np.testing.assert_allclose(height, [0.0, -0.05], atol=1e-9)


def test_shares_are_of_grasps_and_of_objects():
    outcomes = [
        GraspOutcome("mug", 0.9, ("holds", "slips"), (False, True)),
        GraspOutcome("mug", 0.9, (), ()),
        GraspOutcome("can", 0.2, ("misses", "collides"), (False, False)),
    ]
    document = summarise_grasps(outcomes)
    assert list(document["categories"]) == ["mug", "can"]
    mug, every = document["categories"]["mug"], document["overall"]
    assert (mug["n"], mug["with_grasps"], mug["hold"], mug["best_holds"]) == (2, 50.0, 50.0, 100.0)
    assert (every["grasps"], every["hold"], every["through_table"]) == (4, 25.0, 25.0)
    assert (every["hold_confident"], document["categories"]["can"]["hold_confident"]) == (
        50.0,
        None,
    )
    assert (every["slip"], every["miss"], every["collide"]) == (25.0, 25.0, 25.0)
    assert summarise_grasps([])["overall"]["hold"] is None


def test_the_command_measures_and_writes(tmp_path, capsys):
    path = tmp_path / "grasps.json"
    assert main(["bench", "grasps", "--category", "mug", "--count", "2", "--json", str(path)]) == 0
    document = json.loads(path.read_text())
    assert document["overall"] == document["categories"]["mug"]
    assert document["overall"]["n"] == 2
    assert document["overall"]["grasps"] > 0
    assert document["overall"]["through_table"] == 0.0
    printed = capsys.readouterr().out
    assert "hold %" in printed
    assert max(map(len, printed.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--gripper-width", "0"], "gripper: max_width_m is 0.0: expected a positive number"),
        (["--friction", "-1"], "argument --friction: '-1'"),
        (["--category", "spoon"], "unknown category 'spoon'"),
        (["--count", "0"], "argument --count"),
    ],
)
def test_wrong_arguments_are_named(arguments, problem, capsys):
    assert main(["bench", "grasps", *arguments]) == 2
    assert problem in capsys.readouterr().err
