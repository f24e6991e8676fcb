"""Reconstructed surfaces as binary glTF, with the colours of their vertices."""

from __future__ import annotations

import numpy as np
import trimesh
from numpy.typing import NDArray
from trimesh.exchange.gltf import export_glb
from trimesh.visual.material import PBRMaterial
from trimesh.visual.texture import TextureVisuals

from sdfpose_core.viewer.scene import SceneMesh

__all__ = ["surface_glb"]

_GAMMA = 2.2
"""glTF has linear vertex colours; images have gamma-encoded ones."""

_ROUGHNESS = 0.75


def surface_glb(mesh: SceneMesh) -> bytes:
    """Write a surface as binary glTF: dull, not metallic, with a colour for each vertex."""
    visual = TextureVisuals(
        material=PBRMaterial(metallicFactor=0.0, roughnessFactor=_ROUGHNESS, doubleSided=True)
    )
    visual.vertex_attributes["color"] = _linear_rgba(mesh.colours)
    surface = trimesh.Trimesh(
        vertices=mesh.vertices,
        faces=mesh.faces,
        vertex_normals=mesh.normals,
        visual=visual,
        process=False,
        validate=False,
    )
    return bytes(export_glb(trimesh.Scene(surface), include_normals=True))


def _linear_rgba(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    linear = np.rint(255.0 * (colours / 255.0) ** _GAMMA).astype(np.uint8)
    return np.column_stack([linear, np.full(len(linear), 255, dtype=np.uint8)])
