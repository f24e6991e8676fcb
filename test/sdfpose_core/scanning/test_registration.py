"""Poses on the table: rotations about y with shifts along x and z."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from sdfpose_core.scanning.registration import planar, turned, yaw_of

angles = st.floats(-3.1, 3.1)
places = st.tuples(*[st.floats(-1.0, 1.0)] * 3).map(np.array)


@given(angles, places)
def test_a_turn_keeps_its_axis(angle, about):
    pose = turned(angle, about)
    np.testing.assert_allclose(pose[:3, :3] @ about + pose[:3, 3], about, atol=1e-12)
    np.testing.assert_allclose(yaw_of(pose), angle, atol=1e-12)


@given(angles, places, places)
def test_what_is_planar_stays(angle, about, point):
    pose = turned(angle, about)
    np.testing.assert_allclose(planar(pose, point), pose, atol=1e-12)


@given(places, places, places)
def test_the_projection_is_planar_and_keeps_the_point(rotation, shift, point):
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec(0.5 * rotation).as_matrix()
    pose[:3, 3] = shift
    found = planar(pose, point)
    np.testing.assert_allclose(found[:3, 1], [0.0, 1.0, 0.0], atol=1e-12)
    assert found[1, 3] == 0.0
    kept = found[:3, :3] @ point + found[:3, 3]
    np.testing.assert_allclose(kept[[0, 2]], (pose[:3, :3] @ point + shift)[[0, 2]], atol=1e-12)
