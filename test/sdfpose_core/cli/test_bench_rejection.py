"""`sdfpose bench rejection`."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from calling_estimator import CallingEstimator
from mask_frames import block_frame, block_truth, empty_frame

from sdfpose_core.cli import bench_rejection, mask_images
from sdfpose_core.cli.main import main
from sdfpose_core.datasets import write_frame

OBJECTS = ["n", "kept", "kept_of_right", "rejected", "right_category", "right"]
BACKGROUND = ["n", "confident", "rejected", "by_category"]


def run(*arguments):
    return main(["bench", "rejection", *map(str, arguments)])


@pytest.fixture
def data(tmp_path):
    """A mug and a laptop with their masks, and an image without masks."""
    write_frame(tmp_path / "data" / "frames" / "one", block_frame(), [block_truth(4)])
    write_frame(tmp_path / "data" / "frames" / "two", empty_frame(0.8))
    (tmp_path / "data" / "frames" / "two" / "mask.png").unlink()
    return tmp_path / "data"


@pytest.fixture
def calls(monkeypatch):
    """What the estimator calls the masks."""
    calls = {}
    monkeypatch.setattr(bench_rejection, "PoseEstimator", lambda *_: CallingEstimator(calls))
    return calls


def test_a_simulated_image_with_the_estimator_itself(tmp_path, capsys):
    path, draw = tmp_path / "r.json", tmp_path / "draw"
    fast = ["--count", 1, "--refine", "none", "--colour", "none", "--device", "cpu"]
    assert run(*fast, "--json", path, "--draw", draw, "--confidence", 0) == 0
    document = json.loads(path.read_text())
    assert list(document) == ["objects", "distractors", "frames", "ms"]
    assert list(document["objects"]) == OBJECTS
    assert list(document["distractors"]) == BACKGROUND
    assert list(document["frames"]) == ["n", "with_invention"]
    assert document["frames"]["n"] == 1
    assert document["objects"]["n"] + document["distractors"]["n"] > 0
    assert document["ms"] > 0.0
    image = cv2.imread(str(draw / "clutter_0000.png"))
    assert image.shape == (480, 640, 3)
    printed = capsys.readouterr().out
    assert "distractors" in printed
    assert "1 image(s), " in printed


def test_frames_are_listed_and_drawn(data, calls, tmp_path, capsys):
    calls |= {1: ("mug", 0.9), 2: ("bowl", 0.7)}
    path, draw = tmp_path / "r.json", tmp_path / "draw"
    assert run("--data", data, "--masks", "tabletop", "--json", path, "--draw", draw) == 0
    document = json.loads(path.read_text())
    assert list(document) == ["objects", "unmatched", "frames", "ms", "estimates"]
    assert document["objects"]["n"] == 2
    assert document["objects"]["kept"] == 100.0
    assert document["objects"]["right_category"] == 50.0
    assert document["unmatched"] == {
        "n": 0,
        "confident": None,
        "rejected": None,
        "by_category": {},
    }
    assert document["frames"] == {"n": 1, "with_unmatched": 0.0, "without_truth": 1}
    mug, bowl = document["estimates"]
    assert list(mug) == [
        "frame", "mask_id", "category", "confidence", "same_category", "unmatched",
    ]  # fmt: skip
    assert (mug["frame"], mug["category"], mug["same_category"]) == ("one", "mug", True)
    assert (bowl["category"], bowl["same_category"], bowl["unmatched"]) == ("bowl", False, False)
    one, two = (cv2.imread(str(draw / f"{x}.png")) for x in ("one", "two"))
    assert one.shape == two.shape == (120, 160, 3)
    assert np.any(one != 90)
    assert np.all(two == 90)  # nothing was found
    printed = capsys.readouterr().out
    assert "same category" in printed
    assert "not this category" in printed
    assert "1 more without true masks" in printed


def test_an_estimate_on_no_true_mask_is_unmatched(data, calls, tmp_path, capsys):
    calls |= {1: ("mug", 0.9), 2: ("laptop", 0.7)}
    meta = data / "frames" / "one" / "meta.json"
    content = json.loads(meta.read_text())
    content["objects"] = [x for x in content["objects"] if x["category"] == "mug"]
    meta.write_text(json.dumps(content))
    path = tmp_path / "r.json"
    assert run("--data", data, "--masks", "tabletop", "--json", path) == 0
    document = json.loads(path.read_text())
    assert document["unmatched"]["by_category"] == {"laptop": 100.0}
    assert [x["unmatched"] for x in document["estimates"]] == [False, True]
    printed = capsys.readouterr().out
    assert "confident unmatched by category: laptop 100.0 %" in printed
    assert "100.0 % with an unmatched object" in printed


def test_masks_of_the_frames(data, calls, tmp_path, capsys):
    """Frames without a mask need another source."""
    calls |= {4: ("mug", 0.4)}
    path = tmp_path / "r.json"
    assert run("--data", data, "--json", path, "--confidence", "0.3") == 0
    document = json.loads(path.read_text())
    assert document["objects"]["kept"] == 50.0
    assert document["objects"]["rejected"] == 50.0
    assert [(x["mask_id"], x["confidence"]) for x in document["estimates"]] == [(4, 0.4)]
    assert "two: has no true masks: expected mask.png" in capsys.readouterr().err


def test_a_simulated_suite_is_the_default(calls, monkeypatch):
    asked = []
    monkeypatch.setattr(mask_images, "suite_cases", lambda *args: asked.append(args) or [])
    assert run("--count", "3", "--seed", "7") == 2
    assert run("--suite", "empty") == 2
    assert asked == [("clutter", 7, 3), ("empty", 0, 100)]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--data", "nowhere"], "--data nowhere: No such file or directory: expected a folder"),
        (["--data", ".", "--suite", "empty"], "--suite: not allowed with argument --data"),
        (["--masks", "file"], "argument --masks: invalid choice: 'file'"),
        (["--confidence", "1.5"], "argument --confidence: '1.5': expected a finite number"),
        (["--count", "0"], "argument --count: '0': expected an integer of at least 1"),
        (["--weights", "nowhere"], "nowhere: No such file or directory"),
    ],
)
def test_arguments_that_are_wrong_are_named(arguments, problem, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    assert problem in capsys.readouterr().err


def test_the_tables_fit_80_columns(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    document = {
        "objects": dict.fromkeys(OBJECTS, 100.0) | {"n": 1800},
        "unmatched": {"n": 1800, "confident": 100.0, "rejected": 100.0, "by_category": {}},
        "frames": {"n": 100, "with_unmatched": 100.0, "without_truth": 12},
        "ms": 1234.5,
        "estimates": [
            {
                "frame": "a_long_name_of_a_frame",
                "mask_id": 65535,
                "category": "laptop",
                "confidence": 0.99,
                "same_category": False,
                "unmatched": False,
            }
        ],
    }
    bench_rejection._print(document)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
