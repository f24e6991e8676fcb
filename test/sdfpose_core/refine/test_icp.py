import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from sdfpose_core.refine.icp import icp_threshold_m, refine_icp


def test_the_papers_thresholds():
    assert icp_threshold_m("bowl") == 0.001
    assert icp_threshold_m("camera") == 0.03
    assert icp_threshold_m("mug") == icp_threshold_m("laptop") == 0.005


@pytest.fixture
def scene():
    """Points on a bent, asymmetric patch of surface, and its pose before the camera."""
    rng = np.random.default_rng(0)
    uv = rng.uniform(-1.0, 1.0, size=(4000, 2))
    bend = 0.02 * uv[:, 0] ** 2 + 0.03 * uv[:, 0] * uv[:, 1] ** 2 + 0.01 * np.sin(4 * uv[:, 1])
    vertices = np.column_stack([0.06 * uv[:, 0], 0.04 * uv[:, 1], bend])
    rotation = Rotation.from_rotvec([2.7, 0.3, 0.2]).as_matrix()
    return vertices, rotation, np.array([0.02, -0.01, 0.5])


def test_a_small_displacement_is_undone(scene):
    vertices, rotation, translation = scene
    seen = vertices[::4] @ rotation.T + translation
    off = rotation @ Rotation.from_rotvec([0.03, -0.02, 0.03]).as_matrix()
    near = translation + np.array([0.001, 0.002, -0.001])
    found, where = refine_icp(vertices, seen, off, near, 0.01)
    error = Rotation.from_matrix(found.T @ rotation).magnitude()
    assert np.degrees(error) < 0.3
    assert np.linalg.norm(where - translation) < 5e-4
    np.testing.assert_allclose(found @ found.T, np.eye(3), atol=1e-9)


def test_without_correspondences_the_pose_stays(scene):
    vertices, rotation, translation = scene
    far = vertices @ rotation.T + translation + [0.0, 0.0, 1.0]
    found, where = refine_icp(vertices, far, rotation, translation, 0.005)
    np.testing.assert_allclose(found, rotation, atol=1e-9)
    np.testing.assert_allclose(where, translation, atol=1e-9)
