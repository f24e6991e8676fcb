"""The gripper as spheres."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdfpose_core.errors import ConfigurationError
from sdfpose_core.grasping.gripper import Gripper


@settings(max_examples=50, deadline=None)
@given(
    st.floats(0.02, 0.2), st.floats(0.004, 0.04), st.floats(0.004, 0.03), st.floats(0.02, 0.1),
    st.floats(0.01, 0.2),
)  # fmt: skip
def test_spheres_leave_the_opening_free_and_cover_the_fingers(width, y, x, z, opening):
    gripper = Gripper(max_width_m=width, finger_width_m=y, finger_thickness_m=x, finger_length_m=z)
    spheres = gripper.spheres(np.array([opening]))
    (centres,), radii = spheres.centres, spheres.radii
    fingers = centres[:, 2] >= -gripper.finger_length_m - 1e-9
    inner = np.abs(centres[fingers, 0]) - radii[fingers]
    np.testing.assert_allclose(inner, 0.5 * opening, atol=1e-12)
    # The axis of each finger, from the palm to the tip, is inside a sphere.
    along = np.linspace(-gripper.finger_length_m, gripper.overlap_m - 1e-9, 40)
    middle = 0.5 * (opening + x)
    for side in (-1.0, 1.0):
        axis = np.stack([np.full(40, side * middle), np.zeros(40), along], axis=1)
        distance = np.linalg.norm(axis[:, None] - centres, axis=-1) - radii
        assert distance.min(axis=1).max() < max(0.5 * x - gripper.overlap_m, 0.0) + 1e-9


def test_several_openings_at_once():
    gripper = Gripper()
    both = gripper.spheres(np.array([0.02, 0.08])).centres
    np.testing.assert_array_equal(both[0], gripper.spheres(np.array([0.02])).centres[0])
    np.testing.assert_array_equal(both[1], gripper.spheres(np.array([0.08])).centres[0])


def test_friction_is_an_angle():
    assert Gripper(friction=1.0).friction_angle == pytest.approx(math.pi / 4)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"friction": 0.0}, "friction is 0.0: expected a positive number"),
        ({"finger_width_m": -0.1}, "finger_width_m is -0.1: expected a positive number, metres"),
        ({"gap_m": math.nan}, "gap_m is nan"),
        ({"max_width_m": 0.01}, "max_width_m is 0.01: expected more than twice gap_m, 0.01"),
    ],
)
def test_wrong_values_are_named(values, problem):
    with pytest.raises(ConfigurationError, match=problem):
        Gripper(**values)
