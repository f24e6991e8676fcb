"""training/example_meshes.py: solids in metres, y up, front toward +x."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh

from sdfpose_core.category_learning.standing import foot_areas
from sdfpose_core.shapes.model import CadModel

PROGRAM = Path(__file__).parents[2] / "training" / "example_meshes.py"
KINDS = ("kettle", "shoe", "drill")


@pytest.fixture(scope="module")
def meshes(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("example_meshes")
    run = [sys.executable, PROGRAM, "--out", out, "--learn", "1", "--held-out", "1"]
    subprocess.run(run, check=True)
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_the_meshes_are_solids_in_the_object_frame(meshes: Path, kind: str):
    learn = trimesh.load(meshes / "learn" / kind / f"{kind}_00.obj")
    held_out = trimesh.load(meshes / "held_out/meshes" / kind / f"{kind}_01.obj")
    for mesh in (learn, held_out):
        assert mesh.is_watertight
        assert mesh.volume > 0.0
        assert 0.2 < np.linalg.norm(mesh.extents) < 0.6
        assert foot_areas(CadModel.centred("x", kind, mesh.vertices, mesh.faces))["+y"] > 0.02
        (x, *_), centre = mesh.bounds.mean(axis=0), mesh.center_mass
        assert kind == "shoe" or centre[0] < x  # spout and bit reach further than what is behind
    assert abs(learn.volume / held_out.volume - 1.0) > 1e-3
