"""Mesh folders for the benchmarks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from sdfpose_core.categories import default_categories
from sdfpose_core.errors import MeshError
from sdfpose_core.shapes.imports import load_surface
from sdfpose_core.shapes.mesh_files import MESH_SUFFIXES
from sdfpose_core.shapes.model import CadModel

__all__ = ["measurable_models", "mesh_files"]

_SIZES_M = (0.01, 2.0)
"""Smallest and largest usable bounding-box diagonal, metres."""


def mesh_files(data: Path, names: Sequence[str], problems: list[str]) -> dict[str, list[Path]]:
    """List the mesh files of each category.

    Args:
        data: folder with ``CATEGORY/NAME.obj`` (or another mesh type), directly or in its
            subfolder ``meshes``.
        names: category names.
        problems: receives a message for each folder that cannot be read.

    Raises:
        MeshError: `data` is not a folder, or has no mesh of these categories.
    """
    try:
        if not data.is_dir():
            raise MeshError(f"{data}: not a folder: expected one with CATEGORY/NAME.obj")
        root = data / "meshes" if (data / "meshes").is_dir() else data
    except OSError as error:
        raise MeshError(f"{data}: cannot be read: {error.strerror}") from error
    files = {name: _meshes_in(root / name, problems) for name in names}
    if not any(files.values()):
        reason = f"; {problems[-1]}" if problems else ""
        raise MeshError(
            f"{root}: no mesh of {', '.join(names)}: expected files such as "
            f"{root / names[0]}/NAME.obj{reason}"
        )
    return files


def _meshes_in(folder: Path, problems: list[str]) -> list[Path]:
    """List the meshes of a folder in order of name; a missing folder has none."""
    try:
        return sorted(x for x in folder.iterdir() if x.suffix.lower() in MESH_SUFFIXES)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        problems.append(f"{folder}: cannot be read: {error.strerror}; skipped")
        return []


def measurable_models(
    files: Sequence[Path], category: str, problems: list[str]
) -> Iterator[tuple[Path, CadModel]]:
    """Yield the usable meshes with their paths; append a message to `problems` for the others.

    Sizes that the category does not have are reported as well.
    """
    table = default_categories()
    for path in files:
        try:
            model = load_surface(path, category)
            if not _SIZES_M[0] <= model.diagonal_m <= _SIZES_M[1]:
                raise MeshError(
                    f"{path}: the bounding-box diagonal is {model.diagonal_m:.4g} m: expected "
                    f"{_SIZES_M[0]} to {_SIZES_M[1]} m (is the file in metres?)"
                )
        except MeshError as error:
            problems.append(f"{error}; skipped")
        else:
            size = table[category].implausible_size(model.diagonal_m) if category in table else None
            if size is not None:
                problems.append(f"{path}: {size}")
            yield path, model
