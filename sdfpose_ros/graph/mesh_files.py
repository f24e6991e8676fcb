"""Meshes that somebody in the graph asks the node to write."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sdfpose.msg import SdfObject

from sdfpose_core.errors import ConfigurationError, MeshError
from sdfpose_core.geometry.meshes import write_ply

__all__ = ["mesh_path", "write_mesh"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_SUFFIX = ".ply"


def mesh_path(folder: str, name: str) -> Path:
    """Where a mesh of that name goes: a file in the folder, and nowhere else.

    Args:
        folder: that the node may write into; empty where it may write nothing.
        name: of the file, from a stranger; ``.ply`` is added where it lacks it.

    Raises:
        ConfigurationError: there is no folder, the name would leave it, or it cannot be entered.
    """
    if not folder:
        raise ConfigurationError(
            "no mesh is written: the parameter mesh_dir is empty: expected a folder in it"
        )
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"name {name!r}: expected letters, digits, '_', '-' and '.', at most 100, with a "
            "letter or a digit first, and no folder"
        )
    try:
        root = Path(folder).expanduser().resolve()
        path = root / (name if name.endswith(_SUFFIX) else name + _SUFFIX)
        taken = path.is_symlink() or path.is_dir()
    except (OSError, RuntimeError) as error:  # not to be entered; no home of that name
        raise ConfigurationError(
            f"no mesh is written into {folder}: {error}: expected a folder that may be written into"
        ) from error
    if taken:
        raise ConfigurationError(
            f"name {name!r}: {path} is a link or a folder: expected a file or nothing there"
        )
    return path


def write_mesh(path: Path, item: SdfObject) -> None:
    """Write the mesh of an object that carries it as PLY, metres, object frame.

    Raises:
        MeshError: its arrays are no mesh, or it cannot be written.
    """
    colours = _rows(item, "mesh_colours", np.uint8)
    write_ply(
        path,
        _rows(item, "mesh_vertices", np.float32),
        _rows(item, "mesh_triangles", np.int64),
        _rows(item, "mesh_normals", np.float32),
        colours if len(colours) else None,
    )


def _rows(item: SdfObject, name: str, dtype: type) -> NDArray[Any]:
    values: NDArray[Any] = np.asarray(getattr(item, name), dtype=dtype)
    if len(values) % 3:
        raise MeshError(f"{name} has {len(values)} values: expected a multiple of 3")
    return values.reshape(-1, 3)
