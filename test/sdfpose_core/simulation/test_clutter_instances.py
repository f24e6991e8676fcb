"""Masks of simulated clutter: objects, distractors, parts of the room."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sdfpose_core.simulation.clutter import CLUTTER, EMPTY, simulated_clutter
from sdfpose_core.simulation.clutter_instances import clutter_instances, with_room_parts


@pytest.fixture(scope="module")
def images():
    return list(simulated_clutter(5, 6, CLUTTER, width=160, model_seeds=range(2)))


def test_objects_have_their_pose_and_other_things_none():
    some = list(clutter_instances(1, 20, width=320, model_seeds=range(2)))
    assert len(some) == 20
    assert {x.truth is None for x in some} == {True, False}
    for x in some:
        assert len({y.mask_id for y in x.candidates}) == 1
        assert all(y.unknown and not y.label for y in x.candidates)
        if x.truth is not None:
            assert x.truth.mask_id == x.candidates[0].mask_id
            offset = x.candidates[0].middle - x.truth.translation
            assert np.linalg.norm(offset) < x.truth.scale
            assert len(x.told(x.truth.category)) <= 1


def test_the_stream_depends_on_its_seed_alone():
    first, again, other = (
        [x.candidates[0].points for x in clutter_instances(seed, 3, width=160)]
        for seed in (0, 0, 1)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_rooms_without_objects_give_masks_of_no_category():
    some = itertools.islice(clutter_instances(0, 6, EMPTY, width=160), 6)
    assert all(x.truth is None for x in some)


def test_parts_of_the_room_are_background_of_one_depth(images):
    rng = np.random.default_rng(0)
    added = 0
    for image in images:
        ids = with_room_parts(image, rng)
        np.testing.assert_array_equal(ids[image.ids > 0], image.ids[image.ids > 0])
        assert not ids[image.ignore].any()
        for part in range(int(image.ids.max()) + 1, int(ids.max()) + 1):
            depth = image.frame.depth[ids == part]
            assert len(depth) >= 40
            assert np.ptp(depth) <= 0.5
            added += 1
    assert added > 0
