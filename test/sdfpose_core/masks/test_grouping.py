"""Objects from votes, with known answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_maps import maps_of

from sdfpose_core.masks.grouping import GroupingConfig, group
from sdfpose_core.observation.frame import MAX_INSTANCES

FOCAL = 300.0


def blank(height=96, width=128):
    return np.zeros((height, width), dtype=np.int32)


def flat(ids, z=1.0):
    return np.full(ids.shape, z, dtype=np.float32)


def assert_same_objects(labels, ids):
    """The labels are those of the ids, in any order."""
    pairs = np.unique(np.stack([labels.ravel(), ids.ravel()]), axis=1)
    assert pairs.shape[1] == len(np.unique(ids))
    assert len(np.unique(pairs[0])) == pairs.shape[1]
    np.testing.assert_array_equal(labels > 0, ids > 0)


def touching():
    ids = blank()
    ids[20:60, 20:50] = 1
    ids[20:60, 50:80] = 2
    ids[60:80, 30:70] = 3
    return ids


def test_objects_that_touch_are_apart():
    found = group(maps_of(touching()), flat(touching()), FOCAL)
    assert_same_objects(found.labels, touching())
    assert found.labels.dtype == np.int32
    assert len(found.scores) == 3
    assert (np.diff(found.scores) <= 0.0).all()
    assert (found.scores > 0.8).all()
    assert (found.scores <= 1.0).all()


def test_without_objects_there_is_none():
    found = group(maps_of(blank()), flat(blank()), FOCAL)
    assert not found.labels.any()
    assert len(found.scores) == 0


def in_two_pieces():
    ids = blank()
    ids[30:60, 20:100] = 1
    ids[2:62, 50:70] = 2
    return ids


def test_an_object_behind_another_one_is_one_object_in_two_pieces():
    found = group(maps_of(in_two_pieces()), flat(in_two_pieces()), FOCAL)
    assert_same_objects(found.labels, in_two_pieces())


def test_pieces_that_are_far_apart_in_depth_are_two_objects():
    ids = in_two_pieces()
    depth = flat(ids)
    depth[:, 70:] = 1.8
    found = group(maps_of(ids), depth, FOCAL)
    expected = ids.copy()
    expected[30:60, 70:100] = 3
    assert_same_objects(found.labels, expected)
    # Where depth is missing, nothing is known about gaps.
    depth[:, 70:] = 0.0
    assert_same_objects(group(maps_of(ids), depth, FOCAL).labels, ids)


def test_objects_with_one_centre_in_the_image_are_apart_if_their_votes_are():
    ids = blank()
    ids[20:80, 20:100] = 1
    ids[40:60, 50:70] = 2
    maps = maps_of(ids)
    assert group(maps, flat(ids), FOCAL).labels.max() == 1
    maps.votes[2][ids == 2] -= 1.0
    assert_same_objects(group(maps, flat(ids), FOCAL).labels, ids)


def test_many_objects_are_limited():
    ids = blank(240, 320)
    for number in range(100):
        v, u = 24 * (number // 10), 32 * (number % 10)
        ids[v : v + 20, u : u + 28] = number + 1
    found = group(maps_of(ids), flat(ids), FOCAL)
    assert len(found.scores) == MAX_INSTANCES
    assert found.labels.max() == MAX_INSTANCES
    kept = np.unique(ids[found.labels > 0])
    assert_same_objects(found.labels, np.where(np.isin(ids, kept), ids, 0))


def test_small_objects_are_dropped_as_asked():
    ids = touching()
    ids[2:8, 2:8] = 4
    config = GroupingConfig(min_pixels=37)
    found = group(maps_of(ids), flat(ids), FOCAL, config)
    assert_same_objects(found.labels, touching())
    config = GroupingConfig(min_pixels=36)
    assert_same_objects(group(maps_of(ids), flat(ids), FOCAL, config).labels, ids)


def test_seeds_that_are_too_weak_stand_for_nothing():
    ids = touching()
    maps = maps_of(ids)
    maps.seed[ids == 2] = -3.0
    assert_same_objects(group(maps, flat(ids), FOCAL).labels, np.where(ids == 2, 0, ids))


def test_speckles_and_small_holes_take_the_label_around_them():
    ids = touching()
    maps = maps_of(ids)
    for v, u in ((30, 30), (41, 60), (70, 50)):
        maps.foreground[v : v + 2, u : u + 2] = -4.0
    maps.foreground[5:7, 100:103] = 4.0
    other = (slice(50, 53), slice(30, 32))
    maps.votes[:2][(slice(None), *other)] = maps.votes[:2, 40:41, 60:61]
    assert_same_objects(group(maps, flat(ids), FOCAL).labels, ids)


def test_two_seeds_of_one_object_are_merged():
    """The votes of its halves are apart, but each radius reaches the other's centre."""
    ids = touching()
    ids[ids == 3] = 0
    maps = maps_of(ids, noise_px=0.0, places={1: (46.0, 40.0), 2: (53.0, 40.0)})
    maps.log_precision[:] = 2.0 * np.log(64.0 / 6.5)
    assert group(maps, flat(ids), FOCAL).labels.max() == 2
    maps.log_precision[:] = 2.0 * np.log(64.0 / 7.5)
    assert_same_objects(group(maps, flat(ids), FOCAL).labels, np.minimum(ids, 1))


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 90), st.integers(12, 30)), max_size=6))
def test_every_object_is_found_however_they_overlap(boxes):
    ids = blank()
    for number, (v, u, side) in enumerate(boxes, start=1):
        ids[v : v + side, u : u + side] = number
    # Objects that are far apart in the third coordinate, of which no small piece is left.
    sizes = np.bincount(ids.ravel(), minlength=len(boxes) + 1)
    maps = maps_of(ids)
    maps.votes[2] = ids
    found = group(maps, flat(ids), FOCAL, GroupingConfig(min_piece=0.0))
    for number in np.flatnonzero(sizes[1:] >= 60) + 1:
        own, counts = np.unique(found.labels[ids == number], return_counts=True)
        best = own[counts.argmax()]
        union = np.count_nonzero((found.labels == best) | (ids == number))
        assert best > 0
        assert counts.max() / union > 0.75


@pytest.mark.parametrize("shape", [(4, 4), (2, 40), (16, 16)])
def test_tiny_images(shape):
    ids = np.ones(shape, dtype=np.int32)
    found = group(maps_of(ids), flat(ids), FOCAL, GroupingConfig(min_pixels=1))
    assert_same_objects(found.labels, ids)


def test_maps_that_are_all_foreground_without_a_seed():
    ids = np.ones((48, 64), dtype=np.int32)
    maps = maps_of(ids)
    maps.seed[:] = -9.0
    assert not group(maps, flat(ids), FOCAL).labels.any()
