"""Symmetries of the reported shape."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from simple_estimates import make_estimate

from sdfpose_core.estimation.report import with_mesh
from sdfpose_core.sdf.meshing import DecodedMesh


@pytest.mark.parametrize(("round_about_y", "count"), [(True, 1), (False, 3)])
def test_symmetries_beside_the_continuous_one_are_reported(round_about_y, count):
    box = trimesh.creation.box((0.3, 0.8, 0.3))
    mesh = DecodedMesh(
        np.asarray(box.vertices, np.float32),
        np.asarray(box.faces, np.int32),
        np.asarray(box.vertex_normals, np.float32),
    )
    draft = replace(make_estimate(), symmetric_about_y=round_about_y)
    symmetries = with_mesh(draft, mesh).symmetries
    assert symmetries.shape == (count, 3, 3)
    assert all(not np.allclose(x, np.eye(3)) for x in symmetries)
