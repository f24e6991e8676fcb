"""Rivals that are the chosen pose itself, up to the symmetries of its shape."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from simple_estimates import make_alternative, make_estimate

from sdfpose_core.estimation.rivals import rotation_cosine, true_rivals, with_modes

HALF_TURNS = np.stack([np.diag(x) for x in ((1.0, -1, -1), (-1.0, 1, -1), (-1.0, -1, 1))])
NONE = np.zeros((0, 3, 3))
vectors = st.tuples(*[st.floats(-2.0, 2.0)] * 3).map(np.array)


def turn(vector):
    return Rotation.from_rotvec(vector).as_matrix()


def chosen(*rivals, symmetric=False, symmetries=NONE, confidence=0.3):
    """An estimate of probability 0.5 with alternatives, each (category, rotation, probability)."""
    return replace(
        make_estimate("can"),
        symmetric_about_y=symmetric,
        symmetries=symmetries,
        probability=0.5,
        confidence=confidence,
        alternatives=tuple(
            make_alternative(category=c, rotation=r, probability=p) for c, r, p in rivals
        ),
    )


R = make_estimate("can").rotation


@given(vectors, vectors)
def test_the_angle_between_rotations_is_the_smallest_over_the_symmetries(one, other):
    a, b = turn(one), turn(other)
    for symmetries in (NONE, HALF_TURNS[:1], HALF_TURNS):
        angles = [Rotation.from_matrix((a @ s).T @ b).magnitude() for s in (np.eye(3), *symmetries)]
        found = rotation_cosine(a, b, symmetries, symmetric_about_y=False)
        assert np.arccos(np.clip(found, -1.0, 1.0)) == pytest.approx(min(angles), abs=1e-6)


@given(vectors, st.floats(-3.0, 3.0))
def test_yaw_does_not_count_for_what_is_symmetric_about_y(vector, yaw):
    a = turn(vector)
    b = a @ turn([0.0, yaw, 0.0]) @ HALF_TURNS[0]
    assert rotation_cosine(a, b, NONE, symmetric_about_y=True) == pytest.approx(-1.0)
    assert rotation_cosine(a, b, HALF_TURNS[:1], symmetric_about_y=True) == pytest.approx(1.0)


@given(st.sampled_from(range(3)), vectors)
def test_a_rival_that_is_the_pose_after_a_symmetry_adds_to_its_probability(which, direction):
    slightly = turn(0.3 * direction / (np.linalg.norm(direction) + 1e-9))
    same = R @ HALF_TURNS[which] @ slightly
    estimate = chosen(("can", same, 0.3), ("mug", R, 0.2), symmetries=HALF_TURNS[which][None])
    found = true_rivals(estimate)
    assert [x.category for x in found.alternatives] == ["mug"]
    assert found.probability == pytest.approx(0.8)
    assert found.confidence == pytest.approx(0.3 * 0.8 / 0.5)  # as precise as before
    others = true_rivals(replace(estimate, symmetries=np.delete(HALF_TURNS, which, axis=0)))
    assert others is not found
    assert len(others.alternatives) == 2


def test_without_a_symmetry_every_rival_is_one():
    estimate = chosen(("can", R @ HALF_TURNS[0], 0.3), ("can", R @ turn([0.0, 1.0, 0.0]), 0.2))
    assert true_rivals(estimate) is estimate
    assert true_rivals(chosen()).alternatives == ()


def test_turns_about_y_are_no_rivals_while_yaw_is_undefined():
    turned, upside_down = R @ turn([0.0, 1.0, 0.0]), R @ HALF_TURNS[0] @ turn([0.0, 2.0, 0.0])
    estimate = chosen(("can", turned, 0.4), ("can", upside_down, 0.1), symmetric=True)
    found = true_rivals(estimate)
    assert (found.probability, len(found.alternatives)) == (pytest.approx(0.9), 1)
    np.testing.assert_array_equal(found.alternatives[0].rotation, upside_down)
    both_ends = true_rivals(replace(estimate, symmetries=HALF_TURNS[:1]))
    assert (both_ends.probability, both_ends.alternatives) == (1.0, ())
    assert both_ends.confidence == pytest.approx(0.6)


def test_another_probability_gives_the_confidence_that_follows():
    estimate = chosen(confidence=0.4)
    assert with_modes(estimate, 0.25, ()).confidence == pytest.approx(0.2)
    assert with_modes(estimate, 1.0, ()).confidence == pytest.approx(0.8)
    assert with_modes(replace(estimate, confidence=0.9), 1.0, ()).confidence == 1.0
    impossible = replace(estimate, probability=0.0, confidence=0.0)
    assert with_modes(impossible, 0.5, ()).confidence == 0.0
