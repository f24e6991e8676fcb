"""Volumes of signed distances, against solids in closed form, meshes and bounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from solid_decoders import CODE, SolidDecoder

from sdfpose_core.errors import ShapeError
from sdfpose_core.scene.distance_volume import DistanceVolume, DistanceVolumes, beyond_ball
from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.sdf.meshing import decode_mesh
from sdfpose_core.shapes.sdf_samples import SignedDistance
from sdfpose_core.weights import weights_file

SOLIDS = {
    "sphere": SolidDecoder("sphere", [0.35, 0.35, 0.35]),
    "box": SolidDecoder("box", [0.3, 0.2, 0.3]),
    "cylinder": SolidDecoder("cylinder", [0.2, 0.42, 0.2]),
    "shell": SolidDecoder("cylinder", [0.3, 0.35, 0.3], 0.02),
}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def ball(rng, count, radius):
    """Points (N, 3) all over a ball."""
    points = rng.normal(size=(count, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return (points * radius * rng.random((count, 1)) ** (1 / 3)).astype(np.float32)


@pytest.fixture(scope="module", params=SOLIDS)
def solid(request):
    decoder = SOLIDS[request.param]
    return decoder, DistanceVolume(decoder, CODE)


def test_distances_in_the_ball_are_those_of_the_solid(solid, rng):
    decoder, volume = solid
    points = ball(rng, 5000, 0.75)
    expected = decoder.distance(points)
    value, _ = volume(points)
    near = np.abs(expected) < 0.02
    assert np.abs(value - expected)[near].max() < 4.5e-3  # in the middle of a cell of the grid
    assert np.abs(value - expected)[near].mean() < 5e-4
    # Farther away, corners of a box are as the mesh cuts them, and medial axes are rounded.
    assert np.abs(value - expected).max() < 0.02
    assert np.abs(value - expected).mean() < 4e-3


def test_gradients_are_unit_vectors_away_from_the_surface(solid, rng):
    decoder, volume = solid
    points = ball(rng, 2000, 2.0)
    value, gradient = volume(points)
    np.testing.assert_allclose(np.linalg.norm(gradient, axis=1), 1.0, atol=1e-4)
    _, expected = decoder.value_and_gradient(torch.from_numpy(points)[None], CODE[None])
    clear = value > 0.05  # away from the surface and from medial axes of the inside
    alike = (gradient * expected[0].numpy()).sum(axis=1)[clear]
    assert alike.mean() > 0.99


def test_far_away_it_is_a_lower_bound_near_the_distance(solid, rng):
    decoder, volume = solid
    points = ball(rng, 4000, 3.0)
    far = np.linalg.norm(points, axis=1) > 0.75
    expected, (value, _) = decoder.distance(points)[far], volume(points[far])
    assert (value - expected).max() < 0.02  # as on the ball
    assert (value - expected).min() > -0.2


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.6, 1.5), st.floats(0.0, 4.0))
def test_the_bound_holds_for_any_set_of_points(seed, radius, beyond):
    rng = np.random.default_rng(seed)
    shape = cKDTree(ball(rng, int(rng.integers(1, 30)), 0.5))
    direction = ball(rng, 20, 1.0).astype(float)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    on_ball = shape.query(radius * direction)[0]
    expected = shape.query((radius + beyond) * direction)[0]
    bound = beyond_ball(on_ball, np.full(20, beyond), radius)
    assert (bound <= expected + 1e-9).all()
    assert (bound >= beyond).all()


@pytest.mark.parametrize("category", ["bowl", "mug"])
def test_shipped_shapes_agree_with_their_mesh(category, rng, device):
    decoder = SdfDecoder.load(weights_file(category, "decoder"), device)
    code = decoder.code_mean
    mesh = decode_mesh(decoder, code, 128)
    near = mesh.vertices[rng.integers(len(mesh.vertices), size=1500)]
    points = np.concatenate(
        [near + rng.normal(scale=0.03, size=near.shape).astype(np.float32), ball(rng, 1500, 0.75)]
    )
    expected = SignedDistance(mesh.vertices, mesh.faces)(points)
    value, _ = DistanceVolume(decoder, code)(points)
    assert np.abs(value - expected).max() < 0.02
    assert np.abs(value - expected).mean() < 1.5e-3
    on = np.abs(expected) < 0.01
    exact, _ = decoder.value_and_gradient(torch.from_numpy(points[on])[None].to(device), code[None])
    assert np.abs(value[on] - exact[0].cpu().numpy()).max() < 5e-3


def test_a_shape_is_made_once():
    volumes = DistanceVolumes()
    sphere = SOLIDS["sphere"]
    first = volumes.of("can", sphere, CODE.numpy())
    assert volumes.of("can", sphere, CODE.numpy()) is first
    assert volumes.of("mug", sphere, CODE.numpy()) is not first


def test_points_of_another_shape_are_refused(solid):
    with pytest.raises(ShapeError, match=r"points has shape \(3,\): expected \(N, 3\)"):
        solid[1](np.zeros(3))
