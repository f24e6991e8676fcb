"""The collision geometry of an object, as the parameters want it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import Categories
from sdfpose_core.geometry.collision import (
    Primitive,
    TriangleMesh,
    bounding_primitive,
    convex_hull,
    decimated,
    padded,
)
from sdfpose_core.grasping.frames import PartFrame, part_frames
from sdfpose_ros.planning_scene.parameters import PlanningSceneNodeParameters

__all__ = ["CollisionShape", "ShapeMaker"]

_HANDLE = "handle"


@dataclass(frozen=True)
class CollisionShape:
    """Collision geometry in the object frame.

    Attributes:
        geometry: a mesh or a primitive, padding included.
        parts: frames of the object's parts.
    """

    geometry: TriangleMesh | Primitive
    parts: Sequence[PartFrame] = ()


class ShapeMaker:
    """Makes the collision geometry of objects.

    Args:
        parameters: choose it.
        categories: tell which parts an object has.
    """

    def __init__(self, parameters: PlanningSceneNodeParameters, categories: Categories) -> None:
        self._parameters = parameters
        self._categories = categories

    def __call__(
        self,
        category: str,
        dimensions_m: NDArray[np.float64],
        mesh: TriangleMesh | None,
        *,
        symmetric_about_y: bool,
    ) -> CollisionShape:
        """Make the geometry of an object.

        Args:
            category: of the object.
            dimensions_m: (3,), sides of its box, metres. The mesh is stretched to them: it may be
                of an image in which the size was another one.
            mesh: its surface, object frame; None for a primitive.
            symmetric_about_y: whether the rotation about the y axis is arbitrary.

        Raises:
            MeshError: nothing of the mesh is left, or it has no convex hull.
        """
        p = self._parameters
        light = None
        if mesh is not None:
            light = decimated(mesh.with_sides(dimensions_m), p.max_triangles)
        parts: Sequence[PartFrame] = ()
        if light is not None and p.subframes:
            names = self._names(category, symmetric_about_y=symmetric_about_y)
            parts = part_frames(light.vertices, light.faces, names)
        if light is None or p.shape == "primitive":
            primitive = bounding_primitive(
                dimensions_m, symmetric_about_y=symmetric_about_y, padding_m=p.padding_m
            )
            return CollisionShape(primitive, parts)
        geometry = self._hull(light) if p.shape == "convex" else light
        return CollisionShape(padded(geometry, p.padding_m), parts)

    def _hull(self, mesh: TriangleMesh) -> TriangleMesh:
        """The convex hull; of an open mesh it may have more triangles than the mesh itself."""
        hull = convex_hull(mesh)
        most = self._parameters.max_triangles
        return hull if len(hull.faces) <= most else convex_hull(decimated(hull, most))

    def _names(self, category: str, *, symmetric_about_y: bool) -> list[str]:
        """The parts of a category; without the handle if its direction is unknown."""
        if category not in self._categories:
            return []
        names = self._categories[category].frames
        return [x for x in names if not (x == _HANDLE and symmetric_about_y)]
