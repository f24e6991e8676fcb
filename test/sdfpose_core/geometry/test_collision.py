from __future__ import annotations

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from sdfpose_core.errors import MeshError
from sdfpose_core.geometry.collision import (
    TriangleMesh,
    bounding_primitive,
    convex_hull,
    decimated,
    padded,
)

RADIUS = 0.05


def ball(subdivisions=3):
    made = trimesh.creation.icosphere(subdivisions=subdivisions, radius=RADIUS)
    return TriangleMesh.of(made.vertices, made.faces)


def box(sides):
    made = trimesh.creation.box(sides)
    return TriangleMesh.of(made.vertices, made.faces)


def solid(mesh):
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)


def test_a_light_mesh_stays_as_it_is():
    mesh = ball(2)
    assert decimated(mesh, len(mesh.faces)) is mesh


@pytest.mark.parametrize("count", [20, 100, 700])
def test_a_ball_keeps_its_shape(count):
    light = decimated(ball(4), count)
    assert 0.8 * count <= len(light.faces) <= count
    assert solid(light).is_watertight
    away = np.linalg.norm(light.vertices, axis=1)
    np.testing.assert_allclose(away, RADIUS, rtol=0.01 + 4.0 / count)


def test_an_open_surface_and_one_of_single_triangles_are_simplified():
    mesh = ball(4)
    upper = TriangleMesh.of(mesh.vertices, mesh.faces[: len(mesh.faces) // 2])
    torn = TriangleMesh.of(
        mesh.vertices[mesh.faces].reshape(-1, 3), np.arange(3 * len(mesh.faces)).reshape(-1, 3)
    )
    for broken in (upper, torn):
        light = decimated(broken, 200)
        assert 20 <= len(light.faces) <= 200
        np.testing.assert_allclose(np.linalg.norm(light.vertices, axis=1), RADIUS, rtol=0.1)


def test_two_hundred_thousand_triangles_are_thinned_out_first():
    made = trimesh.creation.icosphere(subdivisions=7, radius=RADIUS)
    light = decimated(TriangleMesh.of(made.vertices, made.faces[:200_000]), 500)
    assert 400 <= len(light.faces) <= 500
    np.testing.assert_allclose(np.linalg.norm(light.vertices, axis=1), RADIUS, rtol=0.02)


def test_specks_that_no_grid_joins_are_told():
    corners = np.random.default_rng(0).random((41_000, 1, 3))
    specks = (corners + 1e-9 * np.eye(3)).reshape(-1, 3)
    with pytest.raises(MeshError, match=r"cannot be simplified .* a connected surface"):
        decimated(TriangleMesh.of(specks, np.arange(123_000).reshape(-1, 3)), 20)


@given(seed=st.integers(0, 10_000), count=st.integers(5, 60))
@settings(max_examples=20, deadline=None)
def test_a_hull_is_closed_looks_outward_and_holds_all_vertices(seed, count):
    points = np.random.default_rng(seed).normal(size=(count, 3))
    hull = convex_hull(TriangleMesh.of(points, [[0, 1, 2]]))
    made = solid(hull)
    assert made.is_watertight
    assert made.volume > 0.0
    origins = made.triangles[:, 0]
    heights = np.einsum("fi,pfi->pf", made.face_normals, points[:, None] - origins)
    assert heights.max() < 1e-9


def test_a_flat_mesh_has_no_hull():
    flat = TriangleMesh.of([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], [[0, 1, 2], [1, 3, 2]])
    with pytest.raises(MeshError, match="do not lie in a plane"):
        convex_hull(flat)


@given(
    sides=st.tuples(*[st.floats(0.02, 0.5)] * 3),
    padding=st.floats(0.0, 0.05),
)
@settings(max_examples=20, deadline=None)
def test_padding_moves_every_face_of_a_box_by_the_padding(sides, padding):
    grown = padded(box(sides), padding)
    np.testing.assert_allclose(np.ptp(grown.vertices, axis=0), np.array(sides) + 2 * padding)


def test_padding_of_a_ball_moves_its_faces_outward():
    mesh = ball()
    grown = solid(padded(mesh, 0.01))
    heights = np.einsum("fi,fi->f", grown.triangles_center, grown.face_normals)
    before = np.einsum("fi,fi->f", solid(mesh).triangles_center, solid(mesh).face_normals)
    assert np.all(heights - before > 0.0099)
    assert np.all(np.linalg.norm(grown.vertices, axis=1) < RADIUS + 0.0105)


def test_primitives_have_the_sides_of_the_object():
    sides = np.array([0.08, 0.12, 0.06])
    assert bounding_primitive(sides, symmetric_about_y=False).kind == "box"
    round_one = bounding_primitive(sides, symmetric_about_y=True, padding_m=0.01)
    assert round_one.kind == "cylinder"
    np.testing.assert_allclose(round_one.sides_m, [0.10, 0.14, 0.10])


def test_a_mesh_is_stretched_to_other_sides():
    stretched = box((0.1, 0.2, 0.3)).with_sides(np.array([0.2, 0.1, 0.3]))
    np.testing.assert_allclose(np.ptp(stretched.vertices, axis=0), [0.2, 0.1, 0.3])


@pytest.mark.parametrize(
    ("vertices", "faces", "told"),
    [
        (np.zeros((3, 3)), np.zeros((0, 3)), "no triangles"),
        (np.zeros((3, 3)), [[0, 1, 2]], "no area"),
        (np.full((3, 3), np.nan), [[0, 1, 2]], "not finite"),
        (np.zeros((3, 3)), [[0, 1, 3]], "from 0 to 3: expected 0 to 2"),
    ],
)
def test_unusable_arrays_are_told(vertices, faces, told):
    with pytest.raises(MeshError, match=told):
        TriangleMesh.of(vertices, np.asarray(faces))
