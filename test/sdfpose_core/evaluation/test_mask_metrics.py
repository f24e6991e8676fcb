"""Comparison of masks: cases worked out by hand, and what holds for any masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sdfpose_core.errors import ShapeError
from sdfpose_core.evaluation.mask_metrics import (
    boundary_f,
    mask_figures,
    match_masks,
    object_figures,
)

SIZE = (60, 80)


def masks(**boxes):
    """A mask of boxes (top, bottom, left, right), by id: ``_1=(0, 10, 0, 10)``."""
    image = np.zeros(SIZE, np.uint16)
    for name, (top, bottom, left, right) in boxes.items():
        image[top:bottom, left:right] = int(name.removeprefix("_"))
    return image


TWO = masks(_1=(10, 30, 10, 30), _2=(10, 30, 30, 50))
"""Two squares of 20 x 20 that touch."""


def flags(x):
    return [name for name in ("missed", "merged", "split") if getattr(x, name)]


def test_what_is_found_exactly():
    result = match_masks(TWO, np.where(TWO > 0, TWO + 6, 0))
    assert [(x.id, x.found_id, x.iou, x.best_iou, x.boundary_f) for x in result.objects] == [
        (1, 7, 1.0, 1.0, 1.0),
        (2, 8, 1.0, 1.0, 1.0),
    ]
    assert [flags(x) for x in result.objects] == [[], []]
    assert (result.found, result.false_ids, result.partners) == (2, (), {7: 1, 8: 2})


def test_nothing_is_found():
    result = match_masks(TWO, np.zeros_like(TWO))
    assert [flags(x) for x in result.objects] == [["missed"], ["missed"]]
    assert [(x.found_id, x.iou, x.best_iou, x.boundary_f) for x in result.objects] == [
        (0, 0.0, 0.0, 0.0)
    ] * 2
    assert result.partners == {}


def test_one_mask_for_two_objects():
    """Each has an IoU of exactly one half with it, but only one of them can be found."""
    result = match_masks(TWO, masks(_3=(10, 30, 10, 50)))
    assert [flags(x) for x in result.objects] == [["merged"], ["merged"]]
    assert [x.best_iou for x in result.objects] == [0.5, 0.5]
    assert sorted(x.iou for x in result.objects) == [0.0, 0.5]
    assert object_figures(result.objects)["iou50"] == 50.0
    assert result.false_ids == ()


@pytest.mark.parametrize(("right", "merged"), [(39, False), (40, True)])
def test_half_of_a_neighbour_is_the_limit(right, merged):
    """The mask covers the first object, and 9 or 10 of 20 columns of the second."""
    result = match_masks(TWO, masks(_3=(10, 30, 10, right)))
    assert [x.merged for x in result.objects] == [merged, merged]
    assert [x.missed for x in result.objects] == [False, not merged]
    assert result.objects[0].iou == pytest.approx(20 / (right - 10))


def test_one_object_in_two_masks():
    result = match_masks(
        masks(_1=(10, 30, 10, 30)), masks(_5=(10, 22, 10, 30), _6=(22, 30, 10, 30))
    )
    (x,) = result.objects
    assert flags(x) == ["split"]
    assert (x.found_id, x.iou) == (5, pytest.approx(0.6))
    assert result.false_ids == ()


def test_fragments_that_cover_less_than_half_are_no_split():
    found = masks(_5=(10, 14, 10, 30), _6=(20, 25, 10, 30))
    (x,) = match_masks(masks(_1=(10, 30, 10, 30)), found).objects
    assert flags(x) == ["missed"]


def test_a_found_object_with_a_fragment_is_split():
    (x,) = match_masks(
        masks(_1=(10, 30, 10, 30)), masks(_5=(10, 28, 10, 30), _6=(28, 30, 10, 30))
    ).objects
    assert flags(x) == ["split"]
    assert x.iou == pytest.approx(0.9)


def test_a_neighbours_overlap_is_no_fragment():
    """A mask of the second object reaches into the first: most of it lies elsewhere."""
    found = masks(_5=(10, 30, 10, 27), _6=(10, 30, 27, 50))
    assert [flags(x) for x in match_masks(TWO, found).objects] == [[], []]


def test_masks_of_the_background_are_false():
    found = masks(_1=(0, 60, 60, 80), _2=(10, 30, 10, 30), _9=(10, 50, 30, 50))
    result = match_masks(TWO, found)
    assert result.false_ids == (1,)  # exactly half of mask 9 lies in object 2
    assert match_masks(masks(), found).false_ids == (1, 2, 9)


def test_small_objects_need_not_be_found():
    truth = masks(_1=(10, 30, 10, 30), _2=(40, 44, 40, 44))
    result = match_masks(truth, masks(_1=(40, 44, 40, 44)), min_pixels=17)
    assert [x.id for x in result.objects] == [1]
    assert result.false_ids == ()


def test_the_best_pair_goes_first():
    """An assignment of the largest sum of IoUs would take the other pairs, and find nothing."""
    truth = np.zeros((1, 90), np.uint16)
    found = np.zeros((1, 90), np.uint16)
    truth[0, 10:40], truth[0, 40:50] = 1, 2
    found[0, 19:50], found[0, 10:19] = 1, 2
    iou = {(1, 1): 21 / 40, (1, 2): 9 / 30, (2, 1): 10 / 31}
    assert iou[1, 2] + iou[2, 1] > iou[1, 1] > 0.5
    first, second = match_masks(truth, found).objects
    assert (first.found_id, first.iou) == (1, pytest.approx(iou[1, 1]))
    assert (second.found_id, second.iou) == (0, 0.0)
    assert second.best_iou == pytest.approx(iou[2, 1])


def test_a_touch_does_not_make_a_partner():
    """An IoU below 0.1 is no reason to compare the poses."""
    result = match_masks(masks(_1=(10, 30, 10, 30)), masks(_4=(10, 30, 28, 60)))
    assert 0.0 < result.objects[0].iou < 0.1
    assert result.partners == {}


def test_sizes_must_agree():
    with pytest.raises(ShapeError, match=r"\(60, 80\) and \(60, 79\): expected two images"):
        match_masks(TWO, TWO[:, :79])


class TestBoundaryF:
    def square(self, left=20, side=20):
        mask = np.zeros(SIZE, bool)
        mask[20 : 20 + side, left : left + side] = True
        return mask

    def test_a_shift_within_the_tolerance_does_not_matter(self):
        """The tolerance of 0.02 is two pixels: the diagonal has 100."""
        assert boundary_f(self.square(), self.square(left=22), 0.02) == 1.0

    @pytest.mark.parametrize(("right", "expected"), [(42, 1.0), (43, 0.5), (46, 0.5)])
    def test_one_of_two_edges_agrees(self, right, expected):
        """Upright bands from the top of the image to its bottom have two edges of one length."""
        true, found = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
        true[:, 20:40], found[:, 20:right] = True, True
        assert boundary_f(true, found, 0.02) == expected

    def test_precision_and_recall_differ(self):
        """Two edges of three agree in one direction, and both in the other."""
        true, found = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
        true[:, 20:40], found[:, 20:40], found[:, 60:] = True, True, True
        assert boundary_f(true, found) == pytest.approx(2 * (2 / 3) / (2 / 3 + 1))

    def test_different_edges(self):
        assert boundary_f(self.square(), self.square(left=55)) == 0.0

    @pytest.mark.parametrize(
        ("true", "found", "expected"),
        [("none", "none", 1.0), ("none", "some", 0.0), ("some", "none", 0.0), ("all", "all", 1.0)],
    )
    def test_masks_without_edges(self, true, found, expected):
        kinds = {"none": np.zeros(SIZE, bool), "all": np.ones(SIZE, bool), "some": self.square()}
        assert boundary_f(kinds[true], kinds[found]) == expected

    def test_the_border_of_the_image_is_no_edge(self):
        true, found = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
        true[:, :40], found[:, :41] = True, True
        assert boundary_f(true, found) == 1.0


def test_figures_of_several_images():
    right, wrong = match_masks(TWO, TWO), match_masks(TWO, masks(_3=(40, 60, 0, 80)))
    figures = mask_figures([right, wrong])
    assert figures == {
        "n": 4,
        "iou50": 50.0,
        "iou75": 50.0,
        "missed": 50.0,
        "merged": 0.0,
        "split": 0.0,
        "false_per_frame": 0.5,
        "boundary_f": 0.5,
    }


def test_figures_without_objects():
    empty = masks()
    assert set(mask_figures([match_masks(empty, empty)]).values()) == {0, None}
    assert mask_figures([])["false_per_frame"] is None


any_mask = arrays.arrays(np.uint16, (12, 16), elements=st.integers(0, 4))


@given(truth=any_mask, found=any_mask)
def test_bounds_and_consistency(truth, found):
    result = match_masks(truth, found)
    assert [x.id for x in result.objects] == [x for x in np.unique(truth) if x]
    partners = [x.found_id for x in result.objects if x.found_id]
    assert len(set(partners)) == len(partners)
    assert set(result.false_ids) <= set(np.unique(found)) - {0}
    for x in result.objects:
        assert 0.0 <= x.iou <= x.best_iou <= 1.0
        assert 0.0 <= x.boundary_f <= 1.0
        assert not (x.missed and (x.merged or x.split))
        if x.best_iou > 0.5:
            assert x.iou == x.best_iou


@given(truth=any_mask, found=any_mask, order=st.permutations(range(1, 5)))
def test_ids_do_not_matter(truth, found, order):
    renamed = np.array([0, *order], np.uint16)[found]
    before, after = match_masks(truth, found), match_masks(truth, renamed)
    assert object_figures(before.objects) == object_figures(after.objects)
    assert len(before.false_ids) == len(after.false_ids)


@given(truth=any_mask)
def test_the_truth_is_found(truth):
    result = match_masks(truth, truth)
    assert all((x.found_id, x.iou, x.boundary_f) == (x.id, 1.0, 1.0) for x in result.objects)
    assert not any(x.missed or x.merged or x.split for x in result.objects)
    assert result.false_ids == ()


@given(truth=any_mask, found=any_mask)
def test_the_boundary_measure_is_symmetric(truth, found):
    assert boundary_f(truth == 1, found == 1) == pytest.approx(boundary_f(found == 1, truth == 1))


def test_masks_on_ignored_pixels_are_not_false():
    truth = np.zeros((8, 12), np.uint16)
    truth[:4, :4] = 65535
    ignore = np.zeros(truth.shape, np.bool_)
    ignore[4:, 8:] = True
    found = truth + 2 * ignore.astype(np.uint16)
    assert match_masks(truth, found).false_ids == (2,)
    compared = match_masks(truth, found, ignore=ignore)
    assert compared.false_ids == ()
    assert [(x.id, x.iou) for x in compared.objects] == [(65535, 1.0)]
    with pytest.raises(ShapeError, match="ignored pixels have the shape"):
        match_masks(truth, found, ignore=ignore[1:])
