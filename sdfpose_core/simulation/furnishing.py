"""Things without a category in random scenes: tables, rooms, slabs, props, occluders, fingers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.shapes.model import CadModel
from sdfpose_core.simulation import primitives
from sdfpose_core.simulation.paint import Paint
from sdfpose_core.simulation.rotations import yaw
from sdfpose_core.simulation.scene import SceneObject

__all__ = [
    "FLOOR_M",
    "HALF_FLOOR_M",
    "HALF_WALL_M",
    "Disc",
    "desk_and_wall",
    "fingers",
    "floor",
    "prop",
    "random_colour",
    "random_primitive",
    "random_room",
    "random_slab",
    "random_table",
    "table_paint",
    "wall",
]

FLOOR_M = -0.75
"""Height of the floor relative to the table top."""

HALF_FLOOR_M = 0.01
HALF_WALL_M = 0.01
"""Half of the thickness of floors and walls."""

_SLAB_M = (0.002, 0.03)
"""Thickness of sheets, books, boards and trays."""

_SLAB_ATTEMPTS = 20


@dataclass(frozen=True)
class Disc:
    """Circle on the table that encloses things that stand there.

    Attributes:
        centre: (2,) x and z, metres.
        radius_m: radius.
    """

    centre: NDArray[np.float64]
    radius_m: float

    @classmethod
    def around(cls, vertices: NDArray[np.float64]) -> Disc:
        """Circle about the centre of the box of vertices (N, 3), seen from above."""
        flat = vertices[:, [0, 2]]
        centre = 0.5 * (flat.min(axis=0) + flat.max(axis=0))
        return cls(centre, float(np.hypot(*(flat - centre).T).max()))


def random_primitive(rng: np.random.Generator) -> CadModel:
    """Draw an occluder: a box, a book, a ball or a tin."""
    kind = int(rng.integers(4))
    if kind == 0:
        return primitives.box(*rng.uniform(0.03, 0.2, size=3))
    if kind == 1:
        return primitives.box(rng.uniform(0.12, 0.22), rng.uniform(0.008, 0.05), 0.25)
    if kind == 2:
        return primitives.sphere(rng.uniform(0.02, 0.08))
    return primitives.cylinder(rng.uniform(0.015, 0.07), rng.uniform(0.04, 0.28))


def random_table(rng: np.random.Generator, reach: float) -> SceneObject:
    """Draw a table that supports everything within `reach` of the middle, metres."""
    thickness = rng.uniform(0.01, 0.06)
    if rng.random() < 0.2:
        model = primitives.cylinder(reach + rng.uniform(0.05, 0.5), thickness)
    else:
        sides = 2.0 * reach + rng.uniform(0.05, 1.2, size=2)
        model = primitives.box(sides[0], thickness, sides[1])
    paint = table_paint(rng)
    turn = yaw(rng.uniform(0.0, 2.0 * np.pi))
    return SceneObject(0, "", model, turn, np.array([0.0, -0.5 * thickness, 0.0]), paint)


def table_paint(rng: np.random.Generator) -> Paint:
    """Draw the surface of a table: plain, or wood."""
    base, accent = random_colour(rng), random_colour(rng)
    return Paint(base, "wood" if rng.random() < 0.5 else "plain", accent)


def random_room(rng: np.random.Generator) -> list[SceneObject]:
    """Draw a floor and up to two walls."""
    parts = [floor(rng)]
    first = rng.uniform(0.0, 2.0 * np.pi)
    for turn in (0.0, 0.5 * np.pi)[: int(rng.integers(3))]:
        parts.append(wall(rng, yaw(first + turn), rng.uniform(2.2, 4.5)))
    return parts


def desk_and_wall(rng: np.random.Generator, reach: float) -> tuple[SceneObject, list[SceneObject]]:
    """Draw a desk hardly larger than `reach`, metres, before a wall, and a floor.

    Returns:
        The desk, and floor and wall.
    """
    turn = yaw(rng.uniform(0.0, 2.0 * np.pi))
    thickness = rng.uniform(0.01, 0.06)
    x_m, z_m = 2.0 * reach + rng.uniform(0.01, 0.25, size=2)
    where = np.array([0.0, -0.5 * thickness, 0.0])
    model = primitives.box(x_m, thickness, z_m)
    desk = SceneObject(0, "", model, turn, where, table_paint(rng))
    behind = wall(rng, turn, 0.5 * z_m + HALF_WALL_M + rng.uniform(0.0, 0.15))
    return desk, [floor(rng), behind]


def floor(rng: np.random.Generator, height_m: float = FLOOR_M) -> SceneObject:
    """Create a floor whose middle is at a height, metres."""
    where = np.array([0.0, height_m, 0.0])
    model = primitives.box(12.0, 2.0 * HALF_FLOOR_M, 12.0)
    return SceneObject(0, "", model, np.eye(3), where, random_colour(rng))


def wall(rng: np.random.Generator, turn: NDArray[np.float64], distance: float) -> SceneObject:
    """Create a wall at a distance from the middle along the turned -z axis, metres."""
    model = primitives.box(12.0, 3.0, 2.0 * HALF_WALL_M)
    where = turn @ np.array([0.0, 0.75, -distance])
    return SceneObject(0, "", model, turn, where, random_colour(rng))


def random_slab(
    rng: np.random.Generator, discs: Sequence[Disc]
) -> tuple[SceneObject, NDArray[np.bool_]] | None:
    """Draw a sheet, book, board or tray that lies under things on the table, or beside them.

    Args:
        rng: source of all random draws.
        discs: circles around the things (D) on the table.

    Returns:
        The slab on the table, and which things (D) stand on it; the circles of the others do not
        touch it. None if there is no place.
    """
    centres = np.stack([x.centre for x in discs])
    radii = np.array([x.radius_m for x in discs])
    thickness = float(np.exp(rng.uniform(*np.log(_SLAB_M))))
    under = rng.random() < 0.5
    for _ in range(_SLAB_ATTEMPTS):
        near = int(rng.integers(len(discs)))
        half, way = rng.uniform(0.04, 0.18, size=2), rng.uniform(0.0, 2.0 * np.pi)
        turn = yaw(rng.uniform(0.0, 2.0 * np.pi))
        if under:
            half = radii[near] + 0.7 * half
            away = 0.0
        else:
            away = radii[near] + rng.uniform(0.7, 1.2) * float(half.max())
        centre = centres[near] + away * np.array([np.cos(way), np.sin(way)])
        offset = np.abs((centres - centre) @ turn[np.ix_([0, 2], [0, 2])])
        on = (offset + radii[:, None] <= half).all(axis=1)
        beside = np.linalg.norm(np.maximum(offset - half, 0.0), axis=1) >= radii
        if (on | beside).all() and on.any() == under:
            model = primitives.box(2.0 * half[0], thickness, 2.0 * half[1])
            where = np.array([centre[0], 0.5 * thickness, centre[1]])
            return SceneObject(0, "", model, turn, where, random_colour(rng)), on
    return None


def prop(
    rng: np.random.Generator, item: SceneObject, direction: NDArray[np.float64]
) -> SceneObject:
    """Create an upright box on the table that a leaning object touches.

    Args:
        rng: source of all random draws.
        item: the object, on the table.
        direction: (3,) horizontal unit vector, world frame, toward which the object leans.
    """
    v = item.vertices
    height = float(rng.uniform(0.3, 1.3) * v[:, 1].max())
    face = float((v[v[:, 1] <= max(height, v[:, 1].min() + 1e-6)] @ direction).max())
    depth, width = rng.uniform(0.01, 0.12), rng.uniform(0.05, 0.2)
    side = np.cross([0.0, 1.0, 0.0], direction)
    where = (face + 0.5 * depth) * direction + (item.translation @ side) * side
    turn = np.stack([side, np.array([0.0, 1.0, 0.0]), direction], axis=1)
    where[1] = 0.5 * height
    model = primitives.box(width, height, depth)
    return SceneObject(0, "", model, turn, where, random_colour(rng))


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
        bars.append(SceneObject(0, "", bar, frame, held.translation + offset, random_colour(rng)))
    return bars


def random_colour(rng: np.random.Generator) -> tuple[int, int, int]:
    """Draw an RGB colour."""
    r, g, b = (int(x) for x in rng.integers(30, 240, size=3))
    return r, g, b
