"""Signed distances from points to all objects of a scene."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from solid_decoders import CODE, SolidDecoder, solid_estimate

from sdfpose_core.errors import ShapeError
from sdfpose_core.scene.distance_volume import DistanceVolume
from sdfpose_core.scene.scene import PosedShape, Scene

SPHERE = DistanceVolume(SolidDecoder("sphere", [0.35] * 3), CODE)
RADIUS = 0.35


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def spheres(centres, scales):
    turns = Rotation.random(len(centres), random_state=0).as_matrix()
    return Scene(
        PosedShape(i + 1, SPHERE, turns[i], np.asarray(c), s)
        for i, (c, s) in enumerate(zip(centres, scales, strict=True))
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(0, 10**6))
def test_the_nearest_of_some_spheres_is_found(count, seed):
    rng = np.random.default_rng(seed)
    centres, scales = rng.uniform(-0.5, 0.5, (count, 3)), rng.uniform(0.1, 0.4, count)
    points = rng.uniform(-0.6, 0.6, (300, 3))
    each = np.linalg.norm(points[:, None] - centres, axis=-1) - RADIUS * scales
    found = spheres(centres, scales).signed_distance(points)
    expected = each.min(axis=1)
    # Far from an object, its distance is a lower bound.
    near = expected < 0.3 * scales.min()
    np.testing.assert_allclose(found.distance[near], expected[near], atol=0.012 * scales.max())
    assert (found.distance <= expected + 0.012 * scales.max()).all()
    nearest = each[np.arange(len(points)), found.ids - 1]
    assert (nearest - expected)[near].max(initial=0.0) < 0.02 * scales.max()
    away = points - centres[found.ids - 1]
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    outside = found.distance > 0.01
    assert ((away * found.gradient).sum(axis=1)[outside] > 0.99).all()


def test_bounds_of_other_objects_leave_nothing_out(rng):
    scene = spheres(rng.uniform(-0.4, 0.4, (5, 3)), np.full(5, 0.3))
    points = rng.uniform(-0.5, 0.5, (500, 3))
    each = [Scene([x]).signed_distance(points).distance for x in scene.shapes]
    np.testing.assert_array_equal(scene.signed_distance(points).distance, np.min(each, axis=0))


def test_an_estimate_stands_where_its_mesh_does():
    decoder = SolidDecoder("box", [0.3, 0.2, 0.3])
    turn = Rotation.from_euler("xyz", [0.3, -0.8, 0.5]).as_matrix()
    estimate = solid_estimate(decoder, 0.25, turn, (0.1, -0.2, 0.7), mask_id=7)
    scene = Scene.of([estimate], lambda _: decoder)
    surface = estimate.vertices @ turn.T + estimate.translation
    found = scene.signed_distance(surface)
    assert np.abs(found.distance).max() < 1e-3
    assert set(found.ids) == {7}
    np.testing.assert_allclose(
        scene.signed_distance(surface + 0.01 * found.gradient).distance, 0.01, atol=1e-3
    )


def test_objects_can_be_left_out():
    scene = spheres([(0, 0, 0), (1, 0, 0)], [0.2, 0.2])
    assert scene.without([1]).signed_distance(np.zeros((1, 3))).ids.tolist() == [2]
    nothing = scene.without([1, 2]).signed_distance(np.zeros((2, 3)))
    assert nothing.distance.tolist() == [np.inf, np.inf]
    assert nothing.ids.tolist() == [0, 0]
    assert not nothing.gradient.any()


def test_no_points_have_no_distances():
    assert spheres([(0, 0, 0)], [0.2]).signed_distance(np.zeros((0, 3))).distance.shape == (0,)


def test_points_of_another_shape_are_refused():
    with pytest.raises(ShapeError, match=r"points has shape \(2, 4\): expected \(N, 3\)"):
        spheres([(0, 0, 0)], [0.2]).signed_distance(np.zeros((2, 4)))


@pytest.mark.parametrize("ids", [(1, 1), (0, 1)])
def test_ids_have_to_be_unique(ids):
    with pytest.raises(ShapeError, match="expected unique ids other than 0"):
        Scene(PosedShape(i, SPHERE, np.eye(3), np.zeros(3), 0.2) for i in ids)
