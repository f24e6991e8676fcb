"""Reading meshes: formats, mending, refusals that name the file, collections."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from sdfpose_core.errors import MeshError
from sdfpose_core.shapes import mesh_files
from sdfpose_core.shapes.families import sample_model
from sdfpose_core.shapes.imports import (
    import_model,
    is_solid,
    load_collection,
    load_model,
    load_surface,
)
from sdfpose_core.shapes.mesh_files import MESH_SUFFIXES
from sdfpose_core.shapes.model import CadModel

MUG = sample_model("mug", 5)


def _write(path: Path, vertices: np.ndarray, faces: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    trimesh.Trimesh(vertices, faces, process=False).export(path)
    return path


def _box(side: float = 1.0, x: float = 0.0) -> trimesh.Trimesh:
    box = trimesh.creation.box((side, side, side))
    box.apply_translation((x, 0.0, 0.0))
    return box


def _volume(model: CadModel) -> float:
    mesh = trimesh.Trimesh(model.vertices, model.faces, process=False)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    return float(mesh.volume)


MUG_VOLUME = _volume(MUG)


@pytest.mark.parametrize("suffix", MESH_SUFFIXES)
def test_every_format_is_read(tmp_path: Path, suffix: str) -> None:
    path = _write(tmp_path / f"mine{suffix}", MUG.vertices + 3.0, MUG.faces)
    imported = import_model(path, "mug")
    assert imported.notes == ()
    assert imported.model.name == "mine"
    assert imported.model.category == "mug"
    np.testing.assert_allclose(imported.model.dimensions_m, MUG.dimensions_m, atol=1e-6)
    np.testing.assert_allclose(
        imported.model.vertices.min(axis=0), -0.5 * MUG.dimensions_m, atol=1e-6
    )
    assert _volume(imported.model) == pytest.approx(MUG_VOLUME, rel=1e-4)


def test_units_and_yaw(tmp_path: Path) -> None:
    path = _write(tmp_path / "mug.ply", 1000.0 * MUG.vertices, MUG.faces)
    model = load_model(path, "mug", unit_m=0.001, yaw_deg=90.0)
    x, y, z = MUG.dimensions_m
    np.testing.assert_allclose(model.dimensions_m, [z, y, x], atol=1e-6)
    # about +y, +x turns toward -z: the handle now stands out there
    handle = MUG.vertices[np.argmax(MUG.vertices[:, 0])]
    turned = model.vertices[np.argmin(model.vertices[:, 2])]
    assert turned[2] == pytest.approx(-handle[0], abs=1e-6)


def test_left_handed_files(tmp_path: Path) -> None:
    camera = sample_model("camera", 3)
    mirrored = camera.vertices * (1.0, 1.0, -1.0)
    path = _write(tmp_path / "one" / "model.obj", mirrored, camera.faces[:, ::-1])
    collection = load_collection(tmp_path, "camera", left_handed=True)
    for model in (
        load_model(path, "camera", left_handed=True),
        load_surface(path, "camera", left_handed=True),
        collection.models[0],
    ):
        assert _volume(model) == pytest.approx(_volume(camera), rel=1e-4)
        for axis in range(3):
            found, true = (np.sort(x.vertices[:, axis]) for x in (model, camera))
            assert found.mean() == pytest.approx(true.mean(), abs=1e-3)
    assert collection.notes == {}


def test_inside_out_is_flipped_with_a_note(tmp_path: Path) -> None:
    imported = import_model(_write(tmp_path / "m.obj", MUG.vertices, MUG.faces[:, ::-1]), "mug")
    assert imported.notes == ("the mesh was inside out and was flipped",)
    assert _volume(imported.model) == pytest.approx(MUG_VOLUME, rel=1e-4)


def test_disagreeing_faces_are_turned(tmp_path: Path) -> None:
    faces = MUG.faces.copy()
    faces[::7] = faces[::7, ::-1]
    imported = import_model(_write(tmp_path / "m.ply", MUG.vertices, faces), "mug")
    assert imported.notes == ("faces with inconsistent orientation were flipped",)
    assert _volume(imported.model) == pytest.approx(MUG_VOLUME, rel=1e-4)


def test_overlapping_parts_are_united(tmp_path: Path) -> None:
    both = _box() + _box(x=0.5)
    imported = import_model(_write(tmp_path / "m.ply", both.vertices, both.faces), "mug")
    assert imported.notes == ("2 closed parts were united",)
    assert _volume(imported.model) == pytest.approx(1.5, rel=1e-6)


def test_inner_surfaces_are_dropped(tmp_path: Path) -> None:
    hollow = _box(0.5)
    hollow.invert()
    both = _box() + hollow
    imported = import_model(_write(tmp_path / "m.ply", both.vertices, both.faces), "bottle")
    assert "inner surfaces were removed" in imported.notes[0]
    assert _volume(imported.model) == pytest.approx(1.0, rel=1e-6)


def test_two_solids_are_refused(tmp_path: Path) -> None:
    both = _box() + _box(x=3.0)
    path = _write(tmp_path / "pair.stl", both.vertices, both.faces)
    with pytest.raises(MeshError, match=r"pair\.stl: contains 2 separate solids: expected one"):
        load_model(path, "mug")


def test_crumbs_are_dropped(tmp_path: Path) -> None:
    both = _box() + _box(0.02, x=0.6)
    imported = import_model(_write(tmp_path / "m.ply", both.vertices, both.faces), "mug")
    assert "1 tiny separate pieces were removed" in imported.notes
    assert _volume(imported.model) == pytest.approx(1.0, rel=1e-6)


def test_small_holes_are_patched(tmp_path: Path) -> None:
    faces = np.delete(MUG.faces, [10, 400, 401, 2000], axis=0)
    imported = import_model(_write(tmp_path / "m.ply", MUG.vertices, faces), "mug")
    assert "small holes were patched" in imported.notes[0]
    assert _volume(imported.model) == pytest.approx(MUG_VOLUME, rel=1e-3)


def test_open_mesh_is_refused_repaired_or_read_as_surface(tmp_path: Path) -> None:
    kept = MUG.vertices[MUG.faces].mean(axis=1)[:, 0] > MUG.vertices[:, 0].min() + 0.01
    path = _write(tmp_path / "open.ply", MUG.vertices, MUG.faces[kept])
    with pytest.raises(
        MeshError, match=r"open\.ply: is not watertight \(of \d+ edges, \d+ border one"
    ):
        load_model(path, "mug")
    assert len(load_surface(path, "mug").faces) == kept.sum()
    imported = import_model(path, "mug", repair=True)
    assert "closed shell" in imported.notes[0]
    assert 0.0 < _volume(imported.model) < 3.0 * MUG_VOLUME
    # the shell lies 0.4 % of the diagonal outside
    excess = (imported.model.dimensions_m - MUG.dimensions_m)[1:]
    np.testing.assert_allclose(excess, 2 * 0.0041 * MUG.diagonal_m, rtol=0.15)


def test_single_sheet_becomes_a_wall(tmp_path: Path) -> None:
    """A cylinder without lid and thickness stays open at the top when it is repaired."""
    tube = trimesh.creation.cylinder(radius=0.04, height=0.1, sections=48)
    sheet = tube.faces[tube.face_normals[:, 2] < 0.9]
    path = _write(tmp_path / "sheet.ply", tube.vertices[:, [1, 2, 0]], sheet)
    model = load_model(path, "mug", repair=True)
    assert 0.0 < _volume(model) < 0.2 * np.pi * 0.04**2 * 0.1


def _raw(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


TETRAHEDRON = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"


@pytest.mark.parametrize("load", [load_model, load_surface])
@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("points.obj", "v 0 0 0\nv 1 0 0\nv 0 1 1\n", "has no faces"),
        ("nothing.obj", "", "has no faces"),
        ("flat.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\nf 1 2 3\nf 2 4 3\n", "is flat"),
        ("nan.obj", TETRAHEDRON.replace("v 1 0 0", "v nan 0 0"), "1 of 4 vertices are NaN"),
        ("index.obj", TETRAHEDRON.replace("f 2 3 4", "f 2 3 9"), "damaged"),
        ("bad.ply", "garbage", "cannot be read as ply"),
        ("bad.glb", "garbage", "cannot be read as glb"),
        ("mesh.dae", TETRAHEDRON, "type '.dae' is not supported: expected .glb, .obj"),
    ],
)
def test_bad_files_are_refused_by_name(
    tmp_path: Path, load: object, name: str, text: str, message: str
) -> None:
    path = _raw(tmp_path / name, text)
    with pytest.raises(MeshError) as caught:
        load(path, "mug")  # type: ignore[operator]
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_missing_file() -> None:
    with pytest.raises(MeshError, match=r"nowhere\.obj: no such file"):
        load_model("nowhere.obj", "mug")


@pytest.mark.parametrize("suffix", MESH_SUFFIXES)
def test_too_many_faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    path = _write(tmp_path / f"huge{suffix}", MUG.vertices, MUG.faces)
    monkeypatch.setattr(mesh_files, "MAX_FACES", 1000)
    monkeypatch.setattr(mesh_files, "_BYTES_PER_FACE", 10_000)
    if suffix != ".glb":  # whose faces only the parser counts
        monkeypatch.setattr(mesh_files.trimesh, "load", None)
    with pytest.raises(
        MeshError, match=rf"huge\{suffix}: {len(MUG.faces):,} faces is too large.*1,000"
    ):
        load_model(path, "mug")


def test_too_large_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _write(tmp_path / "huge.glb", MUG.vertices, MUG.faces)
    monkeypatch.setattr(mesh_files, "MAX_FACES", 10)
    with pytest.raises(MeshError, match=r"huge\.glb: 0.0 GB is too large.*decimate"):
        load_model(path, "mug")


def test_solids_are_told_from_surfaces(tmp_path: Path) -> None:
    assert is_solid(_write(tmp_path / "mug.ply", MUG.vertices, MUG.faces))
    assert not is_solid(_write(tmp_path / "open.ply", MUG.vertices, MUG.faces[1:]))
    two = trimesh.util.concatenate([_box(), _box(0.5, 2.0)])
    assert not is_solid(_write(tmp_path / "two.ply", two.vertices, two.faces))


def test_unreferenced_vertices_do_not_count(tmp_path: Path) -> None:
    text = TETRAHEDRON.replace("f 1 3 2", "v 50 50 50\nv nan 0 0\nf 1 3 2")
    model = load_model(_raw(tmp_path / "t.obj", text), "mug")
    np.testing.assert_allclose(model.dimensions_m, 1.0, atol=1e-9)


def test_collection_in_the_layout_of_shapenet(tmp_path: Path) -> None:
    box = _box()
    for name in ("a1", "b2", "c3"):
        _write(tmp_path / name / "models" / "model_normalized.obj", box.vertices, box.faces)
    _write(tmp_path / "d4" / "model.obj", box.vertices, box.faces[:, ::-1])
    _write(tmp_path / "e5.ply", (_box() + _box(x=4.0)).vertices, (_box() + _box(x=4.0)).faces)
    (tmp_path / "readme.txt").write_text("not a mesh")
    found = load_collection(tmp_path, "can", exclude=["b2", "zz"])
    assert [model.name for model in found.models] == ["a1", "c3", "d4"]
    assert {model.category for model in found.models} == {"can"}
    assert found.excluded == ("b2",)
    assert found.unknown_exclusions == ("zz",)
    assert list(found.rejected) == [tmp_path / "e5.ply"]
    report = found.report()
    assert report.startswith("3 models used, 1 rejected, 1 excluded")
    assert "repaired d4: the mesh was inside out" in report
    assert "e5.ply: contains 2 separate solids" in report
    assert "the excluded model 'zz' does not exist" in report


def test_second_file_of_a_model_is_reported(tmp_path: Path) -> None:
    box = _box()
    for suffix in (".obj", ".ply"):
        _write(tmp_path / f"cup{suffix}", box.vertices, box.faces)
    found = load_collection(tmp_path, "mug")
    assert len(found.models) == 1
    assert "cup.obj is used instead" in found.rejected[tmp_path / "cup.ply"]


def test_useless_folders(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match="is not a folder"):
        load_collection(tmp_path / "none", "mug")
    with pytest.raises(MeshError, match="contains no mesh"):
        load_collection(tmp_path, "mug")
    _raw(tmp_path / "p.obj", "v 0 0 0\n")
    with pytest.raises(MeshError, match=r"none of its 1 meshes.*p\.obj: has no faces"):
        load_collection(tmp_path, "mug")
