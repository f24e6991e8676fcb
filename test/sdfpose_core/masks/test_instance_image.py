from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sdfpose_core.errors import FrameError
from sdfpose_core.masks.instance_image import InstanceImageMasks

IDS = [-7, 0, 1, 70_000, 2**31 - 1]


def any_category(_):
    return "any"


@given(arrays(np.int32, (10, 12), elements=st.sampled_from(IDS)))
def test_each_positive_id_is_an_instance(image):
    result = InstanceImageMasks(min_pixels=1).segment(image, any_category)
    assert result.ids.dtype == np.uint16
    np.testing.assert_array_equal(result.ids > 0, image > 0)
    assert len(result.labels) == len(set(image[image > 0].tolist()))
    for i in result.labels:
        assert len(set(image[result.ids == i].tolist())) == 1


def test_categories_come_with_the_ids_and_unknown_ones_are_dropped():
    image = np.zeros((20, 30), np.uint16)
    image[2:8, 2:8], image[10:18, 10:18], image[2:8, 20:28] = 5, 9, 300
    categories = {5: "mug", 300: "any"}
    result = InstanceImageMasks(min_pixels=1).segment(image, categories.get)
    assert sorted(x.category for x in result.labels.values()) == ["any", "mug"]
    assert not result.ids[image == 9].any()
    assert all(x.detected for x in result.labels.values())


def test_an_instance_in_pieces_stays_one():
    image = np.zeros((20, 30), np.uint8)
    image[2:8, 2:8] = image[10:18, 10:18] = 5
    assert len(InstanceImageMasks(min_pixels=1).segment(image, any_category).labels) == 1


def test_of_a_noisy_image_the_largest_are_instances():
    image = np.arange(100 * 100, dtype=np.int32).reshape(100, 100) % 120
    image[:10] = 119
    result = InstanceImageMasks(min_pixels=50).segment(image, any_category)
    assert len(result.labels) == 64
    assert result.ids[0, 0]
    assert not InstanceImageMasks(min_pixels=5000).segment(image, any_category).labels


def test_ids_stay_with_what_moves_a_little_whatever_the_image_calls_it():
    masks, seen = InstanceImageMasks(min_pixels=1), []
    for place, name in ((10, 3), (12, 80), (14, 3)):
        image = np.zeros((40, 100), np.int32)
        image[10:20, place : place + 10] = name
        seen += masks.segment(image, any_category).labels
    assert len(set(seen)) == 1
    masks.reset()
    assert list(masks.segment(image, any_category).labels) != seen[:1]


@pytest.mark.parametrize("image", [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.float32)])
def test_other_images_are_refused(image):
    with pytest.raises(FrameError, match="integer ids"):
        InstanceImageMasks().segment(image, any_category)
