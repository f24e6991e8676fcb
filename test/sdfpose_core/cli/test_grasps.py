"""`sdfpose grasps`."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sdfpose_core.cli.main import main


def test_the_sample_frame_has_grasps_and_parts(tmp_path, capsys):
    path = tmp_path / "grasps.json"
    assert main(["grasps", "--sample", "--count", "3", "--json", str(path), "--device", "cpu"]) == 0
    document = json.loads(path.read_text())
    assert document["problems"] == []
    (objects,) = document["frames"].values()
    assert {x["category"] for x in objects} == {"bottle", "bowl", "camera", "can", "laptop", "mug"}
    assert sum(bool(x["grasps"]) for x in objects) >= 4
    for x in objects:
        assert len(x["grasps"]) <= 3
        for pose in (*x["grasps"], *x["parts"].values()):
            rotation = np.array(pose["R"])
            np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-6)
            assert 0.2 < pose["t"][2] < 2.0
        quality = [g["quality"] for g in x["grasps"]]
        assert quality == sorted(quality, reverse=True)
    printed = capsys.readouterr().out
    assert "the best of each object" in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_a_frame_that_cannot_be_read_is_told(tmp_path, capsys):
    (tmp_path / "frame").mkdir()
    (tmp_path / "frame" / "meta.json").write_text("{}")
    assert main(["grasps", str(tmp_path / "frame")]) == 1
    told = capsys.readouterr().err
    assert "frame skipped" in told
    assert "there is no grasp candidate" in told


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "no frame was named: expected FRAME_DIR... or --sample"),
        (["--sample", "--gripper-width", "0.005"], "max_width_m is 0.005: expected more than"),
        (["--sample", "--count", "0"], "argument --count"),
        (["nowhere"], "nowhere"),
    ],
)
def test_wrong_arguments_are_named(arguments, problem, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["grasps", *arguments]) in (1, 2)
    assert problem in capsys.readouterr().err
