"""The command that adapts a network to recorded frames."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sdfpose_core.cli import adapt
from sdfpose_core.cli.main import main
from sdfpose_core.datasets import write_frame
from sdfpose_core.encoder.fast import FastEncoder
from sdfpose_core.packs.collection import Packs
from sdfpose_core.selfsup.fitness import Fitness
from sdfpose_core.shapes.families import sample_model
from sdfpose_core.simulation.frames import simulated_frame
from sdfpose_core.simulation.scenes import SceneStyle, cluttered_table
from sdfpose_core.simulation.tabletop import TABLE_CAMERA
from sdfpose_core.simulation.views import random_view

STYLE = replace(SceneStyle.upright(), occluders=0)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two frames with four cans each, and one that is damaged."""
    root = tmp_path_factory.mktemp("frames")
    rng = np.random.default_rng(1)
    models = [sample_model("can", 900 + i) for i in range(4)]
    for number in range(2):
        scene = cluttered_table(rng, ["can"] * 4, models, STYLE)
        camera, pose = random_view(rng, scene, camera=TABLE_CAMERA.resize(320, 240))
        frame, _ = simulated_frame(scene, camera, pose, rng)
        write_frame(root / f"{number:04d}", frame)
    (root / "0009").mkdir()
    (root / "0009" / "meta.json").write_text("{}")
    return root


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "_SYNTHETIC_VIEWS": 24,
        "_SYNTHETIC_SHAPES": 2,
        "_SIMULATED_TESTS": 3,
        "_PICTURES": 1,
    }.items():
        monkeypatch.setattr(adapt, name, value)


def run(frames: Path, tmp_path: Path, *more: str) -> int:
    arguments = ["adapt", str(frames), "--category", "can", "--out", str(tmp_path / "weights")]
    arguments += ["--steps", "3", "--threads", "1", "--device", "cpu"]
    return main([*arguments, "--report", str(tmp_path / "report"), *more])


@pytest.mark.usefixtures("small")
def test_weights_are_written_with_a_report(
    frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(frames, tmp_path) == 0
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["written"] is True
    assert report["category"] == "can"
    assert report["instances"] >= 6
    assert any("0009" in x for x in report["problems"])
    assert set(report["before"]) == set(report["after"])
    pictures = {x.name for x in (tmp_path / "report").glob("*.png")}
    assert len(pictures) == 1
    assert pictures <= {"0000.png", "0001.png"}
    packs = Packs.beside_shipped([tmp_path / "weights"])
    assert packs["can"].folder == tmp_path / "weights" / "can"
    assert FastEncoder.load(packs["can"].verified("encoder")).config
    shipped = Packs.beside_shipped()["can"]
    assert packs["can"].decoder == shipped.decoder
    assert packs["can"].encoder != shipped.encoder
    assert packs["can"].category == shipped.category
    assert "certified" in capsys.readouterr().out


@pytest.mark.usefixtures("small")
def test_weights_that_measure_worse_are_not_written(
    frames: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    figures = iter([Fitness(9, 0.8, 0.1, 0.8, 0.9), Fitness(9, 0.5, 0.1, 0.8, 0.9)])
    monkeypatch.setattr(adapt, "measure_fitness", lambda *args: next(figures))
    assert run(frames, tmp_path) == 1
    assert not (tmp_path / "weights").exists()
    assert "inlier_ratio 0.800 -> 0.500" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["DIR", "--category", "mug"], "no usable instance of 'mug'"),
        (["nowhere", "--category", "can"], "no such recording"),
        (["DIR", "--category", "cann"], "can"),
        (["DIR", "--category", "can", "--steps", "0"], "argument --steps: '0'"),
    ],
)
def test_bad_input_is_named(
    arguments: list[str],
    message: str,
    frames: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [str(frames) if x == "DIR" else x for x in arguments]
    assert main(["adapt", *arguments, "--out", str(tmp_path / "w")]) == 2
    assert message in capsys.readouterr().err
