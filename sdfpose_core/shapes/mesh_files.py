"""Mesh files: hypothesis them, and reading vertices and faces that are worth working on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray

from sdfpose_core.errors import MeshError

__all__ = ["MAX_FACES", "MESH_SUFFIXES", "mesh_files", "read_mesh"]

MESH_SUFFIXES = (".glb", ".obj", ".off", ".ply", ".stl")
"""File types that are read."""

MAX_FACES = 2_000_000
"""Meshes with more faces are refused, before they fill the memory."""

_BYTES_PER_FACE = 400
"""No file type needs more, with its share of the vertices: a larger file is refused unread."""

_BLOCK_BYTES = 1 << 24

_MERGE = 1e-6
"""Vertices this close, in diagonals of the box, are one."""

_FLAT = 1e-4
"""A mesh whose thinnest side is below this share of its diagonal has no inside."""


def mesh_files(folder: Path) -> list[Path]:
    """All files of `MESH_SUFFIXES` below a folder, sorted.

    Raises:
        MeshError: the folder is missing or holds none.
    """
    if not folder.is_dir():
        raise MeshError(f"{folder}: is no folder: expected one with {_suffixes()} files")
    files = [
        x for x in sorted(folder.rglob("*")) if x.suffix.lower() in MESH_SUFFIXES and x.is_file()
    ]
    if not files:
        raise MeshError(f"{folder}: holds no mesh: expected {_suffixes()} files")
    return files


def read_mesh(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vertices (V, 3) and faces (F, 3) of a file, coincident vertices merged, in its own unit.

    Raises:
        MeshError: the file is missing or damaged, or the mesh has no faces, is flat, has vertices
            that are not finite or too many faces. The message names the file.
    """
    return _cleaned(path, *_read(path))


def _read(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    if not path.is_file():
        raise MeshError(f"{path}: no such file: expected a mesh ({_suffixes()})")
    if path.suffix.lower() not in MESH_SUFFIXES:
        raise MeshError(f"{path}: type '{path.suffix}' is not read: expected {_suffixes()}")
    size = path.stat().st_size
    if size > _BYTES_PER_FACE * MAX_FACES:
        raise MeshError(_too_many(path, f"{size / 1e9:.1f} GB"))
    count = _announced_faces(path, size)
    if count > MAX_FACES:
        raise MeshError(_too_many(path, f"{count:,} faces"))
    try:
        mesh: Any = trimesh.load(path, force="mesh", process=False, skip_materials=True)
        vertices = np.asarray(mesh.vertices, dtype=np.float64).reshape(-1, 3)
        faces = np.asarray(mesh.faces, dtype=np.int64).reshape(-1, 3)
    except Exception as error:  # the readers raise whatever a damaged file leads them to
        raise MeshError(
            f"{path}: cannot be read as {path.suffix[1:]} ({type(error).__name__}: {error}): "
            "the file is damaged, cut short or holds no mesh"
        ) from error
    return vertices, faces


def _announced_faces(path: Path, size: int) -> int:
    """Faces that a file holds by its header or its lines; 0 where that takes a parser."""
    with path.open("rb") as file:
        head = file.read(4096)
        if path.suffix.lower() == ".obj":
            count = head.count(b"\nf ")
            while block := file.read(_BLOCK_BYTES):
                count += block.count(b"\nf ")
            return count
    if path.suffix.lower() == ".stl":
        binary = len(head) >= 84 and 84 + 50 * int.from_bytes(head[80:84], "little") == size
        return int.from_bytes(head[80:84], "little") if binary else 0
    pattern = {".ply": rb"element face (\d+)", ".off": rb"^OFF\s+\d+\s+(\d+)"}
    found = re.search(pattern.get(path.suffix.lower(), rb"(?!)"), head)
    return int(found[1]) if found else 0


def _too_many(path: Path, amount: str) -> str:
    return (
        f"{path}: {amount} is more than is read: expected at most {MAX_FACES:,} faces; decimate "
        "it first (some 50,000 faces are plenty)"
    )


def _cleaned(
    path: Path, vertices: NDArray[np.float64], faces: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Merge coincident vertices and drop faces without corners of their own."""
    if len(faces) == 0:
        raise MeshError(f"{path}: has no faces: expected a triangle mesh, not a point cloud")
    if len(faces) > MAX_FACES:
        raise MeshError(_too_many(path, f"{len(faces):,} faces"))
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise MeshError(f"{path}: a face names a vertex that is not there: the file is damaged")
    used = np.unique(faces)
    bad = int(np.count_nonzero(~np.isfinite(vertices[used]).all(axis=1)))
    if bad:
        raise MeshError(
            f"{path}: {bad} of {len(used)} vertices are NaN or infinite: export the mesh again"
        )
    low = vertices[used].min(axis=0)
    extent = vertices[used].max(axis=0) - low
    diagonal = float(np.linalg.norm(extent))
    if diagonal <= 0.0 or float(extent.min()) < _FLAT * diagonal:
        raise MeshError(
            f"{path}: is flat (sides {extent[0]:.3g} x {extent[1]:.3g} x {extent[2]:.3g}): "
            "expected a surface around a volume"
        )
    cell = np.round((vertices[used] - low) / (_MERGE * diagonal)).astype(np.int64)
    _, first, group = np.unique(cell, axis=0, return_index=True, return_inverse=True)
    renumber = np.zeros(len(vertices), dtype=np.int64)
    renumber[used] = group.reshape(-1)
    merged = renumber[faces]
    distinct = (
        (merged[:, 0] != merged[:, 1])
        & (merged[:, 1] != merged[:, 2])
        & (merged[:, 2] != merged[:, 0])
    )
    merged = merged[distinct]
    _, once = np.unique(np.sort(merged, axis=1), axis=0, return_index=True)
    return vertices[used][first], merged[np.sort(once)]


def _suffixes() -> str:
    return ", ".join(MESH_SUFFIXES)
