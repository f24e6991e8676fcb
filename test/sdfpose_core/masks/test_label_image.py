from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sdfpose_core.errors import FrameError
from sdfpose_core.masks.label_image import LabelImageMasks

CLASSES = {41: "mug", 45: "bowl"}


def test_each_piece_of_a_class_is_an_instance():
    image = np.zeros((60, 80), dtype=np.uint8)
    image[5:15, 5:15] = 41
    image[5:15, 30:40] = 41
    image[30:50, 30:50] = 45
    image[30:50, 60:70] = 7
    image[58, 78] = 45
    result = LabelImageMasks(min_pixels=20).segment(image, CLASSES)
    assert sorted(x.category for x in result.labels.values()) == ["bowl", "mug", "mug"]
    np.testing.assert_array_equal(result.ids > 0, np.isin(image, (41, 45)) & (image != 7) & (
        np.arange(60)[:, None] < 58))  # fmt: skip
    assert result.ids[10, 10] != result.ids[10, 35]


@given(arrays(np.uint8, (10, 12), elements=st.sampled_from([0, 7, 41, 45])))
def test_instances_are_the_pixels_of_the_classes(image):
    result = LabelImageMasks(min_pixels=1).segment(image, CLASSES)
    np.testing.assert_array_equal(result.ids > 0, np.isin(image, (41, 45)))
    for i, label in result.labels.items():
        assert {CLASSES[int(x)] for x in image[result.ids == i]} == {label.category}


def test_of_a_noisy_image_the_largest_pieces_are_instances():
    image = np.zeros((40, 500), dtype=np.uint8)
    for i in range(100):
        image[: 1 + i % 34, 5 * i : 5 * i + 3] = 41 + 4 * (i % 2)
    result = LabelImageMasks(min_pixels=1).segment(image, CLASSES)
    assert len(result.labels) == 64
    kept = sorted((3 * (1 + i % 34) for i in range(100)), reverse=True)[:64]
    assert sorted(np.bincount(result.ids[result.ids > 0])[1:], reverse=True) == kept


def test_after_a_reset_instances_have_new_ids():
    masks, image = LabelImageMasks(min_pixels=1), np.full((5, 5), 41)
    (first,) = masks.segment(image, CLASSES).labels
    assert list(masks.segment(image, CLASSES).labels) == [first]
    masks.reset()
    assert list(masks.segment(image, CLASSES).labels) != [first]


@pytest.mark.parametrize("image", [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.float32)])
def test_other_images_are_refused(image):
    with pytest.raises(FrameError, match="integer class ids"):
        LabelImageMasks().segment(image, CLASSES)
