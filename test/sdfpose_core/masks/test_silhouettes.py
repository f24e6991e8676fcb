"""Silhouettes of meshes, compared with closed forms and with ray casting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from followed_objects import TABLE_CAMERA, VIEW, followed, standing
from hypothesis import given, settings
from hypothesis import strategies as st
from simple_estimates import make_estimate

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.masks.silhouettes import silhouette
from sdfpose_core.simulation import Scene, render

CAMERA = PinholeCamera(160, 120, 150.0, 150.0, 79.5, 59.5)


def whole(drawn, camera=CAMERA):
    """The depth (H, W) of a silhouette in the image."""
    depth = np.zeros((camera.height, camera.width), np.float32)
    if drawn is not None:
        depth[drawn.box] = drawn.depth
    return depth


@settings(deadline=None, max_examples=30)
@given(
    x=st.floats(-0.5, 0.5),
    y=st.floats(-0.4, 0.4),
    z=st.floats(0.4, 1.5),
    side=st.floats(0.05, 0.3),
)
def test_a_ball_covers_what_the_closed_form_says(x, y, z, side):
    """Also where it is partly or wholly outside the image."""
    centre, radius = np.array([x, y, z]), side / 2
    rays = CAMERA.rays(CAMERA.pixel_grid()).astype(np.float64)
    squared = (rays**2).sum(axis=-1)
    along = rays @ centre
    inside = along**2 - squared * (centre @ centre - radius**2)
    depth = whole(silhouette(make_estimate(at=centre, side=side), CAMERA))
    # The mesh of 1280 faces is up to 1 % smaller than the ball.
    smaller = along**2 - squared * (centre @ centre - (0.985 * radius) ** 2)
    assert (depth[smaller > 0.0] > 0.0).all()
    assert (depth[inside <= 0.0] == 0.0).all()
    both = (depth > 0.0) & (smaller > 0.0)
    expected = (along - np.sqrt(np.maximum(inside, 0.0))) / squared
    # Toward the edge, the depth of a ball grows with the root of its error.
    assert np.abs(depth - expected)[both].max(initial=0.0) < 0.2 * radius


@pytest.mark.parametrize("category", ["bowl", "mug", "laptop"])
def test_the_depth_is_that_of_ray_casting(category):
    item = standing(1, category, 0.02, 0.05, turn=0.4)
    expected = render(Scene([item], item), TABLE_CAMERA, VIEW, colour=False).depth
    drawn = whole(silhouette(followed(item), TABLE_CAMERA), TABLE_CAMERA)
    both = (drawn > 0.0) & (expected > 0.0)
    assert both.sum() >= 0.995 * max((drawn > 0.0).sum(), (expected > 0.0).sum())
    assert np.abs(drawn - expected)[both].max() < 1e-4


def test_the_box_is_inside_the_image():
    drawn = silhouette(make_estimate(at=(0.4, 0.0, 0.8), side=0.2), CAMERA)
    assert drawn.depth.shape == (drawn.box[0].stop - drawn.box[0].start, 160 - drawn.box[1].start)
    assert drawn.box[1].stop == 160


@pytest.mark.parametrize("at", [(5.0, 0.0, 0.8), (0.0, 0.0, -0.8), (0.0, 0.0, 0.02)])
def test_what_cannot_be_drawn_has_no_silhouette(at):
    assert silhouette(make_estimate(at=at), CAMERA) is None


def test_an_estimate_without_a_mesh_has_no_silhouette():
    estimate = replace(make_estimate(), vertices=np.zeros((0, 3)), faces=np.zeros((0, 3), int))
    assert silhouette(estimate, CAMERA) is None
