"""Masks of a detector in place of an image's own."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from sdfpose_core.categories import default_categories
from sdfpose_core.datasets.nocs_detections import (
    Detected,
    match_ground_truth,
    own_masks,
    read_detections,
    segment_detections,
)
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


def seen(category: str, first: int, end: int, mask_id: int = 1) -> Detected:
    return Detected(mask_id, category, 0.5, columns((first, end))[..., 0])


def test_detections_keep_their_whole_masks_and_the_order_of_the_file(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        masks=columns((0, 6), (4, 12), (5, 6)),
        class_ids=np.array([2, 4, 6]),
        scores=np.array([0.9, 0.4, 1.2]),
    )
    found = read_detections(path, (4, 12))
    assert [(x.mask_id, x.category, x.score) for x in found] == [
        (1, "bowl", 0.9), (2, "can", 0.4), (3, "mug", 1.2),
    ]  # fmt: skip
    assert [int(x.mask.sum()) for x in found] == [24, 32, 4]


def test_own_masks_are_the_detections_of_a_perfect_detector() -> None:
    found = own_masks(frame())
    assert [(x.mask_id, x.category, x.score) for x in found] == [(5, "bowl", 1.0), (9, "can", 1.0)]
    assert found[1].mask[:, 8:].all()
    assert found[1].mask.sum() == 16


def test_overlapping_detections_measure_all_their_pixels() -> None:
    found = [seen("bowl", 0, 8, 1), seen("can", 4, 12, 2), seen("mug", 3, 3, 3)]
    instances, skipped = segment_detections(frame(), found, default_categories(), min_points=10)
    assert [(x.mask_id, x.category, x.score) for x in instances] == [
        (1, "bowl", 0.5), (2, "can", 0.5),
    ]  # fmt: skip
    assert [x.mask_pixels for x in instances] == [32, 32]
    assert [(x.mask_id, x.category, x.reason) for x in skipped] == [(3, "mug", "the mask is empty")]


def test_poses_go_to_the_detections_that_overlap_most() -> None:
    detections = [seen("bowl", 0, 4, 1), seen("can", 6, 9, 2), seen("can", 9, 12, 3)]
    truths = [truth(5, "bowl"), truth(9, "can")]
    found = match_ground_truth(frame().mask, truths, detections)
    assert {k: (x.mask_id, x.category) for k, x in found.items()} == {
        1: (1, "bowl"), 3: (3, "can"),
    }  # fmt: skip


@pytest.mark.parametrize("detection", [seen("bowl", 4, 8), seen("mug", 8, 12), seen("can", 3, 3)])
def test_a_detection_elsewhere_or_of_another_category_gets_none(detection: Detected) -> None:
    assert match_ground_truth(frame().mask, [truth(5, "bowl"), truth(9, "can")], [detection]) == {}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"boxes": 1}, r"contains \['boxes'\]: expected a dictionary with masks, class_ids"),
        (
            {"masks": columns((0, 3)), "class_ids": np.array([1, 2]), "scores": np.ones(2)},
            "has masks .*, 2 class ids and 2 scores: expected masks",
        ),
        (
            {"masks": columns((0, 3), (3, 6)), "class_ids": np.array([1, 2]), "scores": np.ones(1)},
            "2 class ids and 1 scores: expected masks .* and 2 scores",
        ),
        (
            {"masks": np.zeros((9, 9, 1), bool), "class_ids": np.array([1]), "scores": np.ones(1)},
            r"expected masks \(4, 12, 1\)",
        ),
        (
            {"masks": columns((0, 3)), "class_ids": np.array([7]), "scores": np.ones(1)},
            r"class ids \[7\]: expected ids from 1 to 6",
        ),
        (
            {"masks": columns((0, 3)), "class_ids": np.array([1]), "scores": np.array([np.nan])},
            "finite scores",
        ),
        (
            {"masks": columns((0, 3)), "class_ids": np.array([1.5]), "scores": np.ones(1)},
            "class ids of type float64",
        ),
        (
            {"masks": [[1], [1, 2]], "class_ids": np.array([1]), "scores": np.ones(1)},
            "masks is no array",
        ),
        (
            {"masks": columns((0, 3)), "class_ids": np.array([1]), "scores": ["high"]},
            "scores has the type .*: expected numbers",
        ),
        (
            {"masks": 0.3 * np.ones((4, 12, 1)), "class_ids": np.array([1]), "scores": np.ones(1)},
            "masks with values between 0.3 and 0.3: expected booleans",
        ),
    ],
)
def test_results_that_make_no_sense_are_named(
    tmp_path: Path, content: dict[str, object], problem: str
) -> None:
    with pytest.raises(FrameError, match=problem) as error:
        read_detections(written(tmp_path, **content), (4, 12))
    assert "results_test_scene_1_0000.pkl" in str(error.value)


def test_an_image_without_any_detection_is_empty(tmp_path: Path) -> None:
    path = written(tmp_path, masks=np.zeros((0, 0)), class_ids=np.zeros(0), scores=np.zeros(0))
    assert read_detections(path, (4, 12)) == []


def test_a_pickle_with_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results_test_scene_1_0000.pkl"
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(FrameError, match=r"results_test_scene_1_0000\.pkl: .* not plain data"):
        read_detections(path, (4, 12))
