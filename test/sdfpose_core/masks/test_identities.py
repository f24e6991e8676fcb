from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdfpose_core.errors import FrameError
from sdfpose_core.masks.identities import IdentityTracker
from sdfpose_core.masks.instance_mask import MAX_MASK_ID

PLACES = st.lists(
    st.tuples(*[st.floats(-1.0, 1.0) for _ in range(3)]), max_size=8
).map(lambda x: np.array(x, dtype=np.float64).reshape(-1, 3))  # fmt: skip


@given(st.lists(PLACES, max_size=6))
def test_ids_are_different_and_fit_sixteen_bits(images):
    identities = IdentityTracker(0.1, 2)
    for centres in images:
        ids = identities.assign(centres)
        assert len(ids) == len(centres) == len(set(ids))
        assert all(1 <= i <= MAX_MASK_ID for i in ids)


@given(st.permutations(range(6)), st.integers(0, 2**32 - 1))
def test_an_object_that_moves_little_keeps_its_id(order, seed):
    identities = IdentityTracker(0.1, 2)
    centres = np.arange(6)[:, None] * [0.3, 0.0, 0.0]
    before = identities.assign(centres)
    moved = centres + np.random.default_rng(seed).uniform(-0.05, 0.05, centres.shape)
    assert identities.assign(moved[order]) == [before[i] for i in order]


def test_an_object_that_jumps_is_a_new_one():
    identities = IdentityTracker(0.1, 2)
    (before,) = identities.assign(np.zeros((1, 3)))
    (after,) = identities.assign(np.full((1, 3), 0.1))
    assert after != before


def test_the_nearest_object_keeps_the_id():
    identities = IdentityTracker(0.1, 2)
    (before,) = identities.assign(np.zeros((1, 3)))
    far, near = identities.assign(np.array([[0.05, 0.0, 0.0], [0.01, 0.0, 0.0]]))
    assert near == before
    assert far != before


def test_an_id_outlives_images_without_its_object():
    nothing = np.zeros((0, 3))
    identities = IdentityTracker(0.1, 2)
    (before,) = identities.assign(np.zeros((1, 3)))
    for _ in range(2):
        identities.assign(nothing)
    assert identities.assign(np.zeros((1, 3))) == [before]
    for _ in range(3):
        identities.assign(nothing)
    assert identities.assign(np.zeros((1, 3))) != [before]


def test_ids_begin_again_after_the_last_and_leave_out_those_in_use():
    identities = IdentityTracker(0.1, 0)
    many = np.arange(MAX_MASK_ID, dtype=np.float64)[:, None]
    assert identities.assign(many) == list(range(1, MAX_MASK_ID + 1))
    assert identities.assign(many[:1]) == [1]
    assert identities.assign(many[:3]) == [1, 2, 3]


def test_more_objects_than_ids_are_told(monkeypatch):
    monkeypatch.setattr("sdfpose_core.masks.identities.MAX_MASK_ID", 3)
    identities = IdentityTracker(0.1, 1)
    assert identities.assign(np.eye(3)) == [1, 2, 3]
    with pytest.raises(FrameError, match="3 objects in the last images: expected at most 3"):
        identities.assign(10.0 * np.eye(3))
