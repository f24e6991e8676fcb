from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdfpose_core.errors import FrameError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.masks.config import TabletopConfig
from sdfpose_core.masks.tabletop import TabletopMasks
from sdfpose_core.observation.segmentation import ANY_CATEGORY

MANY_PIXELS = 400
"""Of the true mask: smaller ones are hidden or cut off."""


def overlap(a, b):
    """Intersection over union of two masks."""
    return np.count_nonzero(a & b) / np.count_nonzero(a | b)


def overlaps(found, true):
    """How well each true instance is found, by its id."""
    large = np.flatnonzero(np.bincount(true.ravel()) >= MANY_PIXELS)
    return {
        int(i): max(overlap(true == i, (found == k) & (k > 0)) for k in np.unique(found[true == i]))
        for i in large[large > 0]
    }


def partner(found, true, true_id):
    """The found id that most of a true instance's pixels have."""
    return int(np.bincount(found[true == true_id]).argmax())


def test_most_objects_of_a_table_are_found_exactly(views):
    reached, superfluous = [], 0
    for view in views:
        result = TabletopMasks().segment(view.depth, view.camera)
        assert result.ids.dtype == np.uint16
        assert set(np.unique(result.ids)) - {0} == set(result.labels)
        assert {x.category for x in result.labels.values()} == {ANY_CATEGORY}
        assert result.problem == ""
        reached += overlaps(result.ids, view.mask).values()
        superfluous += sum(np.mean(view.mask[result.ids == i] == 0) > 0.5 for i in result.labels)
    assert len(reached) >= 40
    assert np.mean(np.array(reached) > 0.8) > 0.85
    assert np.median(reached) > 0.9
    assert superfluous <= 1


def test_an_empty_table_has_no_instance(empty_table):
    result = TabletopMasks().segment(empty_table.depth, empty_table.camera)
    assert not result.ids.any()
    assert not result.labels
    assert result.problem == ""


def test_ids_stay_while_the_camera_moves(moving_views):
    tabletop = TabletopMasks()
    masks = [tabletop.segment(x.depth, x.camera).ids for x in moving_views]
    first = moving_views[0].mask
    large = [i for i, x in overlaps(masks[0], first).items() if x > 0.5]
    assert len(large) >= 4
    for ids, view in zip(masks, moving_views, strict=True):
        for i in large:
            assert partner(ids, view.mask, i) == partner(masks[0], first, i)


def test_the_same_image_has_the_same_mask(views):
    a, b = (TabletopMasks().segment(views[0].depth, views[0].camera).ids for _ in range(2))
    np.testing.assert_array_equal(a, b)


def test_a_wide_image_is_worked_on_at_a_part_of_its_resolution(views):
    view = views[0]
    camera = view.camera.resize(2 * view.camera.width, 2 * view.camera.height)
    wide = view.depth.repeat(2, axis=0).repeat(2, axis=1)
    result = TabletopMasks().segment(wide[:-1, :-1], replace(camera, width=1279, height=959))
    assert result.ids.shape == (959, 1279)
    reference = TabletopMasks().segment(view.depth, view.camera).ids
    assert np.mean((result.ids[::2, ::2] > 0) == (reference > 0)) > 0.99


@pytest.mark.parametrize("missing", [0.0, np.nan, np.inf, -1.0])
def test_without_depth_it_says_that_there_is_no_table(views, missing):
    depth = np.full_like(views[0].depth, missing)
    result = TabletopMasks().segment(depth, views[0].camera)
    assert not result.ids.any()
    assert "0% of the pixels have depth" in result.problem


def test_without_a_plane_it_says_that_there_is_no_table(views):
    rng = np.random.default_rng(0)
    depth = rng.uniform(0.3, 1.9, views[0].depth.shape).astype(np.float32)
    result = TabletopMasks().segment(depth, views[0].camera)
    assert not result.ids.any()
    assert "no table" in result.problem


def test_limits_decide_what_is_an_object(views):
    view = views[0]

    def count(**changes):
        config = replace(TabletopConfig(), **changes)
        return len(TabletopMasks(config).segment(view.depth, view.camera).labels)

    everything = count()
    assert everything >= 5
    assert count(max_size_m=0.3) == everything - 1  # the laptop
    assert count(min_pixels=10**6) == 0
    assert count(min_top_m=0.49) == 0


def test_after_a_reset_objects_have_new_ids(views):
    tabletop = TabletopMasks()
    before = tabletop.segment(views[0].depth, views[0].camera).labels
    tabletop.reset()
    after = tabletop.segment(views[0].depth, views[0].camera).labels
    assert len(before) == len(after)
    assert not set(before) & set(after)


def test_depth_of_another_size_is_refused(views):
    with pytest.raises(FrameError, match=r"\(100, 640\).*register depth to colour"):
        TabletopMasks().segment(views[0].depth[:100], views[0].camera)


@settings(max_examples=30, deadline=None)
@given(
    x=st.floats(-0.15, 0.15),
    y=st.floats(-0.10, 0.10),
    side=st.floats(0.05, 0.12),
    height=st.floats(0.04, 0.15),
)
def test_a_block_on_a_table_seen_from_above(x, y, side, height):
    camera, table_m = PinholeCamera(320, 240, 300.0, 300.0, 159.5, 119.5), 0.8
    depth = np.full((240, 320), table_m, dtype=np.float32)
    rays = camera.rays(camera.pixel_grid())
    top = np.abs(rays[..., :2] * (table_m - height) - (x, y)).max(axis=-1) < 0.5 * side
    depth[top] = table_m - height
    result = TabletopMasks().segment(depth, camera)
    assert len(result.labels) == 1
    np.testing.assert_array_equal(result.ids > 0, top)
