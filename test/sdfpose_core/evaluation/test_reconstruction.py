"""Shapes from full surfaces and from single views."""

import numpy as np
import pytest
import torch

from sdfpose_core.benchmark.meshing import DenseMesher, time_meshes
from sdfpose_core.categories import default_categories
from sdfpose_core.errors import MeshError
from sdfpose_core.evaluation.reconstruction import (
    VIEW_NOISE,
    evidence_from_surface,
    evidence_from_view,
    reconstruct,
    reconstruct_models,
)
from sdfpose_core.evaluation.surfaces import visible_surface
from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.sdf.meshing import decode_mesh
from sdfpose_core.shapes.families import HELD_OUT_SEED, sample_model
from sdfpose_core.shapes.sdf_samples import SignedDistance
from sdfpose_core.weights import weights_file


@pytest.fixture(scope="module")
def can():
    return sample_model("can", HELD_OUT_SEED)


@pytest.fixture(scope="module")
def can_decoder():
    return SdfDecoder.load(weights_file("can", "decoder"))


@pytest.mark.parametrize("category", ["mug", "can"])
def test_evidence_of_a_surface_is_true(category):
    model = sample_model(category, HELD_OUT_SEED)
    vessel = default_categories()[category].vessel
    surface = visible_surface(model.normalised_vertices, model.faces, vessel=vessel)
    evidence = evidence_from_surface(surface, np.random.default_rng(0), vessel=vessel)
    truth = SignedDistance(model.normalised_vertices, model.faces)(evidence.points)
    assert not evidence.bound.any()
    np.testing.assert_allclose(evidence.sdf, truth, atol=2e-4)
    assert np.count_nonzero(evidence.sdf == 0.0) >= 0.5 * len(evidence.sdf)


def test_a_view_bounds_the_space_that_it_looked_through(can):
    """Nearly all free samples are outside, and most seen points lie on the surface."""
    evidence = evidence_from_view(can, default_categories(), np.random.default_rng(3))
    truth = SignedDistance(can.normalised_vertices, can.faces)(evidence.points)
    free = truth[evidence.bound]
    assert (free > -0.01).mean() > 0.98
    assert np.median(np.abs(truth[~evidence.bound])) < 0.015
    assert np.linalg.norm(evidence.points[evidence.bound], axis=1).max() < 0.551


def test_views_differ_by_their_generator(can):
    a, b = (evidence_from_view(can, default_categories(), np.random.default_rng(i)) for i in (0, 1))
    same = evidence_from_view(can, default_categories(), np.random.default_rng(0))
    np.testing.assert_array_equal(a.points, same.points)
    assert not np.array_equal(a.points, b.points)


def test_an_unseen_shape_is_reconstructed(can, can_decoder):
    ((made, errors),) = reconstruct_models(can_decoder, [can], vessel=False, resolution=64)
    assert errors.chamfer < 0.0035
    assert errors.fscore > 0.95
    np.testing.assert_allclose(made.dimensions_m, can.dimensions_m, rtol=0.03)


def test_one_view_is_enough_for_most_of_it(can, can_decoder):
    evidence = [
        evidence_from_view(can, default_categories(), np.random.default_rng(i)) for i in range(2)
    ]
    codes, surfaces = reconstruct(can_decoder, evidence, 64, VIEW_NOISE)
    assert codes.shape == (2, can_decoder.config.code_length)
    truth = SignedDistance(can.normalised_vertices, can.faces)
    for surface in surfaces:
        assert np.abs(truth(surface.vertices)).mean() < 0.02


def test_a_code_without_a_surface_is_told(can, can_decoder, monkeypatch):
    def nothing(*arguments):
        raise MeshError("no surface")

    monkeypatch.setattr("sdfpose_core.evaluation.reconstruction.decode_mesh", nothing)
    with pytest.raises(MeshError, match="can_1000000: cannot be reconstructed"):
        reconstruct_models(can_decoder, [can], vessel=False)


def test_the_dense_mesher_makes_the_same_surface(can_decoder):
    fast = decode_mesh(can_decoder, can_decoder.code_mean, 32)
    dense = DenseMesher(can_decoder, can_decoder.code_mean)(32)
    assert dense.faces.shape == fast.faces.shape
    order = [np.lexsort(np.round(x.vertices, 5).T) for x in (dense, fast)]
    np.testing.assert_allclose(dense.vertices[order[0]], fast.vertices[order[1]], atol=1e-5)
    np.testing.assert_allclose(dense.normals[order[0]], fast.normals[order[1]], atol=1e-3)


def test_times_are_measured(can_decoder, monkeypatch):
    monkeypatch.setattr("sdfpose_core.benchmark.meshing._REPETITIONS", 1)
    monkeypatch.setattr(
        "sdfpose_core.benchmark.meshing.DenseMesher.__call__",
        lambda mesher, resolution: decode_mesh(can_decoder, can_decoder.code_mean, 32),
    )
    monkeypatch.setattr(
        "sdfpose_core.benchmark.meshing.DenseMesher.best_chunk", lambda mesher: 4096
    )
    before = torch.random.get_rng_state()
    figures = time_meshes([can_decoder])
    assert set(figures) == {"dense_64", "fast_64", "fast_128", "paper_dense_64"}
    assert all(ms > 0.0 for ms in figures.values())
    assert torch.equal(before, torch.random.get_rng_state())
