"""Learning of a category from end to end, with tiny networks."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
import yaml
from safetensors.torch import load_file

from sdfpose_core.benchmark import poses
from sdfpose_core.categories import Resting
from sdfpose_core.category_learning import learning
from sdfpose_core.category_learning.card import card_text
from sdfpose_core.category_learning.learning import CategoryLearning
from sdfpose_core.category_learning.preparation import new_category, prepare_category
from sdfpose_core.category_learning.settings import LearningSettings
from sdfpose_core.category_learning.shape_sets import divide_shapes
from sdfpose_core.category_learning.validation import POSE_FIGURES, LearnedFigures
from sdfpose_core.cli.main import main
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.packs.collection import Packs
from sdfpose_core.shapes.families import sample_model
from sdfpose_core.storage.configuration import build
from sdfpose_core.storage.locks import locked

TINY = {
    "shapes": 6,
    "blends": 1,
    "views": 6,
    "cases": 1,
    "samples": {"surface": 600, "uniform": 200, "boundary": 200},
    "decoder": {
        "steps": 100,
        "shapes_per_step": 4,
        "points_per_shape": 64,
        "gradient_points": 16,
        "checkpoint_every": 20,
        "decoder": {"code_length": 4, "width": 32, "hidden_layers": 3},
    },
    "encoder": {
        "steps": 100,
        "batch": 2,
        "checkpoint_every": 20,
        "encoder": {
            "code_length": 4,
            "points": 32,
            "patches": 4,
            "patch_points": 4,
            "width": 16,
            "layers": 1,
            "heads": 2,
            "hypotheses": 2,
        },
    },
}


@pytest.fixture(scope="module", autouse=True)
def few_distractors():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "_DISTRACTORS", 1)
        patch.setattr(poses, "_DISTRACTORS", 1)
        yield


def steps(seed: int) -> trimesh.Trimesh:
    """A block with a step toward +x, metres, of two parts that overlap."""
    x, y, z = np.random.default_rng(seed).uniform(0.9, 1.1, 3) * (0.12, 0.1, 0.08)
    low = trimesh.creation.box((x, 0.4 * y, z))
    high = trimesh.creation.box((0.4 * x, y, z))
    high.apply_translation((-0.3 * x, 0.3 * y, 0.0))
    return trimesh.util.concatenate([low, high])


@pytest.fixture(scope="module")
def meshes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("meshes")
    for seed in range(5):
        mesh = steps(seed)
        mesh.apply_scale(1000.0)
        mesh.export(folder / f"step{seed}.ply")
    (folder / "broken.stl").write_bytes(b"solid")
    return folder


@pytest.fixture(scope="module")
def learn(tmp_path_factory):
    """Runs the command and returns its exit status."""
    config = tmp_path_factory.mktemp("config") / "tiny.yaml"
    config.write_text(yaml.safe_dump(TINY))

    def run(name, meshes, out, *more):
        options = ["--meshes", meshes, "--out", out, "--device", "cpu", *more]
        if "--quick" not in more:
            options += ["--config", config]
        return main(["learn", name, *map(str, options), "--threads", "1", "--workers", "1"])

    return run


@pytest.fixture(scope="module")
def learned(learn, meshes, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("packs") / "beaker"
    assert learn("beaker", meshes, out, "--labels", "tumbler") == 0
    return out


def test_the_pack_is_complete(learned: Path):
    packs = Packs.beside_shipped([learned])
    pack = packs["beaker"]
    pack.verified("decoder")
    pack.verified("encoder")
    category = pack.category
    assert category.labels == ("beaker", "tumbler")
    assert category.symmetry == "none"
    assert 0.08 < category.diagonal_m < 0.25
    card = (learned / "card.md").read_text()
    assert "| with encoder |" in card
    assert f"shifted by {category.confidence_shift:+.2f}" in card
    assert "1 held-out model (`step2`)" in card
    for picture in ("alignment.webp", "reconstructions.webp"):
        assert f"({picture})" in card
        assert (learned / picture).stat().st_size > 1000


def test_how_the_objects_rest_can_be_told(learn, meshes, tmp_path, capsys):
    category = new_category("beaker", resting=Resting(0.2, 0.0, 0.75))
    assert category.as_entry()["resting"] == {"standing": 0.2, "upside_down": 0.0, "lying": 0.75}
    out = tmp_path / "beaker"
    assert learn("beaker", meshes, out, "--align-only", "--resting", "0.2", "0", "0.75") == 0
    assert learn("beaker", meshes, out, "--resting", "0.6", "0.2", "0.5") == 2
    assert "from 0 to 1 with a sum of at most 1" in capsys.readouterr().err
    assert learn("beaker", meshes, out, "--resting", "0.6", "0.2", "1.5") == 2
    assert "expected a finite number of at least 0 and at most 1" in capsys.readouterr().err


def test_an_interrupted_run_has_the_same_result(learned: Path, meshes: Path, tmp_path: Path):
    category = new_category("beaker", ["tumbler"])
    prepared = prepare_category(category, meshes, tmp_path)
    reached = []

    def interrupt_at(stage, share):
        def progress(name, now):
            reached.append((name, now))
            if name == stage and now >= share:
                raise KeyboardInterrupt

        return progress

    settings = build(LearningSettings, TINY, "tiny")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for stop in (("decoder", 0.5), ("shapes", 0.3), ("encoder", 0.5), ("validation", 0.0)):
        run = CategoryLearning(
            prepared, settings, tmp_path, torch.device("cpu"), progress=interrupt_at(*stop)
        )
        with pytest.raises(KeyboardInterrupt):
            run.run(tmp_path / "beaker")
        assert not (tmp_path / "beaker").exists()
    torch.set_num_threads(threads)
    assert {x for x, _ in reached} == {*run.costs()}
    assert (run.folder / "decoder.ckpt").is_file()
    (whole,) = learned.with_name("beaker.work").glob("run-*")
    assert run.folder.name == whole.name
    for name in ("decoder.safetensors", "encoder.safetensors", "models.codes.safetensors"):
        there, here = load_file(whole / name), load_file(run.folder / name)
        assert there.keys() == here.keys()
        assert all(torch.equal(x, here[key]) for key, x in there.items())


def test_edited_orientations_are_used(learn, learned: Path, meshes: Path, tmp_path: Path, capsys):
    work = tmp_path / "work"
    assert learn("beaker", meshes, tmp_path / "b", "--work", work, "--align-only") == 0
    assert "orientations were written" in capsys.readouterr().out
    path = work / "alignment.yaml"
    content = yaml.safe_load(path.read_text())
    content["step1"] |= {"use": False}
    content["step0"] |= {"yaw_deg": 90.0}
    del content["step3"]
    path.write_text(yaml.safe_dump(content | {"gone": {}}))
    prepared = prepare_category(new_category("beaker"), meshes, work)
    assert [x.name for x in prepared.models] == ["step0", "step2", "step3", "step4"]
    x, y, z = steps(0).extents
    np.testing.assert_allclose(prepared.models[0].dimensions_m, [z, y, x], rtol=1e-4)
    assert "no usable model is named 'gone'" in prepared.report
    assert yaml.safe_load(path.read_text()).keys() >= {"step3", "gone"}
    assert not (tmp_path / "b").exists()


def test_one_model(meshes: Path, tmp_path: Path):
    only = tmp_path / "only"
    only.mkdir()
    (only / "mine.ply").write_bytes((meshes / "step0.ply").read_bytes())
    prepared = prepare_category(new_category("my_step"), only, tmp_path)
    assert "one model: its exact shape is learned" in prepared.report
    assert prepared.category.diagonal_m == pytest.approx(steps(0).scale, abs=1e-4)
    assert prepared.category.diagonal_log_sd == 0.02
    run = CategoryLearning(prepared, LearningSettings(), tmp_path, torch.device("cpu"))
    assert run.settings.blends == 0
    for shape in run.shapes.training:
        np.testing.assert_allclose(shape.dimensions_m, steps(0).extents, rtol=0.12)
    figures = dict.fromkeys(POSE_FIGURES, 50.0)
    card = card_text(
        prepared,
        run.shapes,
        run.settings,
        LearnedFigures(10, figures, figures, 80.0, 0.25, 60.0, 1.0, 2.0),
    )
    assert "other objects get its shape" in card
    assert "too few to hold one out" in card
    assert "80 % of the poses" in card
    assert "confidence is 60 %" in card
    assert "shifted by +0.25" in card
    assert "blends" not in card


def test_a_full_disk_is_found_first(meshes: Path, tmp_path: Path, monkeypatch):
    prepared = prepare_category(new_category("beaker"), meshes, tmp_path, front="x")
    run = CategoryLearning(prepared, LearningSettings(), tmp_path, torch.device("cpu"))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10_000_000))
    with pytest.raises(ConfigurationError, match=r"0.01 GB are free: expected 0.8\d GB more"):
        run.run(tmp_path / "beaker")
    assert not (tmp_path / "beaker").exists()


def test_every_fifth_model_is_held_out():
    models = [sample_model("mug", seed) for seed in range(12)]
    settings = LearningSettings(shapes=14)
    sets = divide_shapes(models, new_category("beaker"), settings)
    assert [x.name for x in sets.held_out] == [models[2].name, models[7].name]
    assert len(sets.training) == 14
    assert not {x.name.partition("~")[0] for x in sets.training} & {x.name for x in sets.held_out}
    assert not sets.held_out_are_deformed
    with pytest.raises(ConfigurationError, match="hold_out_every is 1: expected at least 2"):
        LearningSettings(hold_out_every=1)
    few = divide_shapes(models[:3], new_category("beaker"), settings)
    assert few.held_out_are_deformed
    names = [x.name for x in models[:3]]
    assert [x.name for x in few.training[:3]] == names
    trained = [x.vertices for x in few.training]
    assert not any(np.array_equal(x.vertices, y) for x in few.held_out for y in trained)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("Kettle!", [], "category.name is 'Kettle!': expected a name for frame ids"),
        ("cup", [], "'cup' is a label of the category 'mug'"),
        ("beaker", ["--labels", "bottle"], "'bottle' is a label of the category 'bottle'"),
        ("beaker", ["--meshes", "/none"], "--meshes /none: No such file or directory"),
        ("beaker", ["--size", "4..2"], "expected two diagonals in metres"),
        ("beaker", ["--work", "/proc/x"], "--work /proc/x: cannot be written"),
        ("beaker", ["--labels", ""], "expected names that are not empty"),
        ("beaker", ["--out", "/proc"], "--out /proc: "),
        ("beaker", ["--out", "."], "--out .: the present folder is in it"),
        ("beaker", ["--out", "new", "--work", "new/work"], "is in the folder of the pack"),
        ("beaker", ["--quick", "--config", "x"], "not allowed with argument"),
    ],
)
def test_arguments_are_checked_first(learn, meshes, tmp_path, capsys, name, options, message):
    assert learn(name, meshes, tmp_path / "out", *options) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"blends": -1}, "blends is -1: expected 0 or more"),
        ({"decoder": {"steps": 0}}, "steps is 0: expected at least 1"),
        ({"encoder": {"batch": 0}}, "batch is 0: expected at least 1"),
    ],
)
def test_settings_are_checked_first(values, message):
    with pytest.raises(ConfigurationError, match=message):
        build(LearningSettings, values, "settings")


@pytest.mark.parametrize("angle", [".nan", ".inf"])
def test_angles_are_numbers(learn, meshes, tmp_path, capsys, angle):
    work = tmp_path / "out.work"
    work.mkdir()
    (work / "alignment.yaml").write_text(f"step0: {{yaw_deg: {angle}}}")
    assert learn("beaker", meshes, tmp_path / "out", "--align-only") == 2
    assert "alignment.yaml: step0: yaw_deg is" in capsys.readouterr().err


def test_the_name_of_a_shipped_category(meshes, tmp_path):
    prepared = prepare_category(new_category("mug"), meshes, tmp_path, front="x")
    assert "warning: 'mug' ships with sdfpose: where this pack is given" in prepared.report


def test_a_run_waits_for_no_other(learn, meshes, tmp_path, capsys):
    with locked(tmp_path / "out.work" / ".lock", "test"):
        assert learn("beaker", meshes, tmp_path / "out") == 2
    assert "another process works in this folder (lock " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_labels_and_colour_change_no_network(meshes, tmp_path):
    prepared = prepare_category(new_category("beaker"), meshes, tmp_path)
    runs = [
        CategoryLearning(
            replace(prepared, category=replace(prepared.category, **changes)),
            LearningSettings(),
            tmp_path,
            torch.device("cpu"),
        ).folder
        for changes in ({}, {"labels": ("beaker", "cup"), "colour": (0, 1, 2)}, {"diagonal_m": 0.3})
    ]
    assert runs[0] == runs[1] != runs[2]


def test_what_is_there_is_not_overwritten(learn, learned, meshes, tmp_path, capsys):
    assert learn("beaker", meshes, learned) == 2
    assert "holds a pack already: choose another folder" in capsys.readouterr().err
    (tmp_path / "notes.txt").touch()
    assert learn("beaker", meshes, tmp_path) == 2
    assert "is not empty: choose another folder" in capsys.readouterr().err


def test_folders_without_use(learn, meshes, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert learn("beaker", tmp_path / "empty", tmp_path / "out") == 2
    assert "contains no mesh: expected" in capsys.readouterr().err
    work = tmp_path / "out.work"
    work.mkdir()
    (work / "alignment.yaml").write_text(
        yaml.safe_dump({f"step{i}": {"use": False} for i in range(5)})
    )
    assert learn("beaker", meshes, tmp_path / "out", "--quick") == 2
    assert "no model is to be used: set use: true" in capsys.readouterr().err
