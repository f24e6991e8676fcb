import copy
import zlib

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from sdfpose_core.errors import MeshError, ShapeError
from sdfpose_core.evaluation.surfaces import Surface
from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.sdf.meshing import (
    GRID_HALF_SIDE,
    DecodedMesh,
    SdfGrid,
    decode_mesh,
    mesh_from_grid,
    signed_distance_grid,
)
from sdfpose_core.shapes.families import FAMILIES
from sdfpose_core.shapes.solids import simplified
from sdfpose_core.weights import weights_file

RESOLUTIONS = (32, 48, 64)


def dense(decoder, code, resolution):
    """Grid of all values, and marching cubes of it."""
    axis = torch.arange(resolution + 1) * (2.0 * GRID_HALF_SIDE / resolution) - GRID_HALF_SIDE
    with torch.no_grad():
        grid = decoder(torch.cartesian_prod(axis, axis, axis)[None], code[None])[0]
    grid = grid.view((resolution + 1,) * 3).numpy()
    spacing = 2.0 * GRID_HALF_SIDE / resolution
    vertices, faces, _, _ = marching_cubes(grid, 0.0, spacing=(spacing,) * 3)
    return grid, vertices - GRID_HALF_SIDE, faces


def assert_same_points(a, b):
    """Each point has a partner in the other set, whatever their order."""
    for here, there in ((a, b), (b, a)):
        distance, _ = cKDTree(there).query(here)
        assert distance.max() < 1e-5


@pytest.fixture(params=range(3), ids=["sphere", "box", "cylinder"])
def code(request, tiny_shapes):
    return tiny_shapes.codes[request.param]


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_the_mesh_is_that_of_the_dense_grid(tiny_shapes, code, resolution):
    mesh = decode_mesh(tiny_shapes.decoder, code, resolution)
    _, vertices, faces = dense(tiny_shapes.decoder, code, resolution)
    assert mesh.faces.shape == faces.shape
    assert mesh.vertices.shape == vertices.shape
    assert_same_points(mesh.vertices, vertices)
    assert_same_points(mesh.vertices[mesh.faces].mean(1), vertices[faces].mean(1))


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_active_cells_hold_the_surface_and_the_decoders_values(tiny_shapes, code, resolution):
    found = signed_distance_grid(tiny_shapes.decoder, code, resolution)
    grid, active = found.values.numpy(), found.active.numpy()
    expected, _, _ = dense(tiny_shapes.decoder, code, resolution)
    assert grid.shape == active.shape == expected.shape
    # A cell is named by its highest corner; it is crossed where its corners differ in sign.
    corners = np.stack([expected[i:][:resolution] for i in (0, 1)])
    corners = np.stack([corners[:, :, i:][:, :, :resolution] for i in (0, 1)])
    corners = np.stack([corners[..., i:][..., :resolution] for i in (0, 1)]) < 0.0
    crossed = corners.any((0, 1, 2)) & ~corners.all((0, 1, 2))
    assert active[1:, 1:, 1:][crossed].all()
    high = np.argwhere(active)
    for corner in (high, high - 1):
        at = tuple(corner.T)
        np.testing.assert_allclose(grid[at], expected[at], atol=1e-5)
    assert active.mean() < 0.25
    # Elsewhere they are interpolated.
    assert found.resolution == resolution
    assert np.abs(grid - expected).max() < 0.1
    assert np.abs(grid - expected).mean() < 0.015


@pytest.mark.parametrize("category", FAMILIES)
def test_the_mesh_is_that_of_the_dense_grid_in_every_category(category):
    """Of the mean shape and of unlikely ones, two standard deviations from it."""
    decoder = SdfDecoder.load(weights_file(category, "decoder"))
    generator = torch.Generator().manual_seed(zlib.crc32(category.encode()))
    direction = torch.nn.functional.normalize(
        torch.randn(2, decoder.config.code_length, generator=generator), dim=1
    )
    away = 2.0 * direction @ torch.linalg.cholesky(decoder.code_covariance).T
    for code in decoder.code_mean + torch.cat([torch.zeros_like(away[:1]), away]):
        mesh = decode_mesh(decoder, code, 48)
        _, vertices, faces = dense(decoder, code, 48)
        assert mesh.faces.shape == faces.shape
        assert_same_points(mesh.vertices, vertices)
        assert_same_points(mesh.vertices[mesh.faces].mean(1), vertices[faces].mean(1))


def test_the_mesh_is_closed_and_faces_outward(tiny_shapes, code):
    mesh = decode_mesh(tiny_shapes.decoder, code, 48)
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert solid.is_watertight
    assert solid.is_winding_consistent
    assert solid.volume > 0.0
    assert mesh.vertices.dtype == np.float32
    assert mesh.faces.dtype == np.int32
    alike = (solid.face_normals[:, None] * mesh.normals[mesh.faces]).sum(-1)
    assert np.median(alike) > 0.99
    assert (alike > 0.0).mean() > 0.99
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("tolerance", [5e-4, 2e-3])
def test_fewer_triangles_within_the_tolerance(tiny_shapes, code, tolerance):
    whole = decode_mesh(tiny_shapes.decoder, code, 64)
    few = decode_mesh(tiny_shapes.decoder, code, 64, tolerance=tolerance)
    assert len(few.faces) < 0.8 * len(whole.faces)
    solid = trimesh.Trimesh(few.vertices, few.faces, process=False)
    assert solid.is_watertight
    assert_same_points(few.vertices, whole.vertices[cKDTree(whole.vertices).query(few.vertices)[1]])
    distance, _ = Surface(few.vertices.astype(np.float64), few.faces).nearest(whole.vertices)
    assert np.quantile(distance, 0.95) < tolerance
    assert distance.max() < 2.5 * tolerance
    alike = (solid.face_normals[:, None] * few.normals[few.faces]).sum(-1)
    assert np.median(alike) > 0.98


def test_an_open_mesh_is_not_simplified():
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=np.float32)
    faces = np.array([[0, 1, 2]], dtype=np.int32)
    assert simplified(vertices, faces, 0.1) == (vertices, faces)


def test_size_and_place_are_those_of_the_shape(tiny_shapes):
    for shape, code in zip(tiny_shapes.shapes[:6], tiny_shapes.codes, strict=False):
        mesh = decode_mesh(tiny_shapes.decoder, code, 48)
        np.testing.assert_allclose(mesh.sides, 2.0 * shape.half, atol=0.05)
        np.testing.assert_allclose(mesh.centre, 0.0, atol=0.02)
        solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
        if shape.kind == "sphere":
            expected = 4.0 / 3.0 * np.pi * shape.half[0] ** 3
            assert solid.volume == pytest.approx(expected, rel=0.03)
        assert np.abs(shape.distance(mesh.vertices)).mean() < 0.01


def test_meshing_on_every_device(tiny_shapes, device, explicit_devices):
    decoder = copy.deepcopy(tiny_shapes.decoder).to(device)
    code = tiny_shapes.codes[0].to(device)
    with explicit_devices():
        mesh = decode_mesh(decoder, code, 32)
    reference = decode_mesh(tiny_shapes.decoder, tiny_shapes.codes[0], 32)
    assert abs(len(mesh.faces) - len(reference.faces)) <= 0.01 * len(reference.faces)


@pytest.mark.parametrize("resolution", [0, 16, 30, 33, 37, 65, 528])
def test_an_odd_resolution_is_refused(tiny_shapes, resolution):
    with pytest.raises(ShapeError, match=f"resolution is {resolution}: expected"):
        decode_mesh(tiny_shapes.decoder, tiny_shapes.codes[0], resolution)


class Everywhere:
    """A decoder that is positive, or negative, everywhere."""

    reach = float("inf")

    def __init__(self, value):
        self.value = value

    def __call__(self, points, codes):
        return torch.full_like(points[..., 0], self.value)


@pytest.mark.parametrize("value", [0.3, -0.3, 3.0])
def test_a_code_without_a_surface_is_refused(value):
    code = torch.full((4,), 2.0)
    with pytest.raises(MeshError, match=r"decodes to no surface: .* \(its norm is 4\.00\)"):
        decode_mesh(Everywhere(value), code, 32)


def test_a_surface_between_the_points_of_active_cells_is_refused():
    values, active = torch.ones(33, 33, 33), torch.zeros(33, 33, 33, dtype=torch.bool)
    values[16, 16, 16], active[2, 2, 2] = -1.0, True
    with pytest.raises(MeshError, match="too thin for the grid"):
        mesh_from_grid(SdfGrid(values, active), None, torch.zeros(4))


def test_vertices_in_metres_are_about_the_centre():
    vertices = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.5, 0.25]], dtype=np.float32)
    mesh = DecodedMesh(vertices, np.array([[0, 1, 2]], np.int32), np.zeros((3, 3), np.float32))
    for scale in (0.2, 0.2, 0.3):
        np.testing.assert_allclose(
            mesh.metric(scale), scale * (vertices - [0.5, 0.25, 0.125]), rtol=1e-6
        )
