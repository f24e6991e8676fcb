"""`sdfpose bench masks`."""

from __future__ import annotations

import json
import sys

import cv2
import numpy as np
import pytest
from mask_frames import block_frame, empty_frame

from sdfpose_core.cli import bench_masks, mask_images
from sdfpose_core.cli.main import main
from sdfpose_core.datasets import write_frame

FIGURES = ["n", "iou50", "iou75", "missed", "merged", "split"]


@pytest.fixture
def data(tmp_path):
    write_frame(tmp_path / "data" / "frames" / "one", block_frame())
    write_frame(tmp_path / "data" / "frames" / "two", empty_frame(0.8))
    (tmp_path / "data" / "frames" / "two" / "mask.png").unlink()
    return tmp_path / "data"


def run(*arguments):
    return main(["bench", "masks", *map(str, arguments)])


def test_frames_are_judged_and_drawn(data, tmp_path, capsys):
    path, draw = tmp_path / "m.json", tmp_path / "draw"
    assert run("--data", data, "--json", path, "--draw", draw) == 0
    document = json.loads(path.read_text())
    assert list(document) == ["mean", "per_category"]
    assert list(document["mean"]) == [*FIGURES, "false_per_frame", "ms"]
    assert document["per_category"] == {
        name: dict.fromkeys(FIGURES, 0.0) | {"n": 1, "iou50": 100.0, "iou75": 100.0}
        for name in ("laptop", "mug")
    }
    assert document["mean"]["false_per_frame"] == 0.0
    both, alone = (cv2.imread(str(draw / f"{x}.png")) for x in ("one", "two"))
    assert both.shape[1] > 2 * 160
    assert alone.shape == (120, 160, 3)
    assert np.all(alone == 90)  # nothing was found
    printed = capsys.readouterr().out
    assert "1 image(s) without true masks do not count" in printed
    assert "averages over fewer than 10 objects say little" in printed
    assert printed.index("laptop") < printed.index("mug") < printed.index("mean")


def test_a_simulated_suite_is_the_default(tmp_path, monkeypatch):
    monkeypatch.setattr(mask_images, "suite_cases", lambda *args: asked.append(args) or [])
    asked = []
    assert run("--count", "3", "--seed", "7") == 2
    assert asked == [("clutter", 7, 3)]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--data", "nowhere"], "--data nowhere: No such file or directory: expected a folder"),
        (["--data", ".", "--suite", "clutter"], "--suite: not allowed with argument --data"),
        (["--source", "file"], "argument --source: invalid choice: 'file'"),
        (["--suite", "none"], "argument --suite: invalid choice: 'none'"),
        (["--count", "0"], "argument --count: '0': expected an integer of at least 1"),
    ],
)
def test_arguments_that_are_wrong_are_named(arguments, problem, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    assert problem in capsys.readouterr().err


def test_a_package_that_is_not_installed(data, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torchvision.models.detection", None)
    assert run("--data", data, "--source", "torchvision") == 2
    assert "Mask R-CNN needs torchvision" in capsys.readouterr().err


def test_a_folder_without_frames(tmp_path, capsys):
    assert run("--data", tmp_path) == 2
    error = capsys.readouterr().err
    assert f"{tmp_path}: no image can be used: expected frame folders" in error
    assert "lacks color.png, depth.png, meta.json" in error


def test_the_table_fits_80_columns(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    row = dict.fromkeys(FIGURES, 100.0) | {"n": 1800}
    mean = row | {"false_per_frame": 12.34, "ms": 1234.5}
    bench_masks._print({"mean": mean, "per_category": {"bottle": row, "other": row}}, 0)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
