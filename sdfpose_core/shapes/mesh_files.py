"""Find mesh files, and read, check and clean their vertices and faces."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray

from sdfpose_core.errors import MeshError

__all__ = ["MAX_FACES", "MESH_SUFFIXES", "mesh_files", "read_mesh"]

MESH_SUFFIXES = (".glb", ".obj", ".off", ".ply", ".stl")
"""Supported file types."""

MAX_FACES = 2_000_000
"""Meshes with more faces are rejected, to limit memory."""

_BYTES_PER_FACE = 400
"""Upper bound for all file types, vertices included. Larger files are rejected without reading."""

_BLOCK_BYTES = 1 << 24

_MERGE_DISTANCE = 1e-6
"""Vertices closer than this are merged, in diagonals of the box."""

_MIN_SIDE = 1e-4
"""A mesh is flat if its thinnest side is below this share of its diagonal."""


def mesh_files(folder: Path, problems: list[str] | None = None) -> list[Path]:
    """Find all mesh files in a folder and its subfolders, sorted.

    Args:
        folder: folder to search.
        problems: receives a message for each folder that cannot be read.

    Raises:
        MeshError: the folder is missing or contains no mesh files.
    """
    if not os.path.isdir(folder):  # noqa: PTH112 (Path.is_dir raises for unreadable parents)
        raise MeshError(f"{folder}: is not a folder: expected one with {_suffixes()} files")
    unreadable: list[OSError] = []
    files = sorted(
        Path(parent, name)
        for parent, _, names in os.walk(folder, onerror=unreadable.append)
        for name in names
        if Path(name).suffix.lower() in MESH_SUFFIXES
    )
    reasons = [f"{x.filename}: cannot be read: {x.strerror}" for x in unreadable]
    if problems is not None:
        problems += reasons
    if not files:
        hint = f" ({reasons[0]})" if reasons else ""
        raise MeshError(f"{folder}: contains no mesh: expected {_suffixes()} files{hint}")
    return files


def read_mesh(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Read vertices (V, 3) and faces (F, 3) of a file, in the file's unit.

    Coincident vertices are merged.

    Raises:
        MeshError: the file is missing or damaged, or the mesh is flat, has no faces, too many
            faces or vertices that are not finite. The message names the file.
    """
    try:
        return _clean(path, *_read(path))
    except OSError as error:
        raise MeshError(f"{path}: cannot be read: {error.strerror}") from error


def _read(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    if not path.is_file():
        raise MeshError(f"{path}: no such file: expected a mesh ({_suffixes()})")
    if path.suffix.lower() not in MESH_SUFFIXES:
        raise MeshError(f"{path}: type '{path.suffix}' is not supported: expected {_suffixes()}")
    size = path.stat().st_size
    if size > _BYTES_PER_FACE * MAX_FACES:
        raise MeshError(_too_many(path, f"{size / 1e9:.1f} GB"))
    count = _declared_faces(path, size)
    if count > MAX_FACES:
        raise MeshError(_too_many(path, f"{count:,} faces"))
    try:
        mesh: Any = trimesh.load(path, force="mesh", process=False, skip_materials=True)
        vertices = np.asarray(mesh.vertices, dtype=np.float64).reshape(-1, 3)
        faces = np.asarray(mesh.faces, dtype=np.int64).reshape(-1, 3)
    except Exception as error:  # readers raise arbitrary errors for damaged files
        raise MeshError(
            f"{path}: cannot be read as {path.suffix[1:]} ({type(error).__name__}: {error}): "
            "the file is damaged, truncated or contains no mesh"
        ) from error
    return vertices, faces


def _declared_faces(path: Path, size: int) -> int:
    """Number of faces from the file's header or its lines; 0 if that would take a parser."""
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
        f"{path}: {amount} is too large: expected at most {MAX_FACES:,} faces; decimate the mesh "
        "first (about 50,000 faces are enough)"
    )


def _clean(
    path: Path, vertices: NDArray[np.float64], faces: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Merge coincident vertices, and remove degenerate and duplicate faces."""
    if len(faces) == 0:
        raise MeshError(f"{path}: has no faces: expected a triangle mesh, not a point cloud")
    if len(faces) > MAX_FACES:
        raise MeshError(_too_many(path, f"{len(faces):,} faces"))
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise MeshError(
            f"{path}: a face refers to a vertex that does not exist: the file is damaged"
        )
    used = np.unique(faces)
    bad = int(np.count_nonzero(~np.isfinite(vertices[used]).all(axis=1)))
    if bad:
        raise MeshError(
            f"{path}: {bad} of {len(used)} vertices are NaN or infinite: export the mesh again"
        )
    low = vertices[used].min(axis=0)
    extent = vertices[used].max(axis=0) - low
    diagonal = float(np.linalg.norm(extent))
    if diagonal <= 0.0 or float(extent.min()) < _MIN_SIDE * diagonal:
        raise MeshError(
            f"{path}: is flat (sides {extent[0]:.3g} x {extent[1]:.3g} x {extent[2]:.3g}): "
            "expected a surface that encloses a volume"
        )
    cell = np.round((vertices[used] - low) / (_MERGE_DISTANCE * diagonal)).astype(np.int64)
    _, first, group = np.unique(cell, axis=0, return_index=True, return_inverse=True)
    new_index = np.zeros(len(vertices), dtype=np.int64)
    new_index[used] = group.reshape(-1)
    merged = new_index[faces]
    distinct = (
        (merged[:, 0] != merged[:, 1])
        & (merged[:, 1] != merged[:, 2])
        & (merged[:, 2] != merged[:, 0])
    )
    merged = merged[distinct]
    _, unique = np.unique(np.sort(merged, axis=1), axis=0, return_index=True)
    return vertices[used][first], merged[np.sort(unique)]


def _suffixes() -> str:
    return ", ".join(MESH_SUFFIXES)
