"""Surfaces of the CAD models of NOCS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sdfpose_core.datasets.nocs_shapes import ModelSurfaces
from sdfpose_core.errors import MeshError
from sdfpose_core.shapes.families import sample_model
from sdfpose_core.shapes.sdf_samples import SignedDistance
from sdfpose_core.simulation.nocs_data import write_miniature


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("nocs")
    write_miniature(root, images=0)
    return root / "obj_models"


def test_surfaces_are_those_of_the_right_handed_models(models: Path, tmp_path: Path) -> None:
    """Left and right of a camera differ."""
    problems: list[str] = []
    folders = [models / part / "00000003" for part in ("train", "val", "none")]
    surfaces = ModelSurfaces.sample(folders, "camera", problems)
    assert len(surfaces.names) == 6
    assert surfaces.points.shape == (6, 1024, 3)
    assert len(problems) == 1
    assert "none/00000003: is not a folder" in problems[0]
    surfaces.save(tmp_path / "camera.surfaces.npz")
    again = ModelSurfaces.load(tmp_path / "camera.surfaces.npz").select(surfaces.names[4:2:-1])
    assert again.names == (surfaces.names[4], surfaces.names[3])
    np.testing.assert_array_equal(again.points, surfaces.points[[4, 3]])
    model = sample_model("camera", int(surfaces.names[0].rpartition("_")[2]))
    distance = SignedDistance(model.normalised_vertices, model.faces)
    assert np.abs(distance(surfaces.points[0])).max() < 1e-3
    assert np.abs(distance(surfaces.points[0] * (1.0, 1.0, -1.0))).max() > 0.01


def test_damaged_models_are_left_out(models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "00000004"
    for path in (models / "train" / "00000004").glob("*/model.obj"):
        (folder / path.parent.name).mkdir(parents=True)
        (folder / path.parent.name / "model.obj").write_bytes(path.read_bytes())
    damaged = sorted(folder.iterdir())[0]
    (damaged / "model.obj").write_text("rubbish")
    problems: list[str] = []
    assert damaged.name not in ModelSurfaces.sample([folder], "can", problems).names
    assert len(problems) == 1
    assert damaged.name in problems[0]


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "can.surfaces.npz"
    with pytest.raises(MeshError, match=r"can\.surfaces\.npz: contains no surfaces"):
        ModelSurfaces.load(path)
    path.write_bytes(b"PK rubbish")
    with pytest.raises(MeshError, match=r"can\.surfaces\.npz: contains no surfaces"):
        ModelSurfaces.load(path)
