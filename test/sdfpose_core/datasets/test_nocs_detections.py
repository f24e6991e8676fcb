"""Masks of a detector in place of an image's own."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sdfpose_core.datasets.nocs_detections import detected, match_ground_truth
from sdfpose_core.errors import FrameError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import GroundTruth, InstanceLabel, RgbdFrame


def frame() -> RgbdFrame:
    """A bowl on the left and a can on the right."""
    mask = np.zeros((4, 12), np.uint16)
    mask[:, :4], mask[:, 8:] = 5, 9
    return RgbdFrame(
        colour=np.zeros((4, 12, 3), np.uint8),
        depth=np.ones((4, 12), np.float32),
        mask=mask,
        camera=PinholeCamera(12, 4, 10.0, 10.0, 6.0, 2.0),
        labels={5: InstanceLabel("bowl"), 9: InstanceLabel("can")},
    )


def truth(mask_id: int, category: str) -> GroundTruth:
    return GroundTruth(
        mask_id, category, f"{category}_1", np.eye(3), np.array([0.0, 0.0, 1.0]), np.ones(3), True
    )


def columns(*ranges: tuple[int, int]) -> np.ndarray:
    masks = np.zeros((4, 12, len(ranges)), bool)
    for number, (first, end) in enumerate(ranges):
        masks[:, first:end, number] = True
    return masks


def written(tmp_path: Path, **content: object) -> Path:
    path = tmp_path / "results_test_scene_1_0000.pkl"
    path.write_bytes(pickle.dumps(content))
    return path


def test_the_detection_of_the_higher_score_is_in_front(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        masks=columns((0, 6), (4, 12), (5, 6)),
        class_ids=np.array([2, 4, 6]),
        scores=np.array([0.9, 0.4, 0.2]),
    )
    seen = detected(frame(), path)
    (row,) = {tuple(x) for x in seen.mask.tolist()}
    assert row == (3, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2)
    assert seen.labels == {2: InstanceLabel("can", 0.4), 3: InstanceLabel("bowl", 0.9)}


def test_poses_go_to_the_detections_that_overlap_most() -> None:
    seen = replace(
        frame(),
        mask=np.tile(np.repeat(np.array([1, 0, 2, 3], np.uint16), [4, 3, 2, 3]), (4, 1)),
        labels={1: InstanceLabel("bowl"), 2: InstanceLabel("can"), 3: InstanceLabel("can")},
    )
    found = match_ground_truth(frame(), [truth(5, "bowl"), truth(9, "can")], seen)
    assert {k: (x.mask_id, x.category) for k, x in found.items()} == {
        1: (1, "bowl"), 3: (3, "can"),
    }  # fmt: skip


@pytest.mark.parametrize("category", ["bowl", "can"])
def test_a_detection_elsewhere_or_of_another_category_gets_none(category: str) -> None:
    seen = replace(
        frame(),
        mask=np.roll(frame().mask, 4 if category == "can" else 0, axis=1),
        labels={5: InstanceLabel("mug"), 9: InstanceLabel("mug" if category == "bowl" else "can")},
    )
    assert match_ground_truth(frame(), [truth(5, "bowl"), truth(9, "can")], seen) == {}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"boxes": 1}, r"contains \['boxes'\]: expected a dictionary with masks, class_ids"),
        (
            {"masks": columns((0, 3)), "class_ids": np.array([1, 2]), "scores": np.ones(2)},
            "has masks .*, 2 class ids and 2 scores: expected masks",
        ),
        (
            {"masks": np.zeros((9, 9, 1), bool), "class_ids": np.array([1]), "scores": np.ones(1)},
            r"expected masks \(4, 12, 1\)",
        ),
        (
            {"masks": columns((0, 3)), "class_ids": np.array([7]), "scores": np.ones(1)},
            r"class ids \[7\] .* expected ids from 1 to 6",
        ),
        (
            {"masks": columns((0, 3)), "class_ids": np.array([1]), "scores": np.array([np.nan])},
            "finite scores",
        ),
        (
            {"masks": columns((0, 3)), "class_ids": np.array([1.5]), "scores": np.ones(1)},
            "class ids of type float64",
        ),
    ],
)
def test_results_that_make_no_sense_are_named(
    tmp_path: Path, content: dict[str, object], problem: str
) -> None:
    with pytest.raises(FrameError, match=problem) as error:
        detected(frame(), written(tmp_path, **content))
    assert "results_test_scene_1_0000.pkl" in str(error.value)


def test_an_image_without_any_detection_is_empty(tmp_path: Path) -> None:
    path = written(tmp_path, masks=np.zeros((0, 0)), class_ids=np.zeros(0), scores=np.zeros(0))
    assert not detected(frame(), path).mask.any()


def test_a_pickle_with_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results_test_scene_1_0000.pkl"
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(FrameError, match=r"results_test_scene_1_0000\.pkl: .* not plain data"):
        detected(frame(), path)
