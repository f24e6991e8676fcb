"""Shapes that are derived from others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdfpose_core.category_learning.deformation import (
    Deformation,
    DeformationRange,
    deformed_models,
)
from sdfpose_core.category_learning.symmetry import is_round, propose_symmetry
from sdfpose_core.shapes.families import sample_model
from sdfpose_core.shapes.solids import from_mesh

MUG, BOWL = sample_model("mug", 1), sample_model("bowl", 0)
SPREAD = DeformationRange()


@given(st.integers(0, 10_000), st.booleans())
def test_the_map_is_one_to_one(seed, round_about_y):
    deformation = Deformation.random(
        np.random.default_rng(seed), SPREAD, round_about_y=round_about_y
    )
    grid = np.stack(np.meshgrid(*[np.linspace(-0.5, 0.5, 7)] * 3, indexing="ij"), -1).reshape(-1, 3)
    step = 1e-5
    columns = [(deformation(grid + step * e) - deformation(grid - step * e)) for e in np.eye(3)]
    jacobian = np.stack(columns, axis=-1) / (2.0 * step)
    assert np.linalg.det(jacobian).min() > 0.1
    # heights keep their order: up stays up
    heights = deformation(np.stack([np.zeros(9), np.linspace(-0.5, 0.5, 9), np.zeros(9)], axis=1))
    assert (np.diff(heights[:, 1]) > 0.0).all()


def test_no_deformation_changes_nothing():
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (20, 3))
    np.testing.assert_allclose(Deformation()(points), points)


def test_models_stay_solids_and_have_their_own_shapes():
    found = deformed_models([MUG, BOWL], 5, SPREAD, round_about_y=False, size_log_sd=0.1)
    assert [x.name for x in found] == [f"{m.name}~{i}" for i, m in enumerate([MUG, BOWL] * 3)][:5]
    for model in found:
        assert from_mesh(model.vertices, model.faces).volume() > 0.0
        np.testing.assert_allclose(model.vertices.min(0), -model.vertices.max(0), atol=1e-9)
    assert len({round(x.diagonal_m, 6) for x in found}) == 5
    again = deformed_models([MUG, BOWL], 3, SPREAD, round_about_y=False, size_log_sd=0.1)
    for x, y in zip(found, again, strict=False):
        np.testing.assert_array_equal(x.vertices, y.vertices)


def test_the_handle_stays_in_front():
    for model in deformed_models([MUG], 4, SPREAD, round_about_y=False, size_log_sd=0.0):
        assert model.diagonal_m == pytest.approx(MUG.diagonal_m)
        x = model.vertices[:, 0]
        z = np.abs(model.vertices[:, 2])
        assert z[x > np.quantile(x, 0.999)].mean() < 0.3 * z.max()


def test_round_models_stay_round():
    found = deformed_models([BOWL], 3, SPREAD, round_about_y=True, size_log_sd=0.0)
    assert all(map(is_round, found))
    assert propose_symmetry(found).symmetry == "y"
    proposal = propose_symmetry([MUG, BOWL])
    assert proposal.symmetry == "none"
    assert str(proposal) == "none: 1 of 2 models are round about y"
