"""Folders of meshes for the benchmarks, and meshes in another unit than metres."""

from __future__ import annotations

from pathlib import Path

import pytest
import trimesh

from sdfpose_core.benchmark.mesh_folder import measurable_models, mesh_files
from sdfpose_core.categories import default_categories
from sdfpose_core.errors import MeshError
from sdfpose_core.sdf.training_shapes import SampleCounts, folder_shapes

CAN = default_categories()["can"]


@pytest.fixture
def can(tmp_path):
    """Write a can, 66 x 120 mm, in a unit."""

    def write(name: str, unit_m: float):
        mesh = trimesh.creation.cylinder(radius=0.033 / unit_m, height=0.12 / unit_m, sections=12)
        mesh.export(tmp_path / name)
        return tmp_path / name

    return write


def test_metres_are_no_problem(can):
    problems: list[str] = []
    assert len(list(measurable_models([can("a.obj", 1.0)], "can", problems))) == 1
    assert problems == []


@pytest.mark.parametrize(
    ("unit_m", "count", "told"),
    [
        (0.001, 0, "expected 0.01 to 2.0 m (is the file in metres?); skipped"),
        (0.01, 0, "expected 0.01 to 2.0 m (is the file in metres?); skipped"),
        (0.1, 1, "times that of category can: expected metres"),
    ],
)
def test_other_units_are_reported(can, unit_m, count, told):
    problems: list[str] = []
    assert len(list(measurable_models([can("a.obj", unit_m)], "can", problems))) == count
    (problem,) = problems
    assert "a.obj: the " in problem
    assert told in problem


def test_training_meshes_in_millimetres_are_reported(can, tmp_path):
    for i in range(3):
        can(f"{i}.obj", 0.001)
    counts = SampleCounts(surface=20, uniform=20, boundary=20)

    def report(unit_m: float) -> str:
        cache = tmp_path / f"cache_{unit_m}"
        return folder_shapes("can", tmp_path, counts, cache, unit_m=unit_m, expected=CAN).report

    assert "(is it in millimetres?); give the unit of the files with --unit-m" in report(1.0)
    assert "--unit-m" not in report(0.001)


@pytest.fixture
def data(tmp_path):
    for name in ("can", "mug"):
        (tmp_path / "meshes" / name).mkdir(parents=True)
        (tmp_path / "meshes" / name / "one.obj").write_text("v 0 0 0")
    (tmp_path / "meshes" / "bowl").write_text("not a folder")
    return tmp_path


def deny(monkeypatch, name, folder):
    usual = getattr(Path, name)

    def denied(self):
        if folder in (self, *self.parents):
            raise PermissionError(13, "Permission denied", str(self))
        return usual(self)

    monkeypatch.setattr(Path, name, denied)


def test_an_unreadable_category_is_named(data, monkeypatch):
    deny(monkeypatch, "iterdir", data / "meshes" / "mug")
    problems = []
    files = mesh_files(data, ["can", "mug", "bowl", "laptop"], problems)
    assert {name: len(some) for name, some in files.items()} == {
        "can": 1,
        "mug": 0,
        "bowl": 0,
        "laptop": 0,
    }
    expected = f"{data / 'meshes' / 'mug'}: cannot be read: Permission denied; skipped"
    assert problems == [expected]


def test_an_unreadable_category_alone(data, monkeypatch):
    deny(monkeypatch, "iterdir", data / "meshes" / "mug")
    with pytest.raises(MeshError, match=r"no mesh of mug.*Permission denied"):
        mesh_files(data, ["mug"], [])


def test_an_unreadable_file_among_others_is_named(data, monkeypatch):
    path = data / "meshes" / "mug" / "one.obj"
    deny(monkeypatch, "is_file", path)
    problems = []
    assert list(measurable_models([path], "mug", problems)) == []
    assert problems == [f"{path}: cannot be read: Permission denied; skipped"]


@pytest.mark.parametrize("path", [Path("/nowhere"), Path("/" + 300 * "x")])
def test_a_folder_that_does_not_exist(path):
    with pytest.raises(MeshError, match=r"/nowhere: not a folder|File name too long"):
        mesh_files(path, ["mug"], [])
