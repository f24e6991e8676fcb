"""Random scenes and views for training pose encoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.simulation import primitives
from sdfpose_core.simulation.paint import Paint
from sdfpose_core.simulation.rotations import about, random_rotation, yaw
from sdfpose_core.simulation.scene import CameraPose, Scene, SceneObject

__all__ = [
    "SceneStyle",
    "cluttered_table",
    "fingers",
    "random_camera",
    "random_scene",
    "random_view",
]

_RESOLUTIONS = ((640, 480), (640, 480), (640, 360), (424, 240), (320, 240))
_FIELD_OF_VIEW_DEG = (45.0, 75.0)
"""Range of the horizontal field of view."""

_ELEVATION_DEG = (5.0, 85.0)
_DISTANCE_M = (0.35, 1.5)
_DISTANCE_PER_DIAGONAL = 1.9
"""Minimum distance in diagonals, so that the whole object fits into the image."""

_ROLL_SD_DEG = 6.0
_FLOOR_M = -0.75
"""Height of the floor relative to the table top."""

_PLACE_ATTEMPTS = 30


@dataclass(frozen=True)
class SceneStyle:
    """Parameters of random scenes.

    Attributes:
        objects: minimum and maximum number of objects with a category.
        occluders: maximum number of boxes, spheres and cylinders among them.
        held: probability of a scene without a table, with arbitrarily rotated objects.
        lying: probability that a bottle, can, mug or camera on a table lies on its side.
        upside_down: probability that an object on a table is upside down (never laptops).
        tilt_deg: standard deviation of the tilt of standing objects, which may lean.
        scale_log_sd: standard deviation of the logarithm of a random scale factor.
        crowding: 0 to 1, how close together objects are.
    """

    objects: tuple[int, int] = (3, 7)
    occluders: int = 3
    held: float = 0.15
    lying: float = 0.18
    upside_down: float = 0.02
    tilt_deg: float = 1.5
    scale_log_sd: float = 0.06
    crowding: float = 0.6


def random_scene(
    rng: np.random.Generator,
    models: Mapping[str, Sequence[CadModel]],
    style: SceneStyle | None = None,
    *,
    focus: str | None = None,
) -> Scene:
    """Create a random scene: a cluttered table, or objects held in the air.

    Args:
        rng: source of all random draws.
        models: models to choose from, by category.
        style: parameters of the scene.
        focus: a category to which more than half of the objects belong.

    Returns:
        Scene with mask ids from 1 on. Objects on a table do not penetrate each other: their
        circumscribed circles on the table are disjoint.
    """
    style = style or SceneStyle()
    count = int(rng.integers(style.objects[0], style.objects[1] + 1))
    names = list(models)
    chosen = [
        focus if focus is not None and (i == 0 or rng.random() < 0.6) else str(rng.choice(names))
        for i in range(count)
    ]
    picked = [models[name][int(rng.integers(len(models[name])))] for name in chosen]
    if rng.random() < style.held:
        return _held_scene(rng, chosen, picked, style)
    return cluttered_table(rng, chosen, picked, style)


def random_camera(rng: np.random.Generator, largest_width: int = 640) -> PinholeCamera:
    """Draw intrinsics and size of a camera, at most `largest_width` pixels wide."""
    width, height = _RESOLUTIONS[int(rng.integers(len(_RESOLUTIONS)))]
    if width > largest_width:
        width, height = largest_width, round(height * largest_width / width)
    focal = 0.5 * width / np.tan(0.5 * np.deg2rad(rng.uniform(*_FIELD_OF_VIEW_DEG)))
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
    camera: PinholeCamera | None = None,
    largest_width: int = 640,
) -> tuple[PinholeCamera, CameraPose]:
    """Draw a camera above the table that looks at one of the objects.

    Args:
        rng: source of all random draws.
        scene: scene to look at.
        target: object near the image's centre; random by default.
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
    distance = float(np.exp(rng.uniform(np.log(nearest), np.log(farthest))))
    low, high = _ELEVATION_DEG
    elevation = np.deg2rad(low + (high - low) * rng.beta(1.5, 1.8))
    if scene.table is None and rng.random() < 0.3:
        elevation = -elevation
    azimuth = rng.uniform(0.0, 2.0 * np.pi)
    direction = np.array(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.sin(elevation),
            np.cos(elevation) * np.sin(azimuth),
        ]
    )
    aim = item.translation + rng.normal(size=3) * (0.5 * diagonal, 0.25 * diagonal, 0.5 * diagonal)
    eye = item.translation + distance * direction
    if scene.table is not None:
        eye[1] = max(eye[1], 0.03)
    roll = np.deg2rad(_ROLL_SD_DEG) * rng.normal()
    return camera, CameraPose.look_at(eye, aim, float(roll))


def cluttered_table(
    rng: np.random.Generator,
    categories: Sequence[str],
    models: Sequence[CadModel],
    style: SceneStyle,
) -> Scene:
    """Place objects and occluders on a table in a room, as in `random_scene`.

    Args:
        rng: source of all random draws.
        categories: categories of the objects, whose mask ids count from 1.
        models: models of the objects.
        style: parameters of the scene; `objects` and `held` are ignored.
    """
    occluders = [_random_primitive(rng) for _ in range(int(rng.integers(style.occluders + 1)))]
    entries: list[tuple[int, str, CadModel, NDArray[np.float64], float]] = []
    for i, (category, model) in enumerate(zip(categories, models, strict=True), start=1):
        size = float(np.exp(style.scale_log_sd * rng.normal()))
        entries.append((i, category, model, _resting_rotation(rng, category, style), size))
    for model in occluders:
        entries.append((0, "", model, yaw(rng.uniform(0.0, 2.0 * np.pi)), 1.0))
    rng.shuffle(entries)

    placed: list[tuple[NDArray[np.float64], float]] = []
    objects: list[SceneObject] = []
    for mask_id, category, model, rotation, size in entries:
        v = size * (model.vertices @ rotation.T)
        low, high = v.min(axis=0), v.max(axis=0)
        centre = 0.5 * (low + high)
        radius = float(np.hypot(v[:, 0] - centre[0], v[:, 2] - centre[2]).max())
        spot = _free_spot(rng, placed, radius, style.crowding)
        placed.append((spot, radius))
        where = np.array([spot[0] - centre[0], -low[1], spot[1] - centre[2]])
        objects.append(
            SceneObject(mask_id, category, model, rotation, where, _random_colour(rng), size)
        )
    reach = max(float(np.linalg.norm(spot)) + radius for spot, radius in placed)
    table = _random_table(rng, reach)
    return Scene([*objects, *_room(rng)], table)


def _held_scene(
    rng: np.random.Generator,
    categories: Sequence[str],
    models: Sequence[CadModel],
    style: SceneStyle,
) -> Scene:
    """Create a scene of arbitrarily rotated objects, some of them held by fingers."""
    objects: list[SceneObject] = []
    placed: list[tuple[NDArray[np.float64], float]] = []
    for i, (category, model) in enumerate(zip(categories, models, strict=True), start=1):
        size = float(np.exp(style.scale_log_sd * rng.normal()))
        radius = 0.5 * size * model.diagonal_m
        spot = _free_spot(rng, placed, radius, style.crowding)
        placed.append((spot, radius))
        where = np.array([spot[0], rng.normal(0.0, 0.08), spot[1]])
        rotation = random_rotation(rng)
        objects.append(SceneObject(i, category, model, rotation, where, _random_colour(rng), size))
        if rng.random() < 0.5:
            objects += fingers(rng, objects[-1], random_rotation(rng))
    room = _room(rng) if rng.random() < 0.7 else []
    return Scene([*objects, *room])


def _resting_rotation(
    rng: np.random.Generator, category: str, style: SceneStyle
) -> NDArray[np.float64]:
    """Draw an upright, lying or upside down rotation with random yaw and slight tilt."""
    turn = yaw(rng.uniform(0.0, 2.0 * np.pi))
    tilt_axis = rng.uniform(0.0, 2.0 * np.pi)
    tilt = about(
        np.array([np.cos(tilt_axis), 0.0, np.sin(tilt_axis)]),
        np.deg2rad(style.tilt_deg) * rng.normal(),
    )
    draw = rng.random()
    if category == "laptop":
        return turn
    if category == "camera" and draw < style.lying:
        # On its back, on its lens, or on a side.
        axis, angle = [(2, 0.5), (2, -0.5), (0, 0.5), (0, -0.5)][int(rng.integers(4))]
        return np.asarray(turn @ tilt @ about(np.eye(3)[axis], angle * np.pi))
    if category in ("bottle", "can", "mug") and draw < style.lying:
        spin = yaw(rng.uniform(0.0, 2.0 * np.pi))
        return np.asarray(turn @ tilt @ about(np.eye(3)[0], 0.5 * np.pi) @ spin)
    if draw > 1.0 - style.upside_down:
        return np.asarray(tilt @ turn @ about(np.eye(3)[0], np.pi))
    return np.asarray(tilt @ turn)


def _free_spot(
    rng: np.random.Generator,
    placed: Sequence[tuple[NDArray[np.float64], float]],
    radius: float,
    crowding: float,
) -> NDArray[np.float64]:
    """Find the centre (2,) of a circle near the middle that touches no placed circle."""
    reach = 0.08 + 0.25 * (1.0 - crowding)
    while True:
        for _ in range(_PLACE_ATTEMPTS):
            spot = rng.normal(size=2) * reach
            if all(np.hypot(*(spot - other)) > radius + r for other, r in placed):
                return np.asarray(spot)
        reach *= 1.3


def _random_primitive(rng: np.random.Generator) -> CadModel:
    """Draw an occluder: a box, a book, a ball or a tin."""
    kind = int(rng.integers(4))
    if kind == 0:
        return primitives.box(*rng.uniform(0.03, 0.2, size=3))
    if kind == 1:
        return primitives.box(rng.uniform(0.12, 0.22), rng.uniform(0.008, 0.05), 0.25)
    if kind == 2:
        return primitives.sphere(rng.uniform(0.02, 0.08))
    return primitives.cylinder(rng.uniform(0.015, 0.07), rng.uniform(0.04, 0.28))


def _random_table(rng: np.random.Generator, reach: float) -> SceneObject:
    """Draw a table that supports everything within `reach` of the middle."""
    thickness = rng.uniform(0.01, 0.06)
    if rng.random() < 0.2:
        model = primitives.cylinder(reach + rng.uniform(0.05, 0.5), thickness)
    else:
        sides = 2.0 * reach + rng.uniform(0.05, 1.2, size=2)
        model = primitives.box(sides[0], thickness, sides[1])
    base, accent = _random_colour(rng), _random_colour(rng)
    paint = Paint(base, "wood" if rng.random() < 0.5 else "plain", accent)
    turn = yaw(rng.uniform(0.0, 2.0 * np.pi))
    return SceneObject(0, "", model, turn, np.array([0.0, -0.5 * thickness, 0.0]), paint)


def _room(rng: np.random.Generator) -> list[SceneObject]:
    """Draw a floor and up to two walls."""
    floor = primitives.box(12.0, 0.02, 12.0)
    parts = [
        SceneObject(0, "", floor, np.eye(3), np.array([0.0, _FLOOR_M, 0.0]), _random_colour(rng))
    ]
    first = rng.uniform(0.0, 2.0 * np.pi)
    for turn in (0.0, 0.5 * np.pi)[: int(rng.integers(3))]:
        rotation = yaw(first + turn)
        where = rotation @ np.array([0.0, 0.75, -rng.uniform(2.2, 4.5)])
        wall = primitives.box(12.0, 3.0, 0.02)
        parts.append(SceneObject(0, "", wall, rotation, where, _random_colour(rng)))
    return parts


def fingers(
    rng: np.random.Generator, held: SceneObject, frame: NDArray[np.float64]
) -> list[SceneObject]:
    """Create two to four bars that grip an object, reaching into its box from one side.

    Args:
        rng: source of all random draws.
        held: the object.
        frame: R (3, 3), hand to world frame; the fingers point along its -y.
    """
    size = 0.5 * float(np.linalg.norm(held.dimensions_m))
    bars = []
    for _ in range(int(rng.integers(2, 5))):
        bar = primitives.cylinder(rng.uniform(0.006, 0.014), rng.uniform(0.06, 0.14), segments=16)
        offset = frame @ np.array(
            [rng.normal(0.0, 0.3 * size), 0.9 * size, rng.normal(0.0, 0.5 * size)]
        )
        bars.append(SceneObject(0, "", bar, frame, held.translation + offset, _random_colour(rng)))
    return bars


def _random_colour(rng: np.random.Generator) -> tuple[int, int, int]:
    r, g, b = (int(x) for x in rng.integers(30, 240, size=3))
    return r, g, b
