"""CAD model of one object in the object frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["CadModel"]


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

    @cached_property
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
