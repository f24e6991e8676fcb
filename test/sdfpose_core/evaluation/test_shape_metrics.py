"""Distances of surfaces against closed forms."""

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from sdfpose_core.errors import MeshError
from sdfpose_core.evaluation.shape_metrics import compare_surfaces, volume_iou
from sdfpose_core.evaluation.surfaces import Surface


def sphere(radius, centre=(0.0, 0.0, 0.0)):
    mesh = trimesh.creation.icosphere(5, radius)
    return Surface(mesh.vertices + np.asarray(centre), mesh.faces)


def errors(a, b):
    return compare_surfaces(a, b, np.random.default_rng(0), samples=4000)


def test_a_surface_is_itself():
    same = errors(sphere(0.4), sphere(0.4))
    assert same.chamfer < 1e-6
    assert same.fscore == pytest.approx(1.0)
    assert same.normal_consistency == pytest.approx(1.0, abs=1e-3)
    assert volume_iou(sphere(0.4), sphere(0.4), np.random.default_rng(0)) == 1.0


@settings(max_examples=15)
@given(st.floats(0.2, 0.45), st.floats(0.2, 0.45))
def test_concentric_spheres(a, b):
    """Both directed distances are the difference of the radii."""
    found = errors(sphere(a), sphere(b))
    assert found.chamfer == pytest.approx(abs(a - b), abs=1e-3)
    assert found.normal_consistency > 0.99
    if abs(abs(a - b) - 0.01) > 1e-3:
        assert found.fscore == (1.0 if abs(a - b) < 0.01 else 0.0)


def test_volume_iou_of_concentric_spheres():
    iou = volume_iou(sphere(0.3), sphere(0.4), np.random.default_rng(0))
    assert iou == pytest.approx((0.3 / 0.4) ** 3, abs=0.01)


def square(half, tilt=0.0):
    """In the plane y = 0, then turned about z."""
    corners = half * np.array([[-1.0, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1]])
    c, s = np.cos(tilt), np.sin(tilt)
    about_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return Surface(corners @ about_z.T, np.array([[0, 1, 2], [0, 2, 3]]))


def test_the_two_directions_are_averaged():
    """From the small square all is near; of the large one three quarters are not."""
    found = errors(square(0.2), square(0.4))
    # Mean distance from the large square to the small one, by integration over its rim.
    grid = np.abs(np.stack(np.meshgrid(*[np.linspace(-0.4, 0.4, 401)] * 2), -1)) - 0.2
    back = np.linalg.norm(np.maximum(grid, 0.0), axis=-1).mean()
    assert found.chamfer == pytest.approx(0.5 * back, rel=0.03)
    recall = 0.25 + 4 * 0.4 * 0.01 / 0.64
    assert found.fscore == pytest.approx(2 * recall / (1 + recall), abs=0.02)


@given(st.floats(-3.1, 3.1))
def test_normals_of_a_tilted_square(tilt):
    expected = abs(np.cos(tilt))
    assert errors(square(0.3), square(0.3, tilt)).normal_consistency == pytest.approx(expected)


def test_a_surface_without_area_is_refused():
    flat = Surface(np.zeros((3, 3)), np.array([[0, 1, 2]]))
    with pytest.raises(MeshError, match="has no area"):
        errors(flat, sphere(0.4))
