"""Write meshes as binary PLY, in metres and in the object frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from trimesh.exchange.ply import export_ply

from sdfpose_core.errors import MeshError
from sdfpose_core.storage.files import write_atomically

__all__ = ["write_ply"]


def write_ply(
    path: Path | str,
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    normals: NDArray[np.floating],
    colours: NDArray[np.uint8] | None = None,
) -> None:
    """Write a triangle mesh as binary PLY. The file is written atomically.

    Args:
        path: missing folders are created.
        vertices: (V, 3), metres, object frame.
        faces: (F, 3), vertex indices, counter-clockwise seen from outside.
        normals: (V, 3), outward unit vectors.
        colours: (V, 3), RGB.

    Raises:
        MeshError: the shapes do not match, or the file cannot be written.
    """
    _check(vertices, faces, normals, colours)
    mesh = trimesh.Trimesh(
        vertices=vertices,
        faces=faces,
        vertex_normals=normals,
        vertex_colors=colours,
        process=False,
        validate=False,
    )
    try:
        write_atomically(path, export_ply(mesh, vertex_normal=True, include_attributes=False))
    except OSError as error:
        raise MeshError(f"{path}: the mesh cannot be written: {error.strerror}") from error


def _check(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    normals: NDArray[np.floating],
    colours: NDArray[np.uint8] | None,
) -> None:
    count = len(vertices)
    per_vertex: dict[str, NDArray[Any]] = {"vertices": vertices, "normals": normals}
    if colours is not None:
        per_vertex["colours"] = colours
    for name, array in per_vertex.items():
        if array.shape != (count, 3):
            raise MeshError(f"{name} has shape {array.shape}: expected ({count}, 3)")
    if faces.ndim != 2 or faces.shape[1] != 3:
        raise MeshError(f"faces has shape {faces.shape}: expected (F, 3)")
    if faces.size and (faces.min() < 0 or faces.max() >= count):
        raise MeshError(
            f"faces has vertex indices from {faces.min()} to {faces.max()}: expected 0 to "
            f"{count - 1}"
        )
