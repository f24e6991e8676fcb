"""Predictions in the format of the NOCS repositories, read and written."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sdfpose_core.datasets.nocs_results import (
    NocsResult,
    read_nocs_result,
    read_nocs_results,
    write_nocs_result,
)
from sdfpose_core.errors import FrameError


def content(**changes: Any) -> dict[str, Any]:
    """A bottle and a mug, found both, and a can that is not there."""
    return {
        "gt_class_ids": np.array([1, 6], np.int32),
        "gt_RTs": np.stack([np.eye(4), 0.5 * np.eye(4) + np.diag([0, 0, 0, 0.5])]),
        "gt_scales": np.ones((2, 3)),
        "gt_handle_visibility": np.array([1, 0]),
        "pred_class_ids": np.array([6, 1, 4]),
        "pred_RTs": [np.eye(4)] * 3,
        "pred_scales": np.full((3, 3), 0.9, np.float32),
        "pred_scores": np.array([0.5, 0.9, 0.1]),
        "pred_bboxes": "not looked at",
    } | changes


def written(folder: Path, name: str = "results_test_scene_1_0000", **changes: Any) -> Path:
    path = folder / f"{name}.pkl"
    path.write_bytes(pickle.dumps(content(**changes)))
    return path


@pytest.mark.parametrize("module", [b"numpy.core", b"numpy._core"])
def test_what_either_numpy_wrote_is_read(tmp_path: Path, module: bytes) -> None:
    path = tmp_path / "result.pkl"
    plain = pickle.dumps(content(), protocol=2)
    path.write_bytes(
        plain.replace(b"cnumpy._core.", b"c" + module + b".").replace(
            b"cnumpy.core.", b"c" + module + b"."
        )
    )
    problems: list[str] = []
    result = read_nocs_result(path, problems)
    assert problems == []
    np.testing.assert_array_equal(result.class_ids, [1, 6])
    np.testing.assert_array_equal(result.handle_visible, [True, False])
    np.testing.assert_array_equal(result.found_class_ids, [6, 1, 4])
    np.testing.assert_array_equal(result.scores, [0.5, 0.9, 0.1])
    assert result.transforms.shape == (2, 4, 4)
    assert result.found_transforms.shape == (3, 4, 4)
    assert result.name == "result"


def test_what_is_written_is_read_and_names_no_module_of_numpy_2(tmp_path: Path) -> None:
    result = read_nocs_result(written(tmp_path), [])
    path = tmp_path / "again.pkl"
    write_nocs_result(path, result)
    assert b"numpy._core" not in path.read_bytes()
    again = read_nocs_result(path, [])
    for name in NocsResult.__dataclass_fields__:
        if name != "name":
            np.testing.assert_array_equal(getattr(result, name), getattr(again, name))


def test_images_without_anything_are_read(tmp_path: Path) -> None:
    nothing = {k: [] for k in content() if k != "pred_bboxes"}
    result = read_nocs_result(written(tmp_path, **nothing), [])
    assert result.transforms.shape == (0, 4, 4)
    assert result.found_sizes.shape == (0, 3)


def test_without_visibilities_all_handles_are_visible(tmp_path: Path) -> None:
    path = tmp_path / "result.pkl"
    known = content()
    del known["gt_handle_visibility"]
    path.write_bytes(pickle.dumps(known))
    assert read_nocs_result(path, []).handle_visible.all()


def test_nan_poses_and_zero_sizes_are_counted(tmp_path: Path) -> None:
    """Objects without a pose are left out; predictions without one stay, and count as wrong."""
    broken = np.eye(4) * np.array([[1.0], [np.nan], [1.0], [1.0]])
    sizes = np.array([[0.9, 0.9, 0.9], [0.9, 0.0, 0.9], [0.9, 0.9, 0.9]])
    problems: list[str] = []
    result = read_nocs_result(
        written(
            tmp_path,
            gt_RTs=[np.eye(4), broken],
            pred_RTs=[broken, np.eye(4), np.eye(4)],
            pred_scales=sizes,
            pred_scores=[0.5, np.nan, 0.1],
        ),
        problems,
    )
    np.testing.assert_array_equal(result.class_ids, [1])
    assert len(result.scores) == 3
    assert result.scores[1] == -np.inf
    assert [x.split(": ", 1)[1] for x in problems] == [
        "1 objects have non-finite poses or sizes, or no volume; skipped",
        "2 predictions have non-finite poses or sizes, or no volume; they count as wrong",
        "1 predictions have no finite score; they are ranked last",
    ]


def test_class_ids_out_of_range_are_left_out_and_told(tmp_path: Path) -> None:
    problems: list[str] = []
    path = written(tmp_path, gt_class_ids=[1, 7], pred_class_ids=[0, 1, 4])
    result = read_nocs_result(path, problems)
    np.testing.assert_array_equal(result.class_ids, [1])
    np.testing.assert_array_equal(result.found_class_ids, [1, 4])
    assert "gt_class_ids [7.0] are out of range: expected 1 to 6; skipped" in problems[0]
    assert "pred_class_ids [0.0]" in problems[1]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"gt_RTs": np.zeros((3, 4, 4))}, "gt_RTs has 3 entries: expected 2"),
        ({"pred_scales": np.zeros((3, 2))}, r"pred_scales has shape \(3, 2\): expected"),
        ({"pred_scores": ["a", "b", "c"]}, "pred_scores is not an array of numbers"),
    ],
)
def test_a_file_that_makes_no_sense_is_named(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(FrameError, match=problem) as error:
        read_nocs_result(written(tmp_path, **changes), [])
    assert "results_test_scene_1_0000.pkl" in str(error.value)


def test_damaged_files_are_left_out_and_the_others_read_in_order(tmp_path: Path) -> None:
    written(tmp_path, "results_b")
    written(tmp_path, "results_a")
    (tmp_path / "results_c.pkl").write_bytes(b"")
    (tmp_path / "results_d.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    (tmp_path / "results_e.pkl").write_bytes(pickle.dumps({"iou_aps": np.zeros(3)}))
    (tmp_path / "results_f.pkl").write_bytes(pickle.dumps([1, 2]))
    problems: list[str] = []
    assert [x.name for x in read_nocs_results(tmp_path, problems)] == ["results_a", "results_b"]
    assert len(problems) == 4
    for name, problem in zip("cdef", problems, strict=True):
        assert f"results_{name}.pkl" in problem
    assert "has keys iou_aps: expected gt_class_ids among them" in problems[2]


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_a_folder_without_results_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(FrameError, match="none of 0 pickles can be used"):
        read_nocs_results(tmp_path / name, [])
