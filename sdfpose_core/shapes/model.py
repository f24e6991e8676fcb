"""CAD model of one object in the object frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["CadModel"]

_CREASE_DEG = 32.0
"""Triangles that meet at a larger angle form a sharp edge."""


@dataclass(frozen=True)
class CadModel:
    """Triangle mesh in metres, y up, with its bounding box centred at the origin.

    The mug's handle, the camera's lens and the laptop's open side point towards +x.

    Attributes:
        name: unique within the category.
        category: category name.
        vertices: (V, 3) float64, metres, object frame.
        faces: (F, 3) int32, counter-clockwise seen from outside.
        parameters: random parameters of a procedural model; empty for imported models.
    """

    name: str
    category: str
    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    parameters: Mapping[str, float | str] = field(default_factory=dict)

    @classmethod
    def centred(
        cls,
        name: str,
        category: str,
        vertices: NDArray[np.floating],
        faces: NDArray[np.integer],
        parameters: Mapping[str, float | str] | None = None,
    ) -> CadModel:
        """Create a model and move its vertices (V, 3), metres, so that the box is centred."""
        v = np.asarray(vertices, dtype=np.float64)
        v = v - 0.5 * (v.min(axis=0) + v.max(axis=0))
        return cls(name, category, v, np.asarray(faces, dtype=np.int32), dict(parameters or {}))

    @property
    def dimensions_m(self) -> NDArray[np.float64]:
        """Sides (3,) of the bounding box, metres."""
        return self.vertices.max(axis=0) - self.vertices.min(axis=0)

    @property
    def diagonal_m(self) -> float:
        """Diagonal of the bounding box, metres."""
        return float(np.linalg.norm(self.dimensions_m))

    @property
    def normalised_vertices(self) -> NDArray[np.float64]:
        """Vertices (V, 3) divided by the diagonal, inside the ball of radius 0.5."""
        return self.vertices / self.diagonal_m

    @cached_property
    def corner_normals(self) -> NDArray[np.float32]:
        """Unit normals (F, 3, 3), object frame, of all triangle corners, for shading.

        A corner's normal is the mean over the triangles at its vertex that differ from its own
        triangle by less than `_CREASE_DEG`: curved surfaces look smooth, edges stay sharp.
        """
        a, b, c = (self.vertices[self.faces[:, k]] for k in range(3))
        weighted = np.cross(b - a, c - a)
        unit = weighted / np.maximum(np.linalg.norm(weighted, axis=1, keepdims=True), 1e-20)
        corners = self.faces.size
        at = sparse.csr_array(
            (np.ones(corners), (np.arange(corners), self.faces.ravel())),
            shape=(corners, len(self.vertices)),
        )
        pairs = (at @ at.T).tocoo()
        of, other = pairs.row // 3, pairs.col // 3
        near = np.einsum("ij,ij->i", unit[of], unit[other]) > np.cos(np.deg2rad(_CREASE_DEG))
        neighbours = sparse.csr_array(
            (near[near].astype(np.float64), (pairs.row[near], other[near])),
            shape=(corners, len(self.faces)),
        )
        total = neighbours @ weighted
        total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-20)
        return total.reshape(-1, 3, 3).astype(np.float32)
