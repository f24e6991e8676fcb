"""Parts of objects that depth cameras measure badly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.shapes.families import FAMILIES, sample_model
from sdfpose_core.simulation import CameraPose, Scene, SceneObject, primitives, render
from sdfpose_core.simulation.materials import (
    Facing,
    Front,
    Material,
    Part,
    Slab,
    Streak,
    Surface,
    random_material,
)

CAMERA = PinholeCamera(160, 120, 200.0, 200.0, 79.5, 59.5)
FRONTAL = CameraPose(np.diag([1.0, -1.0, -1.0]), np.zeros(3))
"""Looks along the world's -z."""

UP = (0.0, 1.0, 0.0)


def sphere_surface(count=2000):
    """Points on a sphere of 0.2 m, seen along their normals."""
    normals = np.random.default_rng(0).normal(size=(count, 3))
    normals = (normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32)
    sides = np.full(3, 0.2, dtype=np.float32)
    return Surface(0.1 * normals, normals, normals, sides)


def test_a_band_is_between_its_planes_and_its_outside_is_the_rest():
    surface = sphere_surface()
    height = surface.points[:, 1] / 0.2
    share = Slab(UP, -0.2, 0.3).share(surface)
    assert (share[(height > -0.15) & (height < 0.25)] == 1.0).all()
    assert (share[(height < -0.25) | (height > 0.35)] == 0.0).all()
    rest = Slab(UP, -0.2, 0.3, outside=True).share(surface)
    np.testing.assert_allclose(share + rest, 1.0)


def test_faces_toward_a_direction():
    surface = sphere_surface()
    share = Facing(UP, 0.7).share(surface)
    assert (share[surface.normals[:, 1] > 0.75] == 1.0).all()
    assert (share[surface.normals[:, 1] < 0.65] == 0.0).all()


def test_a_front_is_a_disc_on_the_x_side():
    surface = sphere_surface()
    share = Front((0.0, 0.0), 0.05, 0.5).share(surface)
    away = np.hypot(surface.points[:, 1], surface.points[:, 2])
    assert (share[(surface.points[:, 0] > 0.0) & (away < 0.035)] == 1.0).all()
    assert (share[(surface.points[:, 0] < -0.02) | (away > 0.065)] == 0.0).all()


def test_a_streak_is_between_the_camera_and_the_lamp():
    angle = np.linspace(-np.pi, np.pi, 721)
    normals = np.stack([np.cos(angle), 0.0 * angle, np.sin(angle)], axis=1).astype(np.float32)
    views = np.broadcast_to(np.array([1.0, 0.0, 0.0], dtype=np.float32), normals.shape)
    surface = Surface(0.1 * normals, normals, views, np.full(3, 0.2, dtype=np.float32))
    share = Streak(np.deg2rad(60.0), 0.1).share(surface)
    assert np.degrees(angle[share > 0.5]).mean() == pytest.approx(30.0, abs=0.5)
    assert np.degrees(np.ptp(angle[share > 0.0])) < np.degrees(0.3)


def test_the_loss_is_that_of_the_part_and_larger_at_grazing_views():
    surface = sphere_surface()
    part = Part((), 0.4)
    np.testing.assert_allclose(part.losses(surface), 0.4, atol=1e-6)
    oblique = surface._replace(views=np.roll(surface.views, 1, axis=0))
    assert (part.losses(oblique) >= 0.4 - 1e-6).all()


def test_the_worst_part_counts():
    surface = sphere_surface()
    whole, top = Part((), 0.3), Part((Slab(UP, low=0.2),), 0.9)
    losses, worst = Material((whole, top)).losses(surface)
    upper = surface.points[:, 1] > 0.06
    np.testing.assert_allclose(losses[upper], 0.9, atol=1e-6)
    assert set(worst[upper]) == {1}
    assert set(worst[surface.points[:, 1] < 0.02]) == {0}


def view(material, *others):
    """A box of 0.2 m, 1 m ahead, before a wall at 2 m."""
    rotation, where = np.eye(3), np.array([0.0, 0.0, -1.1])
    item = SceneObject(1, "can", primitives.box(0.2, 0.2, 0.2), rotation, where, material=material)
    wall = primitives.box(9.0, 9.0, 0.02)
    back = SceneObject(0, "", wall, np.eye(3), np.array([0.0, 0.0, -2.01]))
    return render(Scene([item, back, *others]), CAMERA, FRONTAL, colour=False)


def test_weak_pixels_follow_the_object():
    rendering = view(Material((Part((Slab(UP, low=0.0),), 1.0),)))
    rows = np.unique(rendering.weak.pixels // CAMERA.width)
    assert rows.max() <= 62  # upper half
    assert (rendering.mask.flat[rendering.weak.pixels] == 1).all()
    assert (rendering.weak.instead == 0.0).all()
    assert view(None).weak is None


def test_behind_a_clear_part_is_the_wall():
    weak = view(Material((Part((), 1.0, "behind"),))).weak
    np.testing.assert_allclose(weak.instead, 2.0, atol=1e-3)


def test_a_mirror_shows_what_is_before_it_at_the_length_of_the_light_s_path():
    screen = primitives.box(9.0, 9.0, 0.02)
    behind_camera = SceneObject(0, "", screen, np.eye(3), np.array([0.0, 0.0, 0.51]))
    weak = view(Material((Part((), 1.0, "mirrored"),)), behind_camera).weak
    np.testing.assert_allclose(weak.instead, 1.0 + 1.0 + 0.5, atol=2e-3)


@pytest.mark.parametrize("category", FAMILIES)
def test_random_materials_differ_and_leave_depth_to_most_objects(category):
    model = sample_model(category, 3)
    item = SceneObject(1, category, model, np.eye(3), np.array([0.0, 0.0, -1.0]))
    lost = []
    for seed in range(30):
        material = random_material(np.random.default_rng(seed), model)
        rendering = render(Scene([replace(item, material=material)]), CAMERA, FRONTAL, colour=False)
        assert ((rendering.weak.loss > 0.0) & (rendering.weak.loss <= 1.0)).all()
        lost.append(rendering.weak.loss.sum() / (rendering.mask > 0).sum())
    assert np.std(lost) > 0.05
    assert 0.02 < np.mean(lost) < 0.8
