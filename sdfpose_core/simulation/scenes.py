"""Random scenes for training pose encoders and for benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import Categories, Resting, default_categories
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.simulation.furnishing import (
    Disc,
    desk_and_wall,
    fingers,
    prop,
    random_colour,
    random_primitive,
    random_room,
    random_slab,
    random_table,
)
from sdfpose_core.simulation.materials import Material, random_material
from sdfpose_core.simulation.placement import resting_rotation
from sdfpose_core.simulation.rotations import about, random_rotation, yaw
from sdfpose_core.simulation.scene import Scene, SceneObject

__all__ = [
    "SceneStyle",
    "cluttered_table",
    "has_front",
    "random_scene",
]

_LEAN_DEG = (5.0, 30.0)
"""Tilt of objects that lean."""

_LEAST_TELLING = 4
"""One in this many models is among those whose ends are the hardest to tell apart."""

_MOST_SLABS = 3
_PLACE_ATTEMPTS = 30


@dataclass(frozen=True)
class SceneStyle:
    """Parameters of random scenes; the defaults are those of training.

    Attributes:
        objects: minimum and maximum number of objects with a category.
        occluders: maximum number of boxes, spheres and cylinders among them.
        held: probability of a scene without a table, with arbitrarily rotated objects.
        lying: probability that a bottle, can, mug or camera on a table lies on its side, and that
            an object of a category that is not shipped rests on any of its sides.
        leaning: probability that an object on a table leans against a box (never laptops).
        upside_down: probability that an object on a table is upside down (never laptops).
            A category that is not shipped, and whose entry says that its objects never lie, or are
            never upside down, stands instead.
        tilt_deg: standard deviation of the tilt of standing objects.
        scale_log_sd: standard deviation of the logarithm of a random scale factor.
        crowding: 0 to 1, how close together objects are.
        slabs: probability of sheets, books, boards or trays on the table, beside or under objects.
        desks: probability that the table is a desk: before a wall, with the floor in view.
        materials: probability that an object has parts that return little depth.
        hard: probability that a view is a hard one (`hard_view`); half of it is the probability
            that a model is one of the least telling quarter: cameras with short lenses, mugs with
            small handles, flat cans.
    """

    objects: tuple[int, int] = (3, 7)
    occluders: int = 3
    held: float = 0.15
    lying: float = 0.18
    leaning: float = 0.06
    upside_down: float = 0.02
    tilt_deg: float = 1.5
    scale_log_sd: float = 0.06
    crowding: float = 0.6
    slabs: float = 0.4
    desks: float = 0.25
    materials: float = 0.35
    hard: float = 0.2

    @classmethod
    def upright(cls) -> SceneStyle:
        """Objects that stand upright on a table and return depth everywhere, in ordinary views."""
        return cls(
            held=0.0, lying=0.0, leaning=0.0, upside_down=0.0, slabs=0.0, desks=0.0, materials=0.0,
            hard=0.0,
        )  # fmt: skip


def random_scene(
    rng: np.random.Generator,
    models: Mapping[str, Sequence[CadModel]],
    style: SceneStyle | None = None,
    *,
    focus: str | None = None,
    categories: Categories | None = None,
) -> Scene:
    """Create a random scene: a cluttered table, or objects held in the air.

    Args:
        rng: source of all random draws.
        models: models to choose from, by category.
        style: parameters of the scene.
        focus: a category to which more than half of the objects belong.
        categories: the known ones; by default the six shipped ones.

    Returns:
        Scene with mask ids from 1 on. Objects on a table do not penetrate each other: their
        circumscribed circles on the table are disjoint.
    """
    style = style or SceneStyle()
    known = default_categories() if categories is None else categories
    count = int(rng.integers(style.objects[0], style.objects[1] + 1))
    names = list(models)
    chosen = [
        focus if focus is not None and (i == 0 or rng.random() < 0.6) else str(rng.choice(names))
        for i in range(count)
    ]
    picked = [_pick(rng, name, models[name], style, known) for name in chosen]
    if rng.random() < style.held:
        return _held_scene(rng, chosen, picked, style)
    return cluttered_table(rng, chosen, picked, style, known)


def _pick(
    rng: np.random.Generator,
    category: str,
    models: Sequence[CadModel],
    style: SceneStyle,
    known: Categories,
) -> CadModel:
    """Draw a model, sometimes one whose ends are hard to tell apart."""
    if style.hard > 0.0 and rng.random() < 0.5 * style.hard:
        axis = 0 if has_front(category, known) else 1
        telling = [x.dimensions_m[axis] / x.diagonal_m for x in models]
        models = [models[i] for i in np.argsort(telling)[: -(-len(models) // _LEAST_TELLING)]]
    return models[int(rng.integers(len(models)))]


def has_front(category: str, known: Categories) -> bool:
    """Check whether objects of a category differ from different sides."""
    return category not in known or known[category].symmetry != "y"


def cluttered_table(
    rng: np.random.Generator,
    categories: Sequence[str],
    models: Sequence[CadModel],
    style: SceneStyle,
    known: Categories | None = None,
) -> Scene:
    """Place objects and occluders on a table in a room, as in `random_scene`.

    Args:
        rng: source of all random draws.
        categories: categories of the objects, whose mask ids count from 1.
        models: models of the objects.
        style: parameters of the scene; `objects` and `held` are ignored.
        known: the known categories; by default the six shipped ones.
    """
    known = default_categories() if known is None else known
    occluders = [random_primitive(rng) for _ in range(int(rng.integers(style.occluders + 1)))]
    groups = [
        _resting(rng, i, category, model, style, known)
        for i, (category, model) in enumerate(zip(categories, models, strict=True), start=1)
    ]
    for model in occluders:
        turn = yaw(rng.uniform(0.0, 2.0 * np.pi))
        groups.append([SceneObject(0, "", model, turn, np.zeros(3))])
    rng.shuffle(groups)

    discs: list[Disc] = []
    placed: list[list[SceneObject]] = []
    for group in groups:
        own = Disc.around(np.concatenate([x.vertices for x in group]))
        lowest = min(x.vertices[:, 1].min() for x in group)
        spot = _free_spot(rng, discs, own.radius_m, style.crowding)
        discs.append(Disc(spot, own.radius_m))
        shift = np.array([spot[0] - own.centre[0], -lowest, spot[1] - own.centre[1]])
        placed.append([_moved(x, shift, random_colour(rng)) for x in group])
    if style.slabs > 0.0 and rng.random() < style.slabs:
        _add_slabs(rng, discs, placed)
    objects = [x for group in placed for x in group]
    reach = max(float(np.linalg.norm(x.centre)) + x.radius_m for x in discs)
    if style.desks > 0.0 and rng.random() < style.desks:
        table, surroundings = desk_and_wall(rng, reach)
    else:
        table = random_table(rng, reach)
        surroundings = random_room(rng)
    return Scene([*objects, *surroundings], table)


def _moved(
    item: SceneObject, shift: NDArray[np.float64], colour: tuple[int, int, int]
) -> SceneObject:
    return replace(item, translation=item.translation + shift, colour=colour)


def _add_slabs(
    rng: np.random.Generator, discs: list[Disc], placed: list[list[SceneObject]]
) -> None:
    """Add up to three slabs to the groups of things on the table; lift those that stand on one."""
    for _ in range(int(rng.integers(1, _MOST_SLABS + 1))):
        found = random_slab(rng, discs)
        if found is None:
            continue
        slab, on = found
        lift = np.array([0.0, slab.dimensions_m[1], 0.0])
        for i in np.flatnonzero(on):
            placed[i] = [replace(x, translation=x.translation + lift) for x in placed[i]]
        discs.append(Disc.around(slab.vertices))
        placed.append([slab])


def _held_scene(
    rng: np.random.Generator,
    categories: Sequence[str],
    models: Sequence[CadModel],
    style: SceneStyle,
) -> Scene:
    """Create a scene of arbitrarily rotated objects, some of them held by fingers."""
    objects: list[SceneObject] = []
    placed: list[Disc] = []
    for i, (category, model) in enumerate(zip(categories, models, strict=True), start=1):
        size = float(np.exp(style.scale_log_sd * rng.normal()))
        radius = 0.5 * size * model.diagonal_m
        spot = _free_spot(rng, placed, radius, style.crowding)
        placed.append(Disc(spot, radius))
        where = np.array([spot[0], rng.normal(0.0, 0.08), spot[1]])
        rotation = random_rotation(rng)
        colour = random_colour(rng)
        material = _material(rng, model, style)
        objects.append(
            SceneObject(i, category, model, rotation, where, colour, size, material=material)
        )
        if rng.random() < 0.5:
            objects += fingers(rng, objects[-1], random_rotation(rng))
    room = random_room(rng) if rng.random() < 0.7 else []
    return Scene([*objects, *room])


def _resting(
    rng: np.random.Generator,
    mask_id: int,
    category: str,
    model: CadModel,
    style: SceneStyle,
    known: Categories,
) -> list[SceneObject]:
    """Create an object as it rests on a table, at any place, and what it leans against."""
    size = float(np.exp(style.scale_log_sd * rng.normal()))
    turn = yaw(rng.uniform(0.0, 2.0 * np.pi))
    azimuth = rng.uniform(0.0, 2.0 * np.pi)
    axis = np.array([np.cos(azimuth), 0.0, np.sin(azimuth)])
    tilt = about(axis, np.deg2rad(style.tilt_deg) * rng.normal())
    draw = rng.random()
    leans = category != "laptop" and style.lying <= draw < style.lying + style.leaning
    if leans:
        rotation = about(axis, np.deg2rad(rng.uniform(*_LEAN_DEG))) @ turn
    elif category in default_categories():
        rotation = _resting_rotation(rng, category, style, turn, tilt, draw)
    else:
        shares = known[category].resting if category in known else Resting()
        rotation = _own_rotation(rng, model, shares, style, tilt @ turn, draw)
    item = SceneObject(
        mask_id, category, model, rotation, np.zeros(3), scale=size,
        material=_material(rng, model, style),
    )  # fmt: skip
    if not leans:
        return [item]
    item = replace(item, translation=np.array([0.0, -item.vertices[:, 1].min(), 0.0]))
    return [item, prop(rng, item, np.cross(axis, [0.0, 1.0, 0.0]))]


def _material(rng: np.random.Generator, model: CadModel, style: SceneStyle) -> Material | None:
    if style.materials > 0.0 and rng.random() < style.materials:
        return random_material(rng, model)
    return None


def _resting_rotation(
    rng: np.random.Generator,
    category: str,
    style: SceneStyle,
    turn: NDArray[np.float64],
    tilt: NDArray[np.float64],
    draw: float,
) -> NDArray[np.float64]:
    """Rotation of an object of a shipped category, by a draw from 0 to 1, with given yaw and tilt.

    It stands, lies or is upside down.
    """
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


def _own_rotation(
    rng: np.random.Generator,
    model: CadModel,
    shares: Resting,
    style: SceneStyle,
    upright: NDArray[np.float64],
    draw: float,
) -> NDArray[np.float64]:
    """Rotation of an object of another category; its shape says on which sides it can lie."""
    if draw < style.lying and shares.lying > 0.0:
        return resting_rotation(rng, model)
    if draw > 1.0 - style.upside_down and shares.upside_down > 0.0:
        return np.asarray(upright @ about(np.eye(3)[0], np.pi))
    return np.asarray(upright)


def _free_spot(
    rng: np.random.Generator,
    placed: Sequence[Disc],
    radius: float,
    crowding: float,
) -> NDArray[np.float64]:
    """Find the centre (2,) of a circle near the middle that touches no placed circle."""
    reach = 0.08 + 0.25 * (1.0 - crowding)
    while True:
        for _ in range(_PLACE_ATTEMPTS):
            spot = rng.normal(size=2) * reach
            if all(np.hypot(*(spot - x.centre)) > radius + x.radius_m for x in placed):
                return np.asarray(spot)
        reach *= 1.3
