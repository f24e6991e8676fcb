from __future__ import annotations

import numpy as np
import pytest

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.simulation import CameraPose, Paint, Scene, SceneObject, primitives, render

CAMERA = PinholeCamera(160, 120, 150.0, 152.0, 78.3, 60.9)
FORWARD = CameraPose(np.diag([1.0, -1.0, -1.0]), np.zeros(3))
"""Looks along the world's -z; the world's y is the image's up."""


def ball_scene(radius=0.2, distance=1.0, mask_id=7, segments=512):
    model = primitives.sphere(radius, segments)
    item = SceneObject(mask_id, "can", model, np.eye(3), np.array([0.05, -0.03, -distance]))
    return Scene([item])


def test_depth_of_a_sphere_is_that_of_its_equation():
    rendering = render(ball_scene(), CAMERA, FORWARD, colour=False)
    rays = CAMERA.rays(CAMERA.pixel_grid()).astype(np.float64)
    centre = np.array([0.05, 0.03, 1.0])
    a, b = (rays * rays).sum(-1), rays @ centre
    root = b * b - a * (centre @ centre - 0.2**2)
    expected = np.where(root > 0.0, (b - np.sqrt(np.maximum(root, 0.0))) / a, 0.0)
    sure = (root > 1e-3) | (root < -1e-3)
    np.testing.assert_allclose(rendering.depth[sure], expected[sure], atol=2e-4)
    assert np.array_equal(rendering.mask > 0, rendering.depth > 0)
    assert set(np.unique(rendering.mask)) == {0, 7}

    hit = (root > 0.01) & (rendering.depth > 0)
    points = rays[hit] * rendering.depth[hit][:, None]
    normals = (points - centre) / 0.2
    assert np.einsum("ij,ij->i", normals, rendering.normals[hit]).min() > 0.99


def test_depth_of_a_slanted_plane_is_that_of_its_equation():
    slab = primitives.box(4.0, 0.02, 4.0)
    table = SceneObject(0, "", slab, np.eye(3), np.array([0.0, -0.01, 0.0]))
    pose = CameraPose.look_at([0.2, 0.6, 0.8], [0.0, 0.0, 0.0], roll=0.1)
    rendering = render(Scene([], table), CAMERA, pose, colour=False)
    directions = CAMERA.rays(CAMERA.pixel_grid()) @ pose.rotation.T
    expected = -0.6 / directions[..., 1]
    seen = rendering.depth > 0
    assert seen.mean() > 0.9
    np.testing.assert_allclose(rendering.depth[seen], expected[seen], rtol=1e-4)
    up = pose.rotation.T @ [0.0, 1.0, 0.0]
    np.testing.assert_allclose(
        rendering.normals[seen], np.broadcast_to(up, (seen.sum(), 3)), atol=1e-5
    )
    assert not rendering.mask.any()


def test_nearer_objects_hide_farther_ones():
    near = SceneObject(1, "can", primitives.box(0.1, 0.1, 0.1), np.eye(3), np.array([0, 0, -0.5]))
    far = SceneObject(2, "can", primitives.box(0.4, 0.4, 0.1), np.eye(3), np.array([0, 0, -1.0]))
    rendering = render(Scene([near, far]), CAMERA, FORWARD, colour=False)
    v, u = 61, 78
    assert rendering.mask[v, u] == 1
    assert rendering.depth[v, u] == pytest.approx(0.45, abs=1e-4)
    assert rendering.mask[v, u + 25] == 2
    assert rendering.depth[v, u + 25] == pytest.approx(0.95, abs=1e-4)


def test_a_crop_shows_the_same_pixels():
    scene = ball_scene()
    whole = render(scene, CAMERA, FORWARD, colour=False)
    part = render(scene, CAMERA.crop(40, 20, 70, 60), FORWARD, colour=False)
    np.testing.assert_allclose(part.depth, whole.depth[20:80, 40:110], atol=1e-5)


def test_things_out_of_reach_have_no_depth():
    rendering = render(ball_scene(distance=30.0, radius=2.0), CAMERA, FORWARD)
    assert not rendering.depth.any()
    assert not rendering.mask.any()
    assert not rendering.normals.any()


def test_colour_is_shaded_and_shadowed():
    table = SceneObject(
        0, "", primitives.box(2.0, 0.02, 2.0), np.eye(3), np.array([0.0, -0.01, 0.0]),
        Paint((200, 200, 200), gloss=0.0),
    )  # fmt: skip
    ball = SceneObject(
        1, "can", primitives.sphere(0.1), np.eye(3), np.array([0.0, 0.2, 0.0]), (220, 40, 40)
    )
    pose = CameraPose.look_at([0.0, 0.9, 0.7], [0.0, 0.05, 0.0])
    scene = Scene([ball], table)
    lit = render(scene, CAMERA, pose, shadows=False)
    shadowed = render(scene, CAMERA, pose)
    assert lit.colour.dtype == np.uint8
    red = shadowed.colour[shadowed.mask == 1].mean(axis=0)
    assert red[0] > 2.0 * red[1]
    darker = lit.colour.astype(int).sum(-1) - shadowed.colour.astype(int).sum(-1)
    assert (darker >= 0).all()
    assert ((darker > 100) & (shadowed.mask == 0)).sum() > 100


def test_antialiasing_changes_colour_alone():
    scene = ball_scene(segments=64)
    plain = render(scene, CAMERA, FORWARD)
    fine = render(scene, CAMERA, FORWARD, antialias=True)
    assert np.array_equal(plain.depth, fine.depth)
    assert np.array_equal(plain.mask, fine.mask)
    assert fine.colour.shape == plain.colour.shape
    difference = np.abs(plain.colour.astype(int) - fine.colour.astype(int)).max(-1)
    assert 0 < (difference > 20).sum() < 0.1 * difference.size
