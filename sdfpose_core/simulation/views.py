"""Random views of scenes, ordinary and hard ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import Categories, default_categories
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.simulation import primitives
from sdfpose_core.simulation.furnishing import random_colour
from sdfpose_core.simulation.rotations import about
from sdfpose_core.simulation.scene import CameraPose, Scene, SceneObject
from sdfpose_core.simulation.scenes import has_front

__all__ = ["hard_view", "random_camera", "random_intrinsics", "random_view"]

_RESOLUTIONS = ((640, 480), (640, 480), (640, 360), (424, 240), (320, 240))
_FIELD_OF_VIEW_DEG = (45.0, 75.0)
"""Range of the horizontal field of view."""

_ELEVATION_DEG = (5.0, 85.0)
_DISTANCE_M = (0.35, 1.5)
_DISTANCE_PER_DIAGONAL = 1.9
"""Minimum distance in diagonals, so that the whole object fits into the image."""

_ROLL_SD_DEG = 6.0

_ROOM_M = 2.0
"""Longer things are walls and floors."""

_VIEW_ATTEMPTS = 8

_END_ON = 0.2
"""An axis with a smaller sine to the line of sight is seen end on."""

_SLANT_SD_DEG = 12.0
"""Slant of an occluder's edge."""


def random_camera(rng: np.random.Generator, largest_width: int = 640) -> PinholeCamera:
    """Draw intrinsics and size of a camera, at most `largest_width` pixels wide."""
    width, height = _RESOLUTIONS[int(rng.integers(len(_RESOLUTIONS)))]
    if width > largest_width:
        width, height = largest_width, round(height * largest_width / width)
    return random_intrinsics(rng, width, height, _FIELD_OF_VIEW_DEG)


def random_intrinsics(
    rng: np.random.Generator, width: int, height: int, field_of_view_deg: tuple[float, float]
) -> PinholeCamera:
    """Draw the intrinsics of a camera.

    Args:
        rng: source of all random draws.
        width: of the image, pixels.
        height: of the image, pixels.
        field_of_view_deg: smallest and largest horizontal field of view.
    """
    focal = 0.5 * width / np.tan(0.5 * np.deg2rad(rng.uniform(*field_of_view_deg)))
    return PinholeCamera(
        width,
        height,
        float(focal),
        float(focal * rng.uniform(0.99, 1.01)),
        float(0.5 * (width - 1) + 0.02 * width * rng.normal()),
        float(0.5 * (height - 1) + 0.02 * height * rng.normal()),
    )


def random_view(
    rng: np.random.Generator,
    scene: Scene,
    *,
    target: SceneObject | None = None,
    direction: NDArray[np.float64] | None = None,
    camera: PinholeCamera | None = None,
    largest_width: int = 640,
) -> tuple[PinholeCamera, CameraPose]:
    """Draw a camera above the table that looks at one of the objects.

    Args:
        rng: source of all random draws.
        scene: scene to look at.
        target: object near the image's centre; random by default.
        direction: (3,) unit vector, world frame, from the target to the camera; random by default.
        camera: camera to use; random by default.
        largest_width: maximum image width of a random camera, pixels.

    Returns:
        Camera and its pose. Distances are 0.35 to 1.5 m, larger for large objects; elevations 5 to
        85 degrees, and also from below if there is no table.
    """
    camera = camera or random_camera(rng, largest_width)
    instances = scene.instances
    item = target if target is not None else instances[int(rng.integers(len(instances)))]
    diagonal = float(np.linalg.norm(item.dimensions_m))
    # A narrow field of view needs a larger distance.
    nearest = max(_DISTANCE_M[0], _DISTANCE_PER_DIAGONAL * diagonal * camera.fx / camera.width)
    farthest = max(_DISTANCE_M[1], 1.5 * nearest)
    for _ in range(_VIEW_ATTEMPTS):
        distance = float(np.exp(rng.uniform(np.log(nearest), np.log(farthest))))
        towards = _random_direction(rng, scene) if direction is None else direction
        jitter = rng.normal(size=3) * (0.5 * diagonal, 0.25 * diagonal, 0.5 * diagonal)
        eye = item.translation + distance * towards
        if scene.table is not None:
            eye[1] = max(eye[1], 0.03)
        if not _outside(scene, eye, item.translation):
            break
    roll = np.deg2rad(_ROLL_SD_DEG) * rng.normal()
    return camera, CameraPose.look_at(eye, item.translation + jitter, float(roll))


def _random_direction(rng: np.random.Generator, scene: Scene) -> NDArray[np.float64]:
    """Draw a direction (3,) from an object to the camera."""
    low, high = _ELEVATION_DEG
    elevation = np.deg2rad(low + (high - low) * rng.beta(1.5, 1.8))
    if scene.table is None and rng.random() < 0.3:
        elevation = -elevation
    return _direction(elevation, rng.uniform(0.0, 2.0 * np.pi))


def _outside(scene: Scene, eye: NDArray[np.float64], target: NDArray[np.float64]) -> bool:
    """Check whether a wall, the floor or the table is between the camera and its target."""
    owner = int(scene.cast(eye, (target - eye)[None]).owner[0])
    return owner >= 0 and float(scene.all_objects[owner].dimensions_m.max()) > _ROOM_M


def hard_view(
    rng: np.random.Generator,
    scene: Scene,
    target: SceneObject,
    *,
    camera: PinholeCamera | None = None,
    largest_width: int = 640,
    categories: Categories | None = None,
) -> tuple[Scene, PinholeCamera, CameraPose]:
    """Draw a view in which depth hardly tells the ends of an object apart.

    One of: the object is seen along its y axis; its front (+x) is at the edge of the silhouette or
    just hidden; a thing before it leaves only its upper or lower part visible.

    Args:
        rng: source of all random draws.
        scene: scene to look at.
        target: object to look at.
        camera: camera to use; random by default.
        largest_width: maximum image width of a random camera, pixels.
        categories: the known ones; by default the six shipped ones.

    Returns:
        The scene, with the occluder if there is one, camera and its pose.
    """
    kinds: list[Callable[[np.random.Generator], NDArray[np.float64]] | None] = [None, _along_axis]
    if has_front(target.category, categories or default_categories()):
        kinds.append(_front_hidden)
    kind = kinds[int(rng.integers(len(kinds)))]
    direction = None if kind is None else _above_table(scene, target.rotation @ kind(rng))
    camera, pose = random_view(
        rng, scene, target=target, direction=direction, camera=camera, largest_width=largest_width
    )
    if kind is None:
        board = _occluder(rng, target, pose)
        scene = Scene([*scene.objects, board], scene.table)
    return scene, camera, pose


def _along_axis(rng: np.random.Generator) -> NDArray[np.float64]:
    """Direction (3,) in the object frame near its y axis."""
    return _direction(np.deg2rad(rng.uniform(62.0, 90.0)), rng.uniform(0.0, 2.0 * np.pi))


def _front_hidden(rng: np.random.Generator) -> NDArray[np.float64]:
    """Direction (3,) in the object frame from the side or from behind."""
    azimuth = np.deg2rad(rng.uniform(75.0, 180.0)) * rng.choice([-1.0, 1.0])
    return _direction(np.deg2rad(rng.uniform(5.0, 50.0)), azimuth)


def _direction(elevation: float, azimuth: float) -> NDArray[np.float64]:
    """Unit vector (3,) by its elevation above the plane y = 0 and its azimuth from x toward z."""
    return np.array(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.sin(elevation),
            np.cos(elevation) * np.sin(azimuth),
        ]
    )


def _above_table(scene: Scene, direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn a direction (3,), world frame, so that it is above the table and not vertical."""
    low, high = np.deg2rad(_ELEVATION_DEG)
    elevation = float(np.arcsin(np.clip(direction[1], -1.0, 1.0)))
    if scene.table is not None:
        elevation = abs(elevation)
    else:
        low = -high
    azimuth = float(np.arctan2(direction[2], direction[0]))
    return _direction(float(np.clip(elevation, low, high)), azimuth)


def _occluder(rng: np.random.Generator, target: SceneObject, pose: CameraPose) -> SceneObject:
    """Create a board near the line of sight that hides the lower or the upper part of an object."""
    up = target.rotation[:, 1]
    part = -1.0 if rng.random() < 0.5 else 1.0
    cut = target.translation + rng.uniform(-0.25, 0.25) * target.dimensions_m[1] * up
    sight = cut - pose.translation
    distance = float(np.linalg.norm(sight))
    sight /= distance
    along = part * (up - (up @ sight) * sight)
    if np.linalg.norm(along) < _END_ON:
        along = part * pose.rotation[:, 1]
        along = along - (along @ sight) * sight
    along = about(sight, np.deg2rad(_SLANT_SD_DEG) * rng.normal()) @ along
    along /= np.linalg.norm(along)
    diagonal = float(np.linalg.norm(target.dimensions_m))
    nearness = max(1.0 - diagonal * rng.uniform(0.55, 1.0) / distance, 0.4)
    length, width = nearness * diagonal * rng.uniform((0.8, 0.9), (1.6, 2.0))
    model = primitives.box(float(width), float(length), rng.uniform(0.004, 0.04))
    rotation = np.stack([np.cross(along, sight), along, sight], axis=1)
    where = pose.translation + nearness * distance * sight + 0.5 * length * along
    return SceneObject(0, "", model, rotation, where, random_colour(rng))
