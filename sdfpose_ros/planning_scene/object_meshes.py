"""The last mesh of each object of a pose node."""

from __future__ import annotations

import zlib
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sdfpose_core.errors import MeshError
from sdfpose_core.geometry.collision import TriangleMesh
from sdfpose_core.messages.interfaces import stamp_ns

__all__ = ["KnownMesh", "ObjectMeshes"]


@dataclass(frozen=True)
class KnownMesh:
    """A mesh of an object.

    Attributes:
        version: tells it from the other meshes of the object, and from those of another object with
            the same id: a pose node that starts again counts anew.
        stamp_ns: of the image that it was made for.
        mesh: metres, object frame.
    """

    version: Hashable
    stamp_ns: int
    mesh: TriangleMesh


class ObjectMeshes:
    """Keeps the meshes that come in ``sdfpose/SdfObject`` messages."""

    def __init__(self) -> None:
        self._meshes: dict[int, KnownMesh] = {}

    def take(self, x: Any) -> None:
        """Take the mesh of a message, if it has one that is newer than the known one.

        Raises:
            MeshError: its arrays are no mesh.
        """
        made_ns, known = stamp_ns(x.header), self._meshes.get(int(x.id))
        if not len(x.mesh_vertices) or (known is not None and known.stamp_ns >= made_ns):
            return
        vertices = np.array(x.mesh_vertices, dtype=np.float32)
        if len(vertices) % 3 or len(x.mesh_triangles) % 3:
            raise MeshError(
                f"object {x.id}: {len(vertices)} coordinates and {len(x.mesh_triangles)} vertex "
                "indices: expected three for each vertex and triangle"
            )
        mesh = TriangleMesh.of(
            vertices.reshape(-1, 3), np.array(x.mesh_triangles, dtype=np.int64).reshape(-1, 3)
        )
        version = int(x.mesh_revision), zlib.crc32(vertices.tobytes())
        self._meshes[int(x.id)] = KnownMesh(version, made_ns, mesh)

    def get(self, object_id: int) -> KnownMesh | None:
        """The last mesh of an object; None if there is none yet."""
        return self._meshes.get(object_id)

    def keep(self, object_ids: set[int]) -> None:
        """Forget the meshes of all objects but these."""
        self._meshes = {i: x for i, x in self._meshes.items() if i in object_ids}
