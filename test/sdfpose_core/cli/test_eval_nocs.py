"""The command that scores predictions in the format of the NOCS benchmark."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from sdfpose_core.cli.main import main
from sdfpose_core.datasets.nocs import NOCS_CATEGORIES

MEASURES = ("iou25", "iou50", "iou75", "deg5_cm2", "deg5_cm5", "deg10_cm2", "deg10_cm5")


def turned(deg: float) -> np.ndarray:
    matrix = np.eye(4)
    cosine, sine = np.cos(np.radians(deg)), np.sin(np.radians(deg))
    matrix[0, 0] = matrix[2, 2] = cosine
    matrix[0, 2], matrix[2, 0] = sine, -sine
    return matrix


def write(folder: Path, number: int, deg: float = 0.0, handle: int = 1, side: float = 1.0) -> None:
    """All six categories, each found with a yaw that is off."""
    ids = np.arange(1, 7)
    content = {
        "gt_class_ids": ids,
        "gt_RTs": np.stack([np.eye(4)] * 6),
        "gt_scales": np.ones((6, 3)),
        "gt_handle_visibility": np.full(6, handle),
        "pred_class_ids": ids,
        "pred_RTs": np.stack([turned(deg)] * 6),
        "pred_scales": np.full((6, 3), side),
        "pred_scores": np.full(6, 0.9),
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"results_test_scene_1_{number:04d}.pkl").write_bytes(pickle.dumps(content))


def score(tmp_path: Path, *arguments: object) -> dict:
    path = tmp_path / "figures.json"
    assert main(["eval", "nocs", *map(str, arguments), "--json", str(path)]) == 0
    return json.loads(path.read_text())


def test_perfect_predictions_have_a_hundred_per_cent_of_everything(tmp_path: Path) -> None:
    write(tmp_path / "r", 0)
    write(tmp_path / "r", 1)
    found = score(tmp_path, tmp_path / "r")
    assert list(found["per_category"]) == list(NOCS_CATEGORIES)
    for row in [*found["per_category"].values(), found["mean"]]:
        assert [row[x] for x in MEASURES] == [100.0] * 7
    assert found["per_category"]["mug"]["n"] == 2
    assert found["mean"]["n"] == 12
    assert (found["images"], found["iou"], found["misses"]) == (2, "oriented", "ignore")


@pytest.mark.parametrize(("handle", "mug"), [(1, 0.0), (0, 100.0)])
def test_yaw_counts_for_objects_with_a_front_alone(tmp_path: Path, handle: int, mug: float) -> None:
    write(tmp_path / "r", 0, deg=30.0, handle=handle)
    of = {k: v["deg10_cm5"] for k, v in score(tmp_path, tmp_path / "r")["per_category"].items()}
    assert of == {
        "bottle": 100.0, "bowl": 100.0, "camera": 0.0, "can": 100.0, "laptop": 0.0, "mug": mug,
    }  # fmt: skip


def test_repeated_runs_are_averaged_with_their_spread(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "a", 0)
    write(tmp_path / "b", 0, deg=30.0)
    found = score(tmp_path, tmp_path / "a", tmp_path / "b")
    assert found["runs"] == 2
    assert found["per_category"]["laptop"]["deg5_cm2"] == 50.0
    assert found["mean"]["deg5_cm2"] == 75.0
    assert found["spread"]["deg5_cm2"] == 25.0
    assert "25.0" in capsys.readouterr().out


def test_the_kinds_of_iou_differ_as_they_are_defined(tmp_path: Path) -> None:
    """A slightly large cube turned by 45 degrees: oriented 0.7, along the axes 0.43."""
    write(tmp_path / "r", 0, deg=45.0, side=1.05)
    laptop = [
        score(tmp_path, tmp_path / "r", "--iou", kind)["per_category"]["laptop"]
        for kind in ("oriented", "repaired")
    ]
    assert [x["iou50"] for x in laptop] == [100.0, 0.0]
    assert [x["iou25"] for x in laptop] == [100.0, 100.0]


def test_problems_are_told_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "r", 0)
    (tmp_path / "r" / "results_broken.pkl").write_bytes(b"rubbish")
    assert score(tmp_path, tmp_path / "r")["problems"] == 1
    assert "results_broken.pkl" in capsys.readouterr().err


def test_a_folder_without_results_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "nocs", str(tmp_path)]) == 2
    assert "none of 0 pickles" in capsys.readouterr().err
