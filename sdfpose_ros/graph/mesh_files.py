"""Mesh files that a service call asks the node to write."""

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
    """Return the path of a mesh file, which is always directly inside the folder.

    Args:
        folder: folder that the node may write to; empty to forbid writing.
        name: file name from an untrusted source. The suffix ``.ply`` is added if missing.

    Raises:
        ConfigurationError: the folder is empty or not accessible, or the name is not allowed.
    """
    if not folder:
        raise ConfigurationError(
            "no mesh is written: the parameter mesh_dir is empty: set it to a folder and restart"
        )
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"name {name!r}: expected at most 100 letters, digits, '_', '-' and '.', with a letter "
            "or digit first, and no folder"
        )
    try:
        root = Path(folder).expanduser().resolve()
        path = root / (name if name.endswith(_SUFFIX) else name + _SUFFIX)
        taken = path.is_symlink() or path.is_dir()
    except (OSError, RuntimeError) as error:  # no permission; unknown user in ~USER
        raise ConfigurationError(
            f"no mesh is written to {folder}: {error}: expected a writable folder"
        ) from error
    if taken:
        raise ConfigurationError(
            f"name {name!r}: {path} is a link or a folder: expected a regular file or no file"
        )
    return path


def write_mesh(path: Path, item: SdfObject) -> None:
    """Write the mesh of an object message as PLY, metres, object frame.

    Raises:
        MeshError: the arrays are not a valid mesh, or the file cannot be written.
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
