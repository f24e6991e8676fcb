"""Rooms for clutter: tables, desks with boards, steps, uneven covers, shelves, floors, corners.

What makes up a room has no mask id. Each room has one or more supports on which things are placed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from manifold3d import Manifold
from numpy.typing import NDArray

from sdfpose_core.shapes.model import CadModel
from sdfpose_core.shapes.solids import triangles
from sdfpose_core.simulation import primitives
from sdfpose_core.simulation.furnishing import (
    FLOOR_M,
    HALF_FLOOR_M,
    HALF_WALL_M,
    desk_and_wall,
    floor,
    random_colour,
    random_room,
    random_table,
    table_paint,
    wall,
)
from sdfpose_core.simulation.placement import Footprint, Support
from sdfpose_core.simulation.rotations import yaw
from sdfpose_core.simulation.scene import SceneObject

__all__ = ["ROOM_KINDS", "ClutterRoom", "RoomKind", "clutter_room"]

RoomKind = Literal["table", "desk", "steps", "uneven", "shelf", "floor"]

_MARGIN_M = 0.3
"""Border of that region into which large things may reach."""

_ON_TABLE_M = (-0.12, 0.35)
"""Heights relative to the table's top between which things may stand."""

_BOARD_ATTEMPTS = 12
_UNEVEN_WAVES = 7
_UNEVEN_STEP_M = 0.035
_UNEVEN_TOP_M = 0.02
"""Largest height of an uneven cover."""

_STEP_REACH_M = 0.4
"""Steps are as large as furniture, so that they are not taken for things."""

_SOFTNESS_M = 0.003

_BEHIND_M = (0.05, 1.4)
"""Distance of furniture from what things are placed on."""


@dataclass(frozen=True)
class ClutterRoom:
    """Furniture, and where things are placed on it.

    Attributes:
        furniture: all objects of the room except the table.
        table: table with its top in the plane y = 0, if there is one.
        supports: surfaces on which things are placed, the main ones first.
        main: number of main surfaces; most things stand on them.
    """

    furniture: list[SceneObject]
    table: SceneObject | None
    supports: list[Support]
    main: int = 1


def clutter_room(rng: np.random.Generator, kind: RoomKind, reach: float) -> ClutterRoom:
    """Draw a room.

    Args:
        rng: source of all random draws.
        kind: what things are placed on.
        reach: half of the side of the region for things, metres.
    """
    room = ROOM_KINDS[kind](rng, reach)
    if kind != "shelf":
        _furnish(rng, room, reach)
    return room


def _table(rng: np.random.Generator, reach: float) -> ClutterRoom:
    """A table in a room."""
    table = random_table(rng, reach)
    mats = _boards(rng, [table], reach, int(rng.integers(3)) * (rng.random() < 0.4))
    parts = [*mats, *_legs(rng, table), *random_room(rng)]
    return ClutterRoom(parts, table, [_support([table, *mats], reach)])


def _desk(rng: np.random.Generator, reach: float) -> ClutterRoom:
    """A desk before a wall, with boards, mats and stands on it."""
    table, surroundings = desk_and_wall(rng, reach)
    boards = _boards(rng, [table], reach, int(rng.integers(1, 6)))
    support = _support([table, *boards, *surroundings], reach)
    return ClutterRoom([*boards, *_legs(rng, table), *surroundings], table, [support])


def _legs(rng: np.random.Generator, table: SceneObject) -> list[SceneObject]:
    """What a table stands on: legs, panels, a column, a cabinet, or nothing."""
    x, thick, z = (float(v) for v in table.dimensions_m)
    tall = -FLOOR_M - thick
    colour, wide = random_colour(rng), float(rng.uniform(0.03, 0.08))
    reach = (0.33, 0.33) if table.model.name == "cylinder" else (0.47, 0.45)
    kinds: dict[str, tuple[tuple[float, float], list[tuple[float, float]]]] = {
        "legs": ((wide, wide), [(i * reach[0], j * reach[1]) for i in (-1, 1) for j in (-1, 1)]),
        "panels": ((0.02, 1.9 * reach[1] * z), [(-reach[0], 0.0), (reach[0], 0.0)]),
        "column": ((3.0 * wide, 3.0 * wide), [(0.0, 0.0)]),
        "cabinet": ((1.9 * reach[0] * x, 1.9 * reach[1] * z), [(0.0, 0.0)]),
        "nothing": ((0.0, 0.0), []),
    }
    size, places = kinds[str(rng.choice(tuple(kinds)))]
    middle = -thick - 0.5 * tall
    parts = [_box(rng, (size[0], tall, size[1]), (i * x, middle, j * z), colour) for i, j in places]
    return [_moved(part, table.rotation, np.zeros(3)) for part in parts]


def _boards(
    rng: np.random.Generator, under: list[SceneObject], reach: float, count: int
) -> list[SceneObject]:
    """Boards that lie on furniture or on each other, and stands: boards on two legs."""
    support = _support(under, reach)
    parts: list[SceneObject] = []
    for _ in range(count):
        sides = rng.uniform(0.28, 0.75, size=2)
        thick = float(np.exp(rng.uniform(np.log(0.002), np.log(0.045))))
        items = [_box(rng, (sides[0], thick, sides[1]), (0.0, 0.5 * thick, 0.0))]
        if rng.random() < 0.25:
            tall = rng.uniform(0.06, 0.16)
            sides[1] = min(sides[1], 0.35)
            items = [_box(rng, (sides[0], thick, sides[1]), (0.0, tall + 0.5 * thick, 0.0))]
            for side in (-1.0, 1.0):
                at = (side * (0.5 * sides[0] - 0.02), 0.5 * tall, 0.0)
                items.append(_box(rng, (0.03, tall, sides[1]), at))
        turn = yaw(rng.uniform(0.0, 2.0 * np.pi) if rng.random() < 0.5 else 0.0)
        turn = under[0].rotation @ turn
        items = [_moved(x, turn, np.zeros(3)) for x in items]
        thing = Footprint.of(items)
        for _ in range(_BOARD_ATTEMPTS):
            cell = support.random_cell(rng)
            if thing is not None and support.stable(thing, cell):
                where = support.add(thing, cell)
                parts += [_moved(x, np.eye(3), where) for x in items]
                break
    return parts


def _steps(rng: np.random.Generator, reach: float) -> ClutterRoom:
    """Blocks of different heights side by side: no single plane."""
    reach = max(reach, _STEP_REACH_M)
    cuts = np.cumsum(rng.uniform(0.25, 0.6, size=int(rng.integers(1, 4))))
    cuts -= rng.uniform(0.0, cuts[-1])
    edges = np.concatenate([[cuts[0] - reach - 0.1], cuts, [cuts[-1] + reach + 0.1]])
    tops = rng.uniform(-0.1, 0.3, size=len(edges) - 1)
    tops[int(rng.integers(len(tops)))] = 0.0
    deep = 2.0 * reach + rng.uniform(0.0, 0.4)
    blocks = []
    for left, right, top in zip(edges[:-1], edges[1:], tops, strict=True):
        size = (right - left, top - FLOOR_M, deep + rng.uniform(-0.3, 0.0))
        blocks.append(_box(rng, size, (0.5 * (left + right), 0.5 * (top + FLOOR_M), 0.0)))
    turn = yaw(rng.uniform(0.0, 2.0 * np.pi))
    blocks = [_moved(x, turn, np.zeros(3)) for x in blocks]
    return ClutterRoom([*blocks, *random_room(rng)], None, [_support(blocks, reach)])


def _uneven(rng: np.random.Generator, reach: float) -> ClutterRoom:
    """A crumpled cloth, a bed or a lawn."""
    side = 2.0 * reach + rng.uniform(0.1, 0.8)
    thick = 0.06
    waves = rng.normal(size=(_UNEVEN_WAVES, 2)) * rng.uniform(8.0, 30.0)
    phase = rng.uniform(0.0, 2.0 * np.pi, size=_UNEVEN_WAVES)
    weight = rng.dirichlet(np.ones(_UNEVEN_WAVES)) * rng.uniform(0.3, 1.0) * _UNEVEN_TOP_M

    def crumpled(p: NDArray[np.float64]) -> NDArray[np.float64]:
        height = np.sin(p[:, [0, 2]] @ waves.T + phase) @ weight
        moved = p.copy()
        moved[:, 1] += np.where(p[:, 1] > 0.0, height, 0.0)
        return moved

    solid = Manifold.cube((side, thick, side), True).refine_to_length(_UNEVEN_STEP_M)
    vertices, faces = triangles(solid.warp_batch(crumpled))
    model = CadModel("cover", "", vertices, faces)
    turn = yaw(rng.uniform(0.0, 2.0 * np.pi))
    cover = SceneObject(0, "", model, turn, np.array([0.0, -0.5 * thick, 0.0]), table_paint(rng))
    base = _box(rng, (side, 0.5, side), (0.0, -thick - 0.25, 0.0))
    parts = [cover, _moved(base, turn, np.zeros(3))]
    support = _support([cover], reach, softness_m=_SOFTNESS_M)
    return ClutterRoom([*parts, *random_room(rng)], None, [support])


def _shelf(rng: np.random.Generator, reach: float) -> ClutterRoom:
    """Shelves before a wall, open toward +z, with or without sides and a back."""
    wide, deep = rng.uniform(0.55, 1.1), rng.uniform(0.24, 0.42)
    thick = float(rng.uniform(0.01, 0.03))
    gaps = rng.uniform(0.2, 0.42, size=int(rng.integers(2, 4)))
    levels = np.concatenate([[0.0], np.cumsum(gaps + thick)])
    colour = random_colour(rng)
    parts = [
        _box(rng, (wide, thick, deep), (0.0, level - 0.5 * thick, 0.0), colour) for level in levels
    ]
    tall = levels[-1] + thick
    if rng.random() < 0.75:
        for side in (-0.5, 0.5):
            at = (side * (wide + thick), 0.5 * tall - thick, 0.0)
            parts.append(_box(rng, (thick, tall, deep), at, colour))
    back = 0.5 * deep
    if rng.random() < 0.6:
        at = (0.0, 0.5 * tall - thick, -back - 0.004)
        parts.append(_box(rng, (wide, tall, 0.008), at))
        back += 0.01
    supports = [
        Support.board(np.zeros(2), (wide, deep), level, level + gap)
        for level, gap in zip(levels[:-1], gaps, strict=True)
    ]
    upper = Support.board(np.zeros(2), (wide, deep), float(levels[-1]), np.inf)
    low = float(rng.uniform(-0.9, -0.15))
    room = [floor(rng, low), wall(rng, np.eye(3), back + HALF_WALL_M + rng.uniform(0.0, 0.1))]
    return ClutterRoom([*parts, *room], None, [*supports, upper], len(supports))


def _floor(rng: np.random.Generator, reach: float) -> ClutterRoom:
    """The floor of a room, with up to two walls near by."""
    ground = floor(rng, -HALF_FLOOR_M)
    first = rng.uniform(0.0, 2.0 * np.pi)
    walls = [
        wall(rng, yaw(first + turn), rng.uniform(0.15, 1.3))
        for turn in (0.0, 0.5 * np.pi)[: int(rng.integers(3))]
    ]
    return ClutterRoom(walls, ground, [_support([ground, *walls], reach)])


ROOM_KINDS: Mapping[RoomKind, Callable[[np.random.Generator, float], ClutterRoom]] = {
    "table": _table,
    "desk": _desk,
    "steps": _steps,
    "uneven": _uneven,
    "shelf": _shelf,
    "floor": _floor,
}
"""Builders of rooms, by what things are placed on."""


def _furnish(rng: np.random.Generator, room: ClutterRoom, reach: float) -> None:
    """Add cabinets, benches and chairs around; things may stand on the first cabinet."""
    level = FLOOR_M if room.table is None or room.table.dimensions_m[0] < 10.0 else 0.0
    first = rng.uniform(0.0, 2.0 * np.pi)
    edge = reach + _MARGIN_M
    if level < 0.0 and room.table is not None:
        edge = max(edge, 0.5 * float(np.hypot(*room.table.dimensions_m[[0, 2]])))
    for i in range(int(rng.integers(4))):
        way = first + rng.normal(0.0, 0.6)
        size = rng.uniform((0.3, 0.35, 0.3), (1.2, 1.7, 0.6))
        away = edge + 0.5 * float(np.hypot(size[0], size[2])) + rng.uniform(*_BEHIND_M)
        spot = away * np.array([np.cos(way), np.sin(way)])
        where, turn = np.array([spot[0], level, spot[1]]), yaw(rng.uniform(0.0, 2.0 * np.pi))
        parts = _chair(rng) if rng.random() < 0.3 else _cabinet(rng, size)
        parts = [_moved(x, turn, where) for x in parts]
        room.furniture.extend(parts)
        top = level + size[1]
        if i == 0 and len(parts) == 1 and top < 0.6:
            half = 0.5 * size[[0, 2]].min()
            support = Support.seen_from_above(
                parts, spot, float(half), lowest_m=top - 0.05, highest_m=top + 0.05
            )
            room.supports.append(support)


def _cabinet(rng: np.random.Generator, size: NDArray[np.float64]) -> list[SceneObject]:
    """Closed cabinet that stands at the origin, or an open one."""
    x, y, z = (float(v) for v in size)
    if rng.random() < 0.6:
        return [_box(rng, (x, y, z), (0.0, 0.5 * y, 0.0))]
    colour, thick = random_colour(rng), 0.02
    parts = [_box(rng, (x, y, thick), (0.0, 0.5 * y, -0.5 * z), colour)]
    parts += [_box(rng, (thick, y, z), (side * 0.5 * x, 0.5 * y, 0.0), colour)
              for side in (-1.0, 1.0)]  # fmt: skip
    levels = np.linspace(0.05, y, int(rng.integers(2, 5)))
    return [*parts, *(_box(rng, (x, thick, z), (0.0, float(v), 0.0), colour) for v in levels)]


def _chair(rng: np.random.Generator) -> list[SceneObject]:
    """Chair that stands at the origin."""
    side, seat, tall = rng.uniform(0.36, 0.48), rng.uniform(0.4, 0.5), rng.uniform(0.3, 0.55)
    colour = random_colour(rng)
    parts = [
        _box(rng, (side, 0.04, side), (0.0, seat, 0.0), colour),
        _box(rng, (side, tall, 0.03), (0.0, seat + 0.5 * tall, -0.5 * side), colour),
    ]
    parts += [_box(rng, (0.035, seat, 0.035), (x * side, 0.5 * seat, z * side), colour)
              for x in (-0.45, 0.45) for z in (-0.45, 0.45)]  # fmt: skip
    return parts


def _support(furniture: list[SceneObject], reach: float, softness_m: float = 0.0) -> Support:
    low, high = _ON_TABLE_M
    return Support.seen_from_above(
        furniture,
        np.zeros(2),
        reach,
        margin_m=_MARGIN_M,
        lowest_m=low,
        highest_m=high,
        softness_m=softness_m,
    )


def _box(
    rng: np.random.Generator,
    size: tuple[float, float, float],
    where: tuple[float, float, float],
    colour: tuple[int, int, int] | None = None,
) -> SceneObject:
    """Box of furniture in a random colour unless one is given."""
    model = primitives.box(*size)
    return SceneObject(0, "", model, np.eye(3), np.array(where), colour or random_colour(rng))


def _moved(item: SceneObject, turn: NDArray[np.float64], shift: NDArray[np.float64]) -> SceneObject:
    """Turn an object about the origin, then shift it."""
    where = turn @ item.translation + shift
    return SceneObject(0, "", item.model, turn @ item.rotation, where, item.colour)
