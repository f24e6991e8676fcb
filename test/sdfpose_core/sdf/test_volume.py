import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sdfpose_core.errors import ShapeError
from sdfpose_core.refine.anchors import surface_anchors
from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.sdf.meshing import GRID_HALF_SIDE, signed_distance_grid
from sdfpose_core.sdf.volume import SdfVolume, SdfVolumes
from sdfpose_core.weights import weights_file

NOTHING = np.zeros((1, 3), np.float32)


def plane(normal, offset, resolution=32, samples=NOTHING, steps=NOTHING, d_code=NOTHING):
    """The signed distance from a plane: trilinear interpolation is exact."""
    axis = np.linspace(-GRID_HALF_SIDE, GRID_HALF_SIDE, resolution + 1, dtype=np.float32)
    corners = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    values = (corners @ np.float32(normal) - np.float32(offset)).astype(np.float32)
    return SdfVolume(resolution, values, samples, steps, d_code)


directions = st.tuples(*[st.floats(-1.0, 1.0)] * 3).filter(lambda x: sum(v * v for v in x) > 0.1)


@settings(max_examples=50, deadline=None)
@given(directions, st.floats(-0.3, 0.3), st.integers(0, 1000))
def test_a_plane_is_exact_inside_the_grid(direction, offset, seed):
    normal = np.array(direction, np.float32) / np.float32(np.linalg.norm(direction))
    points = np.random.default_rng(seed).uniform(-GRID_HALF_SIDE, GRID_HALF_SIDE, (1, 3, 50))
    points = points.astype(np.float32)
    value, gradient = SdfVolumes([plane(normal, offset)]).value_and_gradient(points)
    np.testing.assert_allclose(value[0], normal @ points[0] - offset, atol=1e-5)
    np.testing.assert_allclose(gradient[0], np.repeat(normal[:, None], 50, axis=1), atol=2e-4)


def test_outside_the_grid_distances_from_it_are_added():
    points = np.zeros((1, 3, 2), np.float32)
    points[0, :, 0] = 0.0, GRID_HALF_SIDE + 2.0, 0.0
    points[0, :, 1] = -GRID_HALF_SIDE - 3.0, 0.2, 0.0
    value, gradient = SdfVolumes([plane([0, 1, 0], 0.1)]).value_and_gradient(points)
    expected = [[GRID_HALF_SIDE - 0.1 + 2.0, 0.1 + 3.0]]
    np.testing.assert_allclose(value, expected, atol=1e-5)
    np.testing.assert_allclose(gradient[0].T, [[0, 1, 0], [-1, 0, 0]], atol=1e-6)


def test_each_object_has_its_own_shape():
    shapes = SdfVolumes([plane([1, 0, 0], 0.0), plane([1, 0, 0], 0.2)])
    value, _ = shapes.value_and_gradient(np.zeros((2, 3, 1), np.float32))
    np.testing.assert_allclose(value, [[0.0], [-0.2]], atol=1e-6)


@pytest.mark.parametrize("category", ["can", "laptop", "mug"])
def test_a_frozen_shape_is_that_of_the_decoder(category, device):
    """At the surface, and beside it as far as a tracked pose may be off."""
    decoder = SdfDecoder.load(weights_file(category, "decoder"), device)
    code = decoder.code_mean
    grid = signed_distance_grid(decoder, code, 96)
    samples = surface_anchors(decoder, code[None], 256)[0]
    volume = SdfVolumes([SdfVolume.of(decoder, code, grid, samples)])
    generator = torch.Generator().manual_seed(0)
    on = surface_anchors(decoder, code[None], 500)
    for distance, value_error, cosine in ((0.0, 4e-4, 0.97), (0.02, 1e-3, 0.9), (0.1, 5e-3, 0.9)):
        points = on + distance * torch.randn(on.shape, generator=generator).to(device)
        expected, *derivatives = (
            x[0].cpu().numpy() for x in decoder.value_and_jacobian(points, code[None])
        )
        asked = points.cpu().numpy().transpose(0, 2, 1)
        value, gradient = volume.value_and_gradient(asked)
        assert np.abs(value[0] - expected).mean() < value_error
        alike = (gradient[0].T * derivatives[0]).sum(-1)
        alike /= np.linalg.norm(gradient[0], axis=0) * np.linalg.norm(derivatives[0], axis=-1)
        assert alike.mean() > cosine
        d_code = volume.d_code(asked, gradient)[0]
        assert np.linalg.norm(d_code - derivatives[1]) < 0.6 * np.linalg.norm(derivatives[1])


def test_thin_walls_have_two_sides():
    """The derivative by the code is that of the near side, though a sample of the other is near."""
    steps = np.array([[1, 0, 0], [-1, 0, 0]], np.float32)
    samples = np.array([[0.01, 0.0, 0.0], [-0.01, 0.05, 0.0]], np.float32)
    d_code = np.array([[1.0], [-1.0]], np.float32)
    shapes = SdfVolumes([plane([1, 0, 0], 0.01, 32, samples, steps, d_code)])
    point = np.array([[[0.01], [0.04], [0.0]]], np.float32)
    for normal, expected in ((steps[:1], 1.0), (steps[1:], -1.0)):
        assert shapes.d_code(point, 0.7 * normal.T[None]).item() == expected


def test_what_does_not_fit_is_refused():
    coarse, fine = plane([1, 0, 0], 0.0, 32), plane([1, 0, 0], 0.0, 48)
    with pytest.raises(ShapeError, match=r"grids of \[32, 48\] cells: expected one resolution"):
        SdfVolumes([coarse, fine])
    with pytest.raises(ShapeError, match=r"points has shape \(1, 3, 4\): expected \(2, 3, N\)"):
        SdfVolumes([coarse, coarse]).value_and_gradient(np.zeros((1, 3, 4), np.float32))
