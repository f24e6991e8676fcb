"""Whether an image should show an object."""

import dataclasses

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st
from tracker_fakes import CAMERA, make_estimate

from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.tracking.visibility import should_be_visible, visible_share

BALL = trimesh.creation.icosphere(subdivisions=3, radius=0.05)


def ball(place, *, mesh=True):
    none = np.zeros((0, 3), np.float32)
    return make_estimate(
        place=place,
        scale=0.17,
        dimensions_m=np.full(3, 0.1),
        vertices=np.asarray(BALL.vertices, np.float32) if mesh else none,
        normals=np.asarray(BALL.vertex_normals, np.float32) if mesh else none,
    )


def image(depth=2.0):
    size = (CAMERA.height, CAMERA.width)
    return RgbdFrame(
        np.zeros((*size, 3), np.uint8),
        np.full(size, depth, np.float32),
        np.zeros(size, np.uint16),
        CAMERA,
    )


@pytest.mark.parametrize("mesh", [True, False])
def test_it_is_visible_in_free_view(mesh):
    assert visible_share(ball((0.0, 0.0, 1.0), mesh=mesh), image()) == 1.0


@given(x=st.floats(-3.0, 3.0), y=st.floats(-3.0, 3.0), z=st.floats(-2.0, -0.2))
def test_nothing_behind_the_camera_is_visible(x, y, z):
    assert visible_share(ball((x, y, z)), image()) == 0.0


@given(x=st.floats(-0.7, 0.7))
def test_the_edge_of_the_image_cuts_it(x):
    """The share of a ball beyond a plane through the camera, in the image's middle row."""
    share = visible_share(ball((x, 0.0, 1.0)), image())
    edge = (CAMERA.width - 0.5 - CAMERA.cx) / CAMERA.fx
    beyond = (abs(x) - edge) / np.hypot(1.0, edge)  # distance of the centre from the plane
    if beyond > 0.055:
        assert share == 0.0
    elif beyond < -0.055:
        assert share == 1.0
    elif abs(beyond) < 0.005:
        assert share == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize(
    ("depth", "share"), [(0.5, 0.0), (0.99, 1.0), (1.0, 1.0), (3.0, 1.0), (0.0, 0.0)]
)
def test_what_is_nearer_hides_it_and_missing_depth_proves_nothing(depth, share):
    assert visible_share(ball((0.0, 0.0, 1.0)), image(depth)) == share


def test_half_of_it_has_to_be_visible():
    near = image()
    depth = near.depth.copy()
    depth[:, : CAMERA.width // 2 + 2] = 0.5
    assert not should_be_visible(ball((0.0, 0.0, 1.0)), dataclasses.replace(near, depth=depth))
    depth[:, CAMERA.width // 2 - 2 :] = 2.0
    assert should_be_visible(ball((0.0, 0.0, 1.0)), dataclasses.replace(near, depth=depth))
