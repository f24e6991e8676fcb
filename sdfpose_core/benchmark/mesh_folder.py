"""The folder of meshes that benchmarks measure on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from sdfpose_core.errors import MeshError
from sdfpose_core.shapes.imports import load_surface
from sdfpose_core.shapes.mesh_files import MESH_SUFFIXES
from sdfpose_core.shapes.model import CadModel

__all__ = ["measurable_models", "mesh_files"]

_SIZES_M = (0.01, 2.0)
"""Diagonals of meshes that a simulated camera can look at."""


def mesh_files(data: Path, names: Sequence[str]) -> dict[str, list[Path]]:
    """The meshes of each category.

    Args:
        data: holds ``CATEGORY/NAME.obj`` (or another mesh type), or has them in its subfolder
            ``meshes``.
        names: of the categories.

    Raises:
        MeshError: `data` is no folder, or holds no mesh of these categories.
    """
    if not data.is_dir():
        raise MeshError(f"{data}: is no folder: expected one with CATEGORY/NAME.obj")
    root = data / "meshes" if (data / "meshes").is_dir() else data
    files = {
        name: sorted(x for x in (root / name).glob("*") if x.suffix.lower() in MESH_SUFFIXES)
        for name in names
    }
    if not any(files.values()):
        raise MeshError(
            f"{root}: holds no mesh of {', '.join(names)}: expected files such as "
            f"{root / names[0]}/NAME.obj"
        )
    return files


def measurable_models(
    files: Sequence[Path], category: str, problems: list[str]
) -> Iterator[tuple[Path, CadModel]]:
    """The models that a simulated camera can look at; `problems` is told of the others."""
    for path in files:
        try:
            model = load_surface(path, category)
            if not _SIZES_M[0] <= model.diagonal_m <= _SIZES_M[1]:
                raise MeshError(
                    f"{path}: its box has a diagonal of {model.diagonal_m:.4g} m: expected "
                    f"{_SIZES_M[0]} to {_SIZES_M[1]} m (is the file in metres?)"
                )
        except MeshError as error:
            problems.append(f"{error}; left out")
        else:
            yield path, model
