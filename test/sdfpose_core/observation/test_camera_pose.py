"""Measured poses of the camera."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from sdfpose_core.errors import FrameError
from sdfpose_core.observation.camera_pose import MeasuredCameraPose


def pose(seed):
    rng = np.random.default_rng(seed)
    return MeasuredCameraPose(Rotation.random(random_state=seed).as_matrix(), rng.normal(size=3))


@given(seed=st.integers(0, 1000))
def test_to_the_world_and_back(seed):
    camera, points = pose(seed), np.random.default_rng(seed).normal(size=(5, 3))
    np.testing.assert_allclose(camera.to_camera(camera.to_world(points)), points, atol=1e-12)
    np.testing.assert_allclose(camera.to_world([0.0, 0.0, 0.0]), camera.translation)


def test_an_error_of_the_rotation_moves_what_is_far_away():
    """Against drawn errors of the camera's pose."""
    camera, place = pose(3), np.array([0.1, -0.2, 1.5])
    rng = np.random.default_rng(0)
    covariance = MeasuredCameraPose.covariance_of(0.002, 0.004)
    errors = rng.multivariate_normal(np.zeros(6), covariance, size=20000)
    moved = errors[:, :3] + np.cross(errors[:, 3:], place)
    drawn = np.cov(np.concatenate([moved, errors[:, 3:]], axis=1).T)
    known = MeasuredCameraPose(camera.rotation, camera.translation, covariance)
    expected = known.covariance_at(place)
    np.testing.assert_allclose(drawn, expected, atol=0.05 * np.abs(expected).max())


def test_the_angle_between_two_cameras():
    camera = pose(1)
    turn = Rotation.from_rotvec([0.0, 0.3, 0.0]).as_matrix()
    other = MeasuredCameraPose(camera.rotation @ turn, camera.translation)
    assert camera.angle_to(other) == pytest.approx(0.3)
    assert camera.angle_to(camera) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rotation": 2.0 * np.eye(3)}, "expected a rotation matrix"),
        ({"rotation": np.diag([1.0, 1.0, -1.0])}, "expected a rotation matrix"),
        ({"rotation": np.eye(4)}, r"expected \(3, 3\) finite numbers"),
        ({"translation": np.array([np.nan, 0.0, 0.0])}, "translation is"),
        ({"covariance": np.eye(3)}, r"expected \(6, 6\) finite numbers"),
    ],
)
def test_what_is_no_pose_is_refused(changes, message):
    values = {"rotation": np.eye(3), "translation": np.zeros(3)} | changes
    with pytest.raises(FrameError, match=message):
        MeasuredCameraPose(**values)
