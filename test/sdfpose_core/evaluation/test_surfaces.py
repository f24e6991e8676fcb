"""What can be seen of a mesh from outside."""

import numpy as np
import pytest
import trimesh

from sdfpose_core.evaluation.surfaces import Surface, escaping_share, visible_surface


def area(surface):
    return trimesh.Trimesh(surface.vertices, surface.faces, process=False).area


def cup(radius, height, wall):
    outer = trimesh.creation.cylinder(radius, height, sections=24)
    inner = trimesh.creation.cylinder(radius - wall, height, sections=24)
    inner.apply_translation([0.0, 0.0, wall])
    return trimesh.boolean.difference([outer, inner], engine="manifold")


def test_a_convex_solid_is_seen_whole():
    box = trimesh.creation.box((0.5, 0.3, 0.2))
    seen = visible_surface(box.vertices, box.faces, vessel=False)
    assert area(seen) == pytest.approx(box.area)


@pytest.mark.parametrize("vessel", [False, True])
def test_a_hidden_inner_solid_is_left_out(vessel):
    outer, inner = trimesh.creation.icosphere(3, 0.5), trimesh.creation.icosphere(3, 0.3)
    both = trimesh.util.concatenate([outer, inner])
    seen = visible_surface(both.vertices, both.faces, vessel=vessel)
    assert area(seen) == pytest.approx(outer.area)


def test_both_sides_of_a_vessels_wall_are_seen():
    mug = cup(0.3, 0.8, 0.02)
    seen = visible_surface(mug.vertices, mug.faces, vessel=True)
    assert area(seen) == pytest.approx(mug.area, rel=0.01)


def test_what_shows_through_a_narrow_mouth_is_inside():
    bottle = cup(0.1, 0.9, 0.01)
    seen = visible_surface(bottle.vertices, bottle.faces, vessel=False)
    radius = np.hypot(*seen.vertices[seen.faces].mean(1)[:, :2].T)
    height = seen.vertices[seen.faces].mean(1)[:, 2]
    assert not np.any((radius < 0.085) & (np.abs(height) < 0.2)), "the deep inside is hidden"
    assert area(seen) > 0.5 * bottle.area


def test_orientation_does_not_matter():
    sphere = trimesh.creation.icosphere(3, 0.5)
    a = visible_surface(sphere.vertices, sphere.faces, vessel=False)
    b = visible_surface(sphere.vertices, sphere.faces[:, ::-1], vessel=False)
    assert area(a) == pytest.approx(area(b))


def test_shares_in_closed_form():
    """Above a large square half of all directions are free; inside a box none is."""
    square = Surface(
        np.array([[-9.0, 0, -9], [9, 0, -9], [9, 0, 9], [-9, 0, 9]]),
        np.array([[0, 1, 2], [0, 2, 3]]),
    )
    above = np.array([[[0.0, 0.001, 0.0]]])
    assert escaping_share(square.rays, above) == pytest.approx(0.5, abs=0.02)
    box = trimesh.creation.box((1.0, 1.0, 1.0))
    inside = Surface(box.vertices, box.faces)
    assert escaping_share(inside.rays, np.zeros((1, 1, 3))) == 0.0
    # Of points that belong together the freest counts.
    assert escaping_share(inside.rays, np.array([[[0.0, 0, 0], [9, 9, 9]]])) > 0.9


def test_distances_of_a_sphere():
    sphere = trimesh.creation.icosphere(5, 0.4)
    surface = Surface(sphere.vertices, sphere.faces)
    points = np.random.default_rng(0).normal(size=(200, 3))
    distance, normal = surface.nearest(points)
    radius = np.linalg.norm(points, axis=1)
    np.testing.assert_allclose(distance, np.abs(radius - 0.4), atol=1e-3)
    assert np.abs(np.einsum("ij,ij->i", normal, points) / radius).min() > 0.99
