"""Arranging things on the supports of a room: free, touching, stacked, leaning, held by a hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.shapes.model import CadModel
from sdfpose_core.simulation.distractors import gripping_hand
from sdfpose_core.simulation.furnishing import random_colour
from sdfpose_core.simulation.materials import Material
from sdfpose_core.simulation.placement import (
    CELL_M,
    Cell,
    Footprint,
    Support,
    resting_rotation,
)
from sdfpose_core.simulation.rotations import about, yaw
from sdfpose_core.simulation.scene import SceneObject

__all__ = ["Arrangement", "ArrangementStyle", "Thing"]

_ATTEMPTS = 6
"""Places that are tried for a thing before another one is drawn."""

_GAP_CELLS = 8
"""Things that stand near each other are at most this many cells apart."""

_TALLEST_M = 0.65
"""Stacks are not higher."""

_LEAN_DEG = (8.0, 60.0)
_LEAN_CONTACT = 0.45
"""What leans touches its neighbour above this share of its height."""

_TILT_SD_DEG = 20.0
"""Tilt of what a hand holds."""

_WIDEST_GRIP_M = 0.1
_HELD_M = 0.25
"""Largest height at which a hand holds a thing above what is below."""

_GRIP_DEPTH_M = 0.012
"""What a hand holds reaches this far into the grip."""


@dataclass(frozen=True)
class ArrangementStyle:
    """How things are arranged; probabilities of a thing unless said otherwise.

    Attributes:
        touching: that it is pushed against another one until they touch.
        near: that it stands a few centimetres or less beside another one.
        stacked: that it stands on others.
        leaning: that it leans against another one.
        lying: that it is on any of its sides instead of upright (never laptops).
        repeated: that it has the same shape as the one before.
        held: probability of a scene in which a hand holds one more thing above the others.
    """

    touching: float = 0.35
    near: float = 0.15
    stacked: float = 0.15
    leaning: float = 0.08
    lying: float = 0.25
    repeated: float = 0.12
    held: float = 0.06


@dataclass(frozen=True)
class Thing:
    """A thing without a place; see `SceneObject`."""

    category: str
    model: CadModel
    scale: float = 1.0
    material: Material | None = None

    def turned(self, rotation: NDArray[np.float64]) -> SceneObject:
        """The thing at the origin in some rotation."""
        return SceneObject(
            0, self.category, self.model, rotation, np.zeros(3), scale=self.scale,
            material=self.material,
        )  # fmt: skip


@dataclass(frozen=True)
class _Placed:
    """A thing at a cell of a support."""

    footprint: Footprint
    at: Cell


class Arrangement:
    """Things on supports.

    Attributes:
        objects: the things that were placed, with mask ids from 1 on.

    Args:
        rng: source of all random draws.
        supports: where things may stand.
        main: number of supports, from the first on, on which most things stand.
        style: how they are arranged.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        supports: Sequence[Support],
        main: int,
        style: ArrangementStyle,
    ) -> None:
        self.objects: list[SceneObject] = []
        self._rng = rng
        self._supports = supports
        self._main = main
        self._style = style
        self._placed: list[list[_Placed]] = [[] for _ in supports]

    def add(self, thing: Thing) -> bool:
        """Place a thing; return whether there was a place."""
        rng = self._rng
        main = len(self._supports) == self._main or rng.random() < 0.85
        index = int(rng.integers(self._main if main else len(self._supports)))
        support, others = self._supports[index], self._placed[index]
        place = self._way(bool(others))
        for attempt in range(_ATTEMPTS):
            # As modelled, some distractors do not stand.
            lying = not thing.category and 2 * attempt >= _ATTEMPTS
            lying |= rng.random() < self._style.lying
            rotation = self._resting(thing, lying)
            found = place(support, others, thing, rotation)
            if found is not None:
                item, footprint, at = found
                where = support.add(footprint, at)
                others.append(_Placed(footprint, at))
                self._keep(replace(item, translation=where))
                return True
        return False

    def _way(self, others: bool) -> _Way:
        """Draw how the next thing is placed."""
        style, draw = self._style, self._rng.random()
        ways = (
            (style.touching, self._touching),
            (style.near, self._near),
            (style.stacked, self._stacked),
            (style.leaning, self._leaning),
        )
        for share, way in ways:
            if others and draw < share:
                return way
            draw -= share
        return self._free

    def _resting(self, thing: Thing, lying: bool) -> NDArray[np.float64]:
        if lying and thing.category != "laptop":
            return resting_rotation(self._rng, thing.model)
        return yaw(self._rng.uniform(0.0, 2.0 * np.pi))

    def _keep(self, item: SceneObject) -> None:
        colour = random_colour(self._rng)
        self.objects.append(replace(item, mask_id=len(self.objects) + 1, colour=colour))

    def _free(
        self,
        support: Support,
        others: Sequence[_Placed],
        thing: Thing,
        rotation: NDArray[np.float64],
    ) -> _Found | None:
        """Place a thing anywhere on the surface."""
        item = thing.turned(rotation)
        footprint = Footprint.of([item])
        if footprint is None:
            return None
        for _ in range(_ATTEMPTS):
            at = support.random_cell(self._rng)
            if support.free(footprint, at) and support.stable(footprint, at):
                return item, footprint, at
        return None

    def _touching(
        self,
        support: Support,
        others: Sequence[_Placed],
        thing: Thing,
        rotation: NDArray[np.float64],
        gap: int = 0,
    ) -> _Found | None:
        """Push a thing against another one; leave a gap of some cells."""
        item = thing.turned(rotation)
        footprint = Footprint.of([item])
        if footprint is None:
            return None
        direction = self._direction()
        found = self._pushed(support, others, footprint, direction)
        if found is None:
            return None
        at = np.asarray(np.round(found[0] - gap * direction), dtype=np.intp)
        if support.free(footprint, at) and support.stable(footprint, at):
            return item, footprint, at
        return None

    def _near(
        self,
        support: Support,
        others: Sequence[_Placed],
        thing: Thing,
        rotation: NDArray[np.float64],
    ) -> _Found | None:
        """Place a thing beside another one."""
        gap = int(self._rng.integers(1, _GAP_CELLS + 1))
        return self._touching(support, others, thing, rotation, gap)

    def _stacked(
        self,
        support: Support,
        others: Sequence[_Placed],
        thing: Thing,
        rotation: NDArray[np.float64],
    ) -> _Found | None:
        """Place a thing on others."""
        item = thing.turned(rotation)
        footprint = Footprint.of([item])
        if footprint is None:
            return None
        below = self._one_of(others)
        half = 0.5 * np.array(below.footprint.low.shape)
        middle = below.at + below.footprint.corner + half
        for _ in range(_ATTEMPTS):
            at = np.asarray(
                np.round(middle + 0.35 * half * self._rng.normal(size=2)), dtype=np.intp
            )
            if not support.stable(footprint, at) or support.free(footprint, at):
                continue
            height = support.lift(footprint, at) - support.lift(footprint, at, bare=True)
            if height + footprint.top - footprint.bottom < _TALLEST_M:
                return item, footprint, at
        return None

    def _leaning(
        self,
        support: Support,
        others: Sequence[_Placed],
        thing: Thing,
        rotation: NDArray[np.float64],
    ) -> _Found | None:
        """Tilt a thing and push it against another one, if its weight rests on that one too."""
        if thing.category == "laptop":
            return None
        direction = self._direction()
        upright = _on_edge(thing.model, direction) if self._rng.random() < 0.6 else rotation
        ahead = np.array([direction[0], 0.0, direction[1]])
        tilt = np.deg2rad(self._rng.uniform(*_LEAN_DEG))
        item = thing.turned(about(np.cross([0.0, 1.0, 0.0], ahead), tilt) @ upright)
        footprint = Footprint.of([item])
        if footprint is None:
            return None
        found = self._pushed(support, others, footprint, direction)
        if found is None:
            return None
        at, contact = found
        tall = footprint.top - footprint.bottom
        foot = footprint.low < footprint.bottom + CELL_M
        pivot = (np.argwhere(foot).mean(axis=0) + footprint.corner) * CELL_M
        falls = float((footprint.centre[[0, 2]] - pivot) @ direction) > 0.0
        return (item, footprint, at) if falls and contact > _LEAN_CONTACT * tall else None

    def hold(self, thing: Thing) -> bool:
        """Let a hand hold a thing above the others; return whether it could."""
        rng, support = self._rng, self._supports[0]
        turns = [yaw(0.0), yaw(0.5 * np.pi)]
        sides = thing.scale * thing.model.dimensions_m
        widths = sides[[2, 0]]
        fitting = [i for i in range(2) if widths[i] < _WIDEST_GRIP_M]
        if not fitting:
            return False
        turn = fitting[int(rng.integers(len(fitting)))]
        hand = gripping_hand(rng, float(widths[turn]))
        grip = np.array([float(hand.parameters[f"grip_{k}_m"]) for k in "xyz"])
        near = -0.5 * float(widths[1 - turn]) + _GRIP_DEPTH_M
        where = np.array([near, rng.uniform(-0.25, 0.25) * sides[1], 0.0]) - grip
        held = thing.turned(turns[turn])
        axis = np.array([np.cos(angle := rng.uniform(0.0, 2.0 * np.pi)), 0.0, np.sin(angle)])
        frame = about(axis, np.deg2rad(_TILT_SD_DEG) * rng.normal()) @ yaw(
            rng.uniform(0.0, 2.0 * np.pi)
        )
        pair = [
            replace(held, rotation=frame @ held.rotation),
            SceneObject(0, "", hand, frame, frame @ where),
        ]
        footprint = Footprint.of(pair)
        if footprint is None:
            return False
        at = support.random_cell(rng)
        lift = support.above(footprint, at)
        if not lift < support.ceiling_m - footprint.top - _HELD_M or not np.isfinite(lift):
            return False
        up = np.array([at[0] * CELL_M, lift + rng.uniform(0.01, _HELD_M), at[1] * CELL_M])
        for item in pair:
            self._keep(replace(item, translation=item.translation + up))
        return True

    def _direction(self) -> NDArray[np.float64]:
        angle = self._rng.uniform(0.0, 2.0 * np.pi)
        return np.array([np.cos(angle), np.sin(angle)])

    def _one_of(self, others: Sequence[_Placed]) -> _Placed:
        return others[int(self._rng.integers(len(others)))]

    def _pushed(
        self,
        support: Support,
        others: Sequence[_Placed],
        footprint: Footprint,
        direction: NDArray[np.float64],
    ) -> tuple[Cell, float] | None:
        """Push a thing along a direction against one of the others."""
        other = self._one_of(others)
        reach = sum(float(np.hypot(*x.low.shape)) for x in (footprint, other.footprint))
        aside = np.array([-direction[1], direction[0]])
        width = 0.3 * min(*footprint.low.shape, *other.footprint.low.shape)
        near = other.at + np.round(self._rng.uniform(-width, width) * aside).astype(np.intp)
        return support.beside(footprint, near, direction, reach * CELL_M)


_Found = tuple[SceneObject, Footprint, Cell]
_Way = Callable[[Support, Sequence[_Placed], Thing, NDArray[np.float64]], "_Found | None"]


def _on_edge(model: CadModel, direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation (3, 3) with the longest side upright and the shortest along a direction (2,)."""
    order = np.argsort(model.dimensions_m)
    rotation = np.empty((3, 3))
    rotation[:, order[2]] = (0.0, 1.0, 0.0)
    rotation[:, order[0]] = (direction[0], 0.0, direction[1])
    i, j, k = order[1], (order[1] + 1) % 3, (order[1] + 2) % 3
    rotation[:, i] = np.cross(rotation[:, j], rotation[:, k])
    return rotation
