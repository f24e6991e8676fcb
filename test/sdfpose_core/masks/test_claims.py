"""Followed objects that claim their pixels, in simulated images of things on a table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from followed_objects import (
    ANY,
    block,
    followed,
    found,
    moved,
    overlap,
    standing,
    touching,
    view,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.masks.claims import claim
from sdfpose_core.masks.tabletop import TabletopMasks
from sdfpose_core.observation.frame import InstanceLabel


def claimed(frame, masks, objects):
    return claim(masks, frame.depth, frame.camera, [followed(x) for x in objects]).mask


@pytest.fixture(scope="module")
def pair():
    """A mug (1) and a can (2) that touch."""
    objects = touching()
    return objects, view(objects)


class TestDivision:
    def test_a_mask_of_two_objects_is_divided(self, pair):
        objects, frame = pair
        merged = TabletopMasks().segment(frame.depth, frame.camera)
        assert len(merged.labels) == 1
        parts = claimed(frame, merged, objects)
        assert parts.labels == {1: ANY, 2: ANY}
        for i in (1, 2):
            assert overlap(parts.ids == i, frame.mask == i) > 0.85

    @pytest.mark.parametrize("shift_m", [-0.008, 0.008])
    def test_the_prediction_need_not_be_exact(self, pair, shift_m):
        objects, frame = pair
        predicted = [moved(x, x_m=shift_m, z_m=shift_m) for x in objects]
        parts = claimed(frame, found(frame.mask > 0), predicted)
        for i in (1, 2):
            assert overlap(parts.ids == i, frame.mask == i) > 0.85

    def test_one_behind_the_other(self):
        bottle, bowl = standing(1, "bottle", 0.03, -0.12), standing(2, "bowl", 0.0, 0.06)
        frame = view([bottle, bowl])
        parts = claimed(frame, found(frame.mask > 0), [bottle, bowl])
        for i in (1, 2):
            assert overlap(parts.ids == i, frame.mask == i) > 0.85

    def test_what_is_not_followed_stays(self, pair):
        objects, frame = pair
        parts = claimed(frame, found(3 * (frame.mask > 0)), objects[:1])
        assert set(parts.labels) == {1, 3}
        assert overlap(parts.ids == 1, frame.mask == 1) > 0.85
        assert overlap(parts.ids == 3, frame.mask == 2) > 0.85

    def test_what_is_not_followed_gets_another_id_if_need_be(self, pair):
        objects, frame = pair
        parts = claimed(frame, found(frame.mask > 0), objects[:1])
        (other,) = set(parts.labels) - {1}
        assert overlap(parts.ids == other, frame.mask == 2) > 0.85

    def test_the_shape_need_not_be_complete(self):
        """An estimate without the handle: the handle is still part of the mug's mask."""
        mug = standing(1, "mug", 0.0, 0.0)
        frame = view([mug])
        body = followed(mug)
        kept = ~(body.vertices[body.faces][..., 0] > 0.27 * mug.model.dimensions_m[0]).all(axis=1)
        bare = replace(body, faces=body.faces[kept])
        masks = found(7 * (frame.mask > 0))
        parts = claim(masks, frame.depth, frame.camera, [bare]).mask
        np.testing.assert_array_equal(parts.ids == 1, masks.ids == 7)

    def test_the_same_object_twice_is_not_divided(self, pair):
        (mug, _), frame = pair
        masks = found(np.where(frame.mask == 1, 4, 0))
        twice = [followed(mug), followed(moved(mug, x_m=0.005), mask_id=9, confidence=0.6)]
        parts = claim(masks, frame.depth, frame.camera, twice).mask
        assert set(parts.labels) == {1}

    def test_a_part_of_another_category_is_of_any(self, pair):
        objects, frame = pair
        label = InstanceLabel("mug", 0.7, detected=True)
        parts = claimed(frame, found(frame.mask > 0, label), objects)
        assert parts.labels == {1: label, 2: InstanceLabel("any", 0.7, detected=True)}


class TestJoining:
    def test_pieces_are_joined(self, pair):
        objects, frame = pair
        columns = np.arange(640)[None, :]
        middle = np.median(np.nonzero(frame.mask == 2)[1])
        pieces = np.where((frame.mask == 2) & (columns > middle), 5, frame.mask)
        masks = replace(found(pieces), labels={1: ANY, 2: ANY, 5: replace(ANY, score=0.6)})
        parts = claimed(frame, masks, objects)
        np.testing.assert_array_equal(parts.ids > 0, frame.mask > 0)
        for i in (1, 2):
            assert overlap(parts.ids == i, frame.mask == i) > 0.97

    def test_a_gap_is_filled_where_depth_explains_it(self):
        bowl = standing(1, "bowl", 0.0, 0.0)
        frame = view([bowl])
        v, u = np.nonzero(frame.mask)
        rim = frame.mask.copy()
        rim[int(np.median(v)) - 15 : int(np.median(v)) + 15, u.min() + 20 : u.max() - 20] = 0
        assert overlap(rim > 0, frame.mask > 0) < 0.85
        parts = claimed(frame, found(rim), [bowl])
        assert overlap(parts.ids == 1, frame.mask == 1) > 0.92
        assert not (parts.ids[frame.mask == 0]).any()

    def test_a_hidden_strip_parts_an_object_whose_id_both_sides_have(self):
        """A narrow post before a laptop: left and right of it are the laptop, the post is not."""
        laptop = standing(1, "laptop", 0.0, -0.1, turn=-np.pi / 2)
        post = block(8, (0.03, 0.3, 0.03), [0.0, 0.15, 0.15])
        frame = view([laptop, post])
        left = np.arange(640)[None, :] < np.nonzero(frame.mask == 8)[1].mean()
        masks = found(np.where((frame.mask == 1) & left, 3, frame.mask))
        parts = claimed(frame, masks, [laptop])
        np.testing.assert_array_equal(parts.ids == 1, frame.mask == 1)
        np.testing.assert_array_equal(parts.ids == 8, frame.mask == 8)


class TestOthers:
    def test_nothing_is_followed(self, pair):
        _, frame = pair
        masks = found(frame.mask)
        assert claim(masks, frame.depth, frame.camera, []).mask is masks

    def test_a_hidden_object_claims_nothing(self):
        can = standing(1, "can", 0.0, -0.1)
        screen = block(2, (0.3, 0.35, 0.02), [0.0, 0.175, 0.1])
        frame = view([can, screen])
        assert not (frame.mask == 1).any()
        masks = found(frame.mask)
        assert claimed(frame, masks, [can]) is masks

    @pytest.mark.parametrize("category", ["can", "bowl", "laptop"])
    def test_an_object_that_is_gone_claims_no_table(self, category):
        gone, mug = standing(1, category, -0.1, 0.0), standing(2, "mug", 0.15, 0.0)
        frame = view([mug])
        predicted = [followed(x) for x in (gone, mug)]
        result = claim(found(frame.mask), frame.depth, frame.camera, predicted, may_lack_mask={1})
        np.testing.assert_array_equal(result.mask.ids > 0, frame.mask > 0)
        assert set(result.mask.labels) == {2}

    @pytest.mark.parametrize("may", [True, False])
    def test_an_object_without_a_mask_gets_one_if_it_may(self, pair, may):
        objects, frame = pair
        masks = found(np.where(frame.mask == 1, 1, 0))
        predicted = [followed(x) for x in objects]
        result = claim(
            masks, frame.depth, frame.camera, predicted, may_lack_mask={2} if may else {}
        )
        assert result.shown == {1}
        assert set(result.mask.labels) == ({1, 2} if may else {1})
        assert overlap(result.mask.ids == 1, frame.mask == 1) > 0.97
        if may:
            assert result.mask.labels[2] == replace(ANY, score=predicted[1].confidence)
            measured = (frame.mask == 2) & (frame.depth > 0.0)
            assert overlap(result.mask.ids == 2, measured) > 0.85

    def test_masks_of_others_are_not_lost(self, pair):
        objects, frame = pair
        swapped = np.array([0, 2, 1])[frame.mask]
        parts = claimed(frame, found(swapped), objects[:1])
        np.testing.assert_array_equal(parts.ids == 1, frame.mask == 1)
        (other,) = set(parts.labels) - {1}
        np.testing.assert_array_equal(parts.ids == other, frame.mask == 2)

    def test_two_lost_ids_that_are_the_same(self, pair):
        (mug, can), frame = pair
        both = [followed(mug), followed(can, mask_id=1)]
        parts = claim(found(frame.mask), frame.depth, frame.camera, both).mask
        assert len(parts.labels) == 2
        assert 1 in parts.labels

    def test_the_problem_of_the_image_is_kept(self, pair):
        objects, frame = pair
        masks = replace(found(frame.mask > 0), problem="it is dark")
        assert claimed(frame, masks, objects).problem == "it is dark"


class TestMotion:
    def test_ids_persist_whatever_the_source_calls_them(self):
        """Two objects that move, with other ids in each image."""
        mug, can = standing(1, "mug", -0.1, 0.0), standing(2, "can", 0.1, 0.05)
        for k, names in enumerate([(0, 1, 2), (0, 2, 1), (0, 9, 1), (0, 2, 40)]):
            objects = [moved(mug, x_m=0.03 * k), moved(can, z_m=-0.04 * k)]
            frame = view(objects, seed=k)
            parts = claimed(frame, found(np.array(names)[frame.mask]), objects)
            for i in (1, 2):
                assert overlap(parts.ids == i, frame.mask == i) > 0.97

    def test_a_prediction_that_the_image_contradicts_changes_nothing(self):
        can = standing(1, "can", 0.0, 0.0)
        frame = view([moved(can, x_m=0.05)])
        masks = found(6 * frame.mask)
        assert claimed(frame, masks, [can]) is masks


@settings(deadline=None, max_examples=25)
@given(
    blocks=st.lists(
        st.tuples(
            st.integers(0, 200), st.integers(0, 280), st.integers(1, 90), st.integers(1, 65535)
        ),
        max_size=5,
    )
)
def test_every_masked_pixel_keeps_a_mask_with_a_label(pair, blocks):
    objects, frame = pair
    ids = frame.mask.copy()
    for top, left, side, mask_id in blocks:
        ids[100 + top : 100 + top + side, 180 + left : 180 + left + 2 * side] = mask_id
    parts = claimed(frame, found(ids), objects)
    assert (parts.ids[ids > 0] > 0).all()
    assert set(np.unique(parts.ids)) - {0} <= set(parts.labels)
    added = (ids == 0) & (parts.ids > 0)
    assert (frame.depth[added] > 0.0).all()


@pytest.mark.parametrize(("width", "height"), [(16, 16), (3, 200), (1, 1)])
@pytest.mark.parametrize("depth_m", [0.0, 0.8])
def test_small_images_and_missing_depth(pair, width, height, depth_m):
    objects, _ = pair
    masks = found(np.ones((height, width)))
    camera = PinholeCamera(width, height, 20.0, 20.0, 0.5 * width, 0.5 * height)
    depth = np.full((height, width), depth_m, np.float32)
    parts = claim(masks, depth, camera, [followed(x) for x in objects]).mask
    assert (parts.ids > 0).all()
