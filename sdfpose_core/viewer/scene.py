"""Description of a scene by values: what is shown where, in metres and in the camera frame.

The description knows nothing of how it is drawn; `ViserScene` draws it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import Categories
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import Alternative, ObjectEstimate
from sdfpose_core.observation.support_plane import SupportPlane
from sdfpose_core.viewer.points import PointCloud, point_cloud, selected_points
from sdfpose_core.viewer.views import FrameView, ObjectView

__all__ = [
    "Ellipsoid",
    "Ghost",
    "PlanePatch",
    "Scene",
    "SceneMesh",
    "SceneObject",
    "box_edges",
    "covariance_ellipsoid",
    "describe_scene",
]

Colour = tuple[int, int, int]
"""RGB, 0 to 255."""

_UNKNOWN_COLOUR: Colour = (160, 160, 160)

_QUANTILE_SDS = math.sqrt(7.8147)
"""Radius of the ball that holds 95 % of a normal distribution in three dimensions: the root of the
chi-squared distribution's quantile with three degrees of freedom."""

_MIN_PROBABILITY = 0.05
"""Less likely alternatives are not shown."""

_MAX_POINTS = 24_000
_BOX_MARGIN_M = 0.004
"""Points this far outside the box of an object belong to it."""

_AXES_SHARE = 0.5
"""Length of an object's axes, in diagonals of its box."""

_PATCH_MARGIN_M = 0.15
_MIN_PATCH_M, _MAX_PATCH_M = 0.6, 3.0

# Corner k of a box has the signs of k's bits: +x for bit 0, +y for bit 1, +z for bit 2.
_SIGNS = np.array([[1 if k >> axis & 1 else -1 for axis in range(3)] for k in range(8)])
_EDGES = [(k, k | 1 << axis) for k in range(8) for axis in range(3) if not k >> axis & 1]


@dataclass(frozen=True)
class SceneMesh:
    """A reconstructed surface.

    Attributes:
        revision: changes with the surface.
        vertices: (V, 3) float32, metres, object frame.
        faces: (F, 3) int32.
        normals: (V, 3) float32, outward unit vectors.
        colours: (V, 3) uint8, RGB.
    """

    revision: int
    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    normals: NDArray[np.float32]
    colours: NDArray[np.uint8]


@dataclass(frozen=True)
class Ellipsoid:
    """The region that holds the object's centre with a probability of 95 %.

    Attributes:
        rotation: (3, 3), its axes as columns, camera frame.
        radii_m: (3,) half axes.
    """

    rotation: NDArray[np.float64]
    radii_m: NDArray[np.float64]


@dataclass(frozen=True)
class Ghost:
    """A rival mode of an object.

    Attributes:
        label: category and probability.
        colour: of the category.
        rotation: (3, 3), object to camera frame.
        translation: (3,).
        dimensions_m: (3,) sides of the box.
        mesh_scale: (3,) factors that stretch the object's mesh to this box; None if the mode has
            another category, so that its surface is not known.
    """

    label: str
    colour: Colour
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    dimensions_m: NDArray[np.float64]
    mesh_scale: NDArray[np.float64] | None


@dataclass(frozen=True)
class SceneObject:
    """An object.

    Attributes:
        id: of the object.
        label: text beside it.
        colour: of its category.
        rotation: (3, 3), object to camera frame.
        translation: (3,): centre of the box.
        dimensions_m: (3,) sides of the box.
        axes_length_m: length of the drawn axes.
        mesh: its surface; None if there is none.
        ellipsoid: uncertainty of its centre; None if it is not known or zero.
        ghosts: its likely rival modes.
    """

    id: int
    label: str
    colour: Colour
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    dimensions_m: NDArray[np.float64]
    axes_length_m: float
    mesh: SceneMesh | None
    ellipsoid: Ellipsoid | None
    ghosts: tuple[Ghost, ...]


@dataclass(frozen=True)
class PlanePatch:
    """The part of the table that is shown.

    Attributes:
        rotation: (3, 3): the second column is the normal.
        centre: (3,).
        side_m: of the square.
    """

    rotation: NDArray[np.float64]
    centre: NDArray[np.float64]
    side_m: float


@dataclass(frozen=True)
class Scene:
    """All that is shown in three dimensions.

    Attributes:
        objects: the objects.
        cloud: the points of the depth image outside the objects; None without images.
        object_cloud: those inside the boxes of the objects.
        plane: the table; None if it is not known.
        camera: intrinsics of the camera at the origin; None without images.
        centre: (3,) the point to look at.
    """

    objects: tuple[SceneObject, ...]
    cloud: PointCloud | None
    object_cloud: PointCloud | None
    plane: PlanePatch | None
    camera: PinholeCamera | None
    centre: NDArray[np.float64]


def describe_scene(
    view: FrameView, categories: Categories, *, max_points: int = _MAX_POINTS
) -> Scene:
    """Describe an image and its objects as a scene.

    Objects whose pose is not finite are left out.

    Args:
        view: the image and its objects.
        categories: provide the colours; unknown categories are grey.
        max_points: largest number of points of the cloud.
    """
    shown = [x for x in view.objects if _is_finite(x.estimate)]
    objects = tuple(_object(x, categories) for x in shown)
    cloud = None if view.frame is None else point_cloud(view.frame, max_points)
    places = [x.translation for x in objects]
    if places:
        centre = np.mean(places, axis=0)
    else:
        centre = np.array([0.0, 0.0, 1.0]) if cloud is None else cloud.centre
    inside = None if cloud is None else _inside_boxes(cloud.centre + cloud.points, objects)
    plane = None if view.plane is None else _patch(view.plane, places, centre)
    camera = None if view.frame is None else view.frame.camera
    outside = None if inside is None else ~inside
    return Scene(
        objects,
        selected_points(cloud, outside),
        selected_points(cloud, inside),
        plane,
        camera,
        centre,
    )


def covariance_ellipsoid(covariance: NDArray[np.floating]) -> Ellipsoid | None:
    """Region that holds a centre with 95 %, from the covariance (6, 6) of its pose.

    Returns:
        The ellipsoid; None if the covariance of the position is zero or not finite.
    """
    position = np.asarray(covariance, dtype=np.float64)[:3, :3]
    if not np.all(np.isfinite(position)) or not np.any(position):
        return None
    variances, axes = np.linalg.eigh(0.5 * (position + position.T))
    if np.linalg.det(axes) < 0.0:
        axes[:, 0] *= -1.0
    return Ellipsoid(axes, _QUANTILE_SDS * np.sqrt(np.maximum(variances, 0.0)))


def box_edges(dimensions_m: NDArray[np.floating]) -> NDArray[np.float32]:
    """Ends (12, 2, 3) of a box's edges, metres, object frame."""
    corners = 0.5 * _SIGNS * np.asarray(dimensions_m, dtype=np.float64)
    return corners[np.array(_EDGES)].astype(np.float32)


def _inside_boxes(
    points: NDArray[np.floating], objects: Sequence[SceneObject]
) -> NDArray[np.bool_]:
    """Select the points (N, 3) inside the box of an object, a little enlarged."""
    inside = np.zeros(len(points), dtype=np.bool_)
    for x in objects:
        local = np.abs((points - x.translation) @ x.rotation)
        inside |= (local <= 0.5 * x.dimensions_m + _BOX_MARGIN_M).all(axis=1)
    return inside


def _object(view: ObjectView, categories: Categories) -> SceneObject:
    estimate = view.estimate
    colour = _colour(estimate.category, categories)
    return SceneObject(
        id=view.id,
        label=f"{estimate.category} {view.id}  {_standing(view)}",
        colour=colour,
        rotation=np.asarray(estimate.rotation, dtype=np.float64),
        translation=np.asarray(estimate.translation, dtype=np.float64),
        dimensions_m=np.asarray(estimate.dimensions_m, dtype=np.float64),
        axes_length_m=_AXES_SHARE * float(np.linalg.norm(estimate.dimensions_m)),
        mesh=_mesh(view, colour),
        ellipsoid=covariance_ellipsoid(estimate.covariance),
        ghosts=tuple(
            _ghost(x, estimate, categories)
            for x in estimate.alternatives
            if x.probability >= _MIN_PROBABILITY
        ),
    )


def _standing(view: ObjectView) -> str:
    """State of an object that is not seen, or else the confidence."""
    unseen = view.state in ("lost", "unobserved", "ground truth")
    return view.state if unseen else f"{100.0 * view.estimate.confidence:.0f} %"


def _mesh(view: ObjectView, colour: Colour) -> SceneMesh | None:
    estimate = view.estimate
    count = len(estimate.vertices)
    if not count or not len(estimate.faces):
        return None
    colours = view.colours
    if colours is None or len(colours) != count:
        colours = np.tile(np.array(colour, dtype=np.uint8), (count, 1))
    return SceneMesh(view.revision, estimate.vertices, estimate.faces, estimate.normals, colours)


def _ghost(x: Alternative, estimate: ObjectEstimate, categories: Categories) -> Ghost:
    scale = None
    if x.category == estimate.category:
        scale = np.asarray(x.dimensions_m) / np.maximum(estimate.dimensions_m, 1e-9)
    return Ghost(
        label=f"or {x.category} {100.0 * x.probability:.0f} %",
        colour=_colour(x.category, categories),
        rotation=np.asarray(x.rotation, dtype=np.float64),
        translation=np.asarray(x.translation, dtype=np.float64),
        dimensions_m=np.asarray(x.dimensions_m, dtype=np.float64),
        mesh_scale=scale,
    )


def _colour(category: str, categories: Categories) -> Colour:
    return categories[category].colour if category in categories else _UNKNOWN_COLOUR


def _is_finite(x: ObjectEstimate) -> bool:
    return all(bool(np.all(np.isfinite(v))) for v in (x.rotation, x.translation, x.dimensions_m))


def _patch(
    plane: SupportPlane, places: Sequence[NDArray[np.float64]], centre: NDArray[np.float64]
) -> PlanePatch:
    """A square on the plane below the objects, or below the centre of the scene."""
    normal = np.asarray(plane.normal, dtype=np.float64)
    normal /= np.linalg.norm(normal)
    points = np.array(places if len(places) else [centre])
    feet = points - np.outer(points @ normal - plane.offset, normal)
    middle = 0.5 * (feet.min(axis=0) + feet.max(axis=0))
    middle -= (middle @ normal - plane.offset) * normal
    reach = float(np.linalg.norm(feet - middle, axis=1).max())
    side = float(np.clip(2.0 * (reach + _PATCH_MARGIN_M), _MIN_PATCH_M, _MAX_PATCH_M))
    along = np.cross(normal, [0.0, 0.0, 1.0] if abs(normal[2]) < 0.9 else [1.0, 0.0, 0.0])
    along /= np.linalg.norm(along)
    return PlanePatch(np.stack([along, normal, np.cross(along, normal)], axis=1), middle, side)
