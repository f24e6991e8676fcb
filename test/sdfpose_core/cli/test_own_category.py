"""Commands with the pack of a category of one's own."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from own_pack import own_pack

from sdfpose_core.benchmark import poses
from sdfpose_core.cli.category_choice import usable_categories
from sdfpose_core.cli.main import main
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.packs.collection import Packs
from sdfpose_core.simulation.instances import ModelPool, simulated_instances

TRAINING = Path(__file__).parents[3] / "training"
SIX = ["bottle", "bowl", "camera", "can", "laptop", "mug"]


@pytest.fixture(autouse=True)
def few_models(monkeypatch):
    monkeypatch.setattr(poses, "MODELS", 1)
    monkeypatch.setattr(poses, "_DISTRACTORS", 1)


@pytest.fixture
def kettle(tmp_path):
    return own_pack(tmp_path / "packs", encoder=False)


@pytest.fixture
def box(tmp_path):
    folder = tmp_path / "data" / "meshes" / "kettle"
    folder.mkdir(parents=True)
    trimesh.creation.box((0.15, 0.1, 0.12)).export(folder / "box.obj")
    return tmp_path / "data"


def test_simulation_needs_no_models_of_it():
    assert list(ModelPool.for_category("can", range(1), distractors=1).models) == [
        "can",
        *(x for x in SIX if x != "can"),
    ]
    assert next(simulated_instances("can", 0, 1, model_seeds=range(1))).truth.category == "can"


def test_its_meshes_are_simulated_without_a_procedural_family(box, kettle):
    files = [box / "meshes" / "kettle" / "box.obj"]
    known = Packs.beside_shipped([kettle]).categories
    (case,) = poses.mesh_cases(files, "kettle", 1, 0, [], categories=known)
    assert case.truth.category == "kettle"
    np.testing.assert_allclose(case.truth.dimensions_m.max() / case.truth.dimensions_m.min(), 1.5)


@pytest.mark.parametrize("family", [False, True])
def test_what_it_lacks_is_named(kettle, family):
    problems = []
    packs = Packs.beside_shipped([kettle])
    assert usable_categories(packs, None, problems, family=family, encoder=True) == SIX
    (problem,) = problems
    assert "kettle" in problem
    assert ("procedural models" in problem) is family
    assert usable_categories(packs, None, []) == [*SIX, "kettle"]


def test_a_command_for_it_alone_says_why_it_cannot_run(kettle):
    with pytest.raises(ConfigurationError, match=r"no category can be used: .*kettle"):
        usable_categories(Packs.beside_shipped([kettle]), ["kettle"], [], encoder=True)


@pytest.mark.parametrize("suite", ["synthetic", "sequence"])
def test_bench_pose_skips_it_by_name(suite, kettle, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out.json"
    arguments = ["--suite", suite, "--count", "1", "--refine", "none", "--threads", "1"]
    command = ["bench", "pose", *arguments, "--category", "can", "kettle", "--json", str(out)]
    command += ["--weights", str(kettle)]
    if suite == "sequence":
        monkeypatch.setattr("sdfpose_core.cli.bench_pose.track_sequence", lambda *_, **__: None)
        monkeypatch.setattr(
            "sdfpose_core.cli.bench_pose.summarise_sequences", lambda _: stop("reached")
        )
        with pytest.raises(RuntimeError, match="reached"):
            main(command)
        return
    assert main(command) == 0
    document = json.loads(out.read_text())
    assert list(document["per_category"]) == ["can"]
    assert document["problems"] == ["category 'kettle' has no procedural models; skipped"]
    assert "category 'kettle' has no procedural models; skipped" in capsys.readouterr().err


def stop(message):
    raise RuntimeError(message)


def test_adaptation_says_that_it_has_no_models(kettle, tmp_path, capsys):
    command = ["adapt", str(tmp_path), "--category", "kettle", "--out", str(tmp_path / "out")]
    command += ["--weights", str(kettle)]
    assert main(command) == 2
    assert "category 'kettle' has no procedural models" in capsys.readouterr().err


def test_calibration_skips_it_by_name(kettle, monkeypatch, capsys):
    module = runpy.run_path(str(TRAINING / "calibrate_confidence.py"))
    command = ["calibrate", "--weights", str(kettle.parent), "--views", "4", "--clutter", "6"]
    monkeypatch.setattr(sys, "argv", command)

    def track(stream, description, total):
        assert total == 6 + 9  # the six, and the parts of clutter
        return stop("reached")

    monkeypatch.setitem(module["main"].__globals__, "track", track)
    with pytest.raises(RuntimeError, match="reached"):
        module["main"]()
    assert "category 'kettle' has no procedural models; skipped" in capsys.readouterr().err
