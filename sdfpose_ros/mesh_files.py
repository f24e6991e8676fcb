"""Meshes that somebody in the graph asks the node to write."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from sdfpose.msg import SdfObject

from sdfpose_core.errors import ConfigurationError
from sdfpose_core.meshes import write_ply

__all__ = ["mesh_path", "write_mesh"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_SUFFIX = ".ply"


def mesh_path(folder: str, name: str) -> Path:
    """Where a mesh of that name goes: a file in the folder, and nowhere else.

    Args:
        folder: that the node may write into; empty where it may write nothing.
        name: of the file, from a stranger; ``.ply`` is added where it lacks it.

    Raises:
        ConfigurationError: there is no folder, or the name would leave it.
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
    root = Path(folder).expanduser().resolve()
    path = root / (name if name.endswith(_SUFFIX) else name + _SUFFIX)
    if path.is_symlink() or path.is_dir():
        raise ConfigurationError(
            f"name {name!r}: {path} is a link or a folder: expected a file or nothing there"
        )
    return path


def write_mesh(path: Path, item: SdfObject) -> None:
    """Write the mesh of an object that carries it as PLY, metres, object frame.

    Raises:
        MeshError: it cannot be written.
    """
    colours = np.asarray(item.mesh_colours, dtype=np.uint8).reshape(-1, 3)
    write_ply(
        path,
        np.asarray(item.mesh_vertices, dtype=np.float32).reshape(-1, 3),
        np.asarray(item.mesh_triangles, dtype=np.int64).reshape(-1, 3),
        np.asarray(item.mesh_normals, dtype=np.float32).reshape(-1, 3),
        colours if len(colours) else None,
    )
