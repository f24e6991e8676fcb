"""Import of folders of models: what is used, mended, simplified, rescaled and refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from sdfpose_core.category_learning import importing
from sdfpose_core.category_learning.importing import import_models
from sdfpose_core.category_learning.model_file import load_models, save_models
from sdfpose_core.category_learning.sizes import SizeRange
from sdfpose_core.errors import MeshError
from sdfpose_core.shapes.families import sample_model
from sdfpose_core.shapes.solids import from_mesh


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve files: one is broken, one is open, one in millimetres."""
    for seed in range(11):
        model = sample_model("can", seed)
        unit = 1000.0 if seed == 3 else 1.0
        faces = model.faces[1:] if seed == 4 else model.faces
        mesh = trimesh.Trimesh(unit * model.vertices, faces, process=False)
        mesh.export(tmp_path / f"can{seed:02d}.ply")
    (tmp_path / "broken.obj").write_text("v 0 0 0\nv 1 0 0\nf 1 2 9\n")
    return tmp_path


def test_each_file_is_reported(folder: Path):
    found = import_models(folder, "tin")
    assert len(found.models) == 11
    assert {x.category for x in found.models} == {"tin"}
    assert [x.diagonal_m for x in found.models] == pytest.approx(
        [sample_model("can", seed).diagonal_m for seed in range(11)], rel=1e-3
    )
    assert found.notes["can04"] == ("1 small holes were patched",)
    assert found.notes["can03"] == (
        "it is taken for millimetres: in metres, it has "
        + found.notes["can03"][0].partition("it has ")[2],
    )
    (refused,) = found.refused
    assert "broken.obj" in refused
    lines = found.report().splitlines()
    assert lines[:2] == ["11 models are used, 1 file is not", found.size_summary]
    assert len(lines) == 2 + 11 + 1
    assert lines[-1] == f"refused {refused}"


def test_plausible_sizes_rescale(folder: Path):
    found = import_models(folder, "tin", size=SizeRange(10.0, 11.0))
    assert not found.has_sizes
    assert all(10.0 / 1.5 <= x.diagonal_m <= 11.0 * 1.5 for x in found.models)


def test_a_folder_without_meshes(tmp_path: Path):
    with pytest.raises(MeshError, match="contains no mesh: expected"):
        import_models(tmp_path, "tin")
    with pytest.raises(MeshError, match="is not a folder"):
        import_models(tmp_path / "missing", "tin")


def test_many_faces_are_simplified(tmp_path: Path, monkeypatch):
    ball = trimesh.creation.icosphere(subdivisions=5, radius=0.1)
    ball.export(tmp_path / "ball.ply")
    monkeypatch.setattr(importing, "_MAX_FACES", 4000)
    found = import_models(tmp_path, "ball")
    (model,) = found.models
    assert len(model.faces) <= 4000
    assert found.notes["ball"] == (f"20,480 faces were simplified to {len(model.faces):,}",)
    volume = from_mesh(model.vertices, model.faces).volume()
    assert volume == pytest.approx(float(ball.volume), rel=0.01)


def test_models_are_stored(tmp_path: Path):
    models = [sample_model("can", 0), sample_model("can", 5)]
    save_models(tmp_path / "models.npz", models)
    for x, y in zip(load_models(tmp_path / "models.npz"), models, strict=True):
        assert (x.name, x.category) == (y.name, y.category)
        np.testing.assert_array_equal(x.vertices, y.vertices)
        np.testing.assert_array_equal(x.faces, y.faces)
