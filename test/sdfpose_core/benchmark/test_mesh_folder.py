"""Meshes in another unit than metres."""

from __future__ import annotations

import pytest
import trimesh

from sdfpose_core.benchmark.mesh_folder import measurable_models
from sdfpose_core.categories import default_categories
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
