from __future__ import annotations

import numpy as np
import pytest

from sdfpose_core.errors import FrameError
from sdfpose_core.masks.mask_stack import StackedMasks
from sdfpose_core.observation.frame import InstanceLabel


def stack(*columns):
    masks = np.zeros((len(columns), 20, 60), np.bool_)
    for mask, columns_of_one in zip(masks, columns, strict=True):
        mask[5:15, slice(*columns_of_one)] = True
    return masks


def test_masks_with_a_label_are_instances_and_the_higher_score_wins():
    labels = [InstanceLabel("mug", 0.6), None, InstanceLabel("bowl", 0.9)]
    result = StackedMasks(min_pixels=1).segment(stack((0, 20), (40, 50), (10, 30)), labels)
    found = {x.category: i for i, x in result.labels.items()}
    expected = np.zeros((20, 60), np.uint16)
    expected[5:15, :10], expected[5:15, 10:30] = found["mug"], found["bowl"]
    np.testing.assert_array_equal(result.ids, expected)
    assert result.labels[found["mug"]] == InstanceLabel("mug", 0.6, detected=True)


def test_of_many_masks_those_with_the_highest_scores_are_used():
    labels = [InstanceLabel("mug", i / 100) for i in range(100)]
    masks = np.zeros((100, 1, 100), np.bool_)
    masks[np.arange(100), 0, np.arange(100)] = True
    result = StackedMasks(min_pixels=1).segment(masks, labels)
    np.testing.assert_array_equal(result.ids[0] > 0, np.arange(100) >= 36)


def test_no_masks_are_no_instances():
    result = StackedMasks().segment(np.zeros((0, 20, 60), np.bool_), [])
    assert result.ids.shape == (20, 60)
    assert not result.labels


def test_after_a_reset_instances_have_new_ids():
    masks, one = StackedMasks(min_pixels=1), (stack((0, 20)), [InstanceLabel("mug")])
    (first,) = masks.segment(*one).labels
    assert list(masks.segment(*one).labels) == [first]
    masks.reset()
    assert list(masks.segment(*one).labels) != [first]


@pytest.mark.parametrize(("shape", "count"), [((2, 4, 4), 1), ((4, 4), 4), ((2, 1, 4, 4), 2)])
def test_labels_and_masks_have_to_agree(shape, count):
    with pytest.raises(FrameError, match=r"expected \(N, H, W\) with N labels"):
        StackedMasks().segment(np.zeros(shape, np.bool_), [None] * count)
