"""Thin walls of shapes that no decoder was trained on, at the default resolution."""

import numpy as np
import pytest
import torch
import trimesh

from sdfpose_core.evaluation.surfaces import Surface
from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.sdf.fitting import Distances, fit_codes
from sdfpose_core.sdf.meshing import GRID_HALF_SIDE, decode_mesh
from sdfpose_core.shapes.families import HELD_OUT_SEED, sample_model
from sdfpose_core.shapes.sdf_samples import sample_sdf
from sdfpose_core.weights import weights_file

CELL = 2.0 * GRID_HALF_SIDE / 128


def bowl_wall(model):
    radius = 0.5 * model.parameters["diameter"]
    wall = np.clip(model.parameters["wall"], 0.026 * radius, 0.07 * radius + 0.002)
    return wall / model.diagonal_m


def laptop_lid(model):
    thickness = min(model.parameters["lid_thickness"], model.parameters["base_thickness"])
    return thickness / model.diagonal_m


THIN = {"bowl": bowl_wall, "laptop": laptop_lid}


@pytest.fixture(scope="module", params=THIN)
def meshes(request):
    """Three thin-walled models of a category, and their reconstructions."""
    category = request.param
    models = (sample_model(category, HELD_OUT_SEED + i) for i in range(60))
    thin = [x for x in models if CELL <= THIN[category](x) <= 1.5 * CELL][:3]
    assert len(thin) == 3
    samples = [sample_sdf(x, np.random.default_rng(0), 1600, 400, 1000) for x in thin]
    decoder = SdfDecoder.load(weights_file(category, "decoder"))
    known = Distances(
        torch.from_numpy(np.stack([x.points for x in samples])),
        torch.from_numpy(np.stack([x.sdf for x in samples])),
    )
    codes = fit_codes(decoder, known, iterations=12)
    return thin, [decode_mesh(decoder, code) for code in codes]


def test_walls_of_one_to_one_and_a_half_cells_do_not_vanish(meshes):
    """No hole of a cell's size; what is left of a vanished wall would be far from it."""
    for model, mesh in zip(*meshes, strict=True):
        points = Surface(model.normalised_vertices, model.faces).sample(
            np.random.default_rng(1), 4000
        )
        distance, _ = Surface(mesh.vertices.astype(np.float64), mesh.faces).nearest(points)
        assert np.quantile(distance, 0.999) < CELL, model.name


def test_they_are_of_one_piece(meshes):
    for model, mesh in zip(*meshes, strict=True):
        solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
        assert solid.is_watertight, model.name
        assert len(solid.split(only_watertight=False)) == 1, model.name
