"""Placing things on supports, beside, on and against each other, by heights seen from above.

A support is a grid of heights. A thing is known by its underside and its upper side over the same
grid, as two rays per cell see them. A thing that comes down stops where its underside meets a
height. So things touch, stack and nest; they never penetrate each other by more than about a cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from manifold3d import Manifold
from numpy.typing import NDArray

from sdfpose_core.shapes.model import CadModel
from sdfpose_core.shapes.solids import triangles
from sdfpose_core.simulation.rotations import about, random_rotation, yaw
from sdfpose_core.simulation.scene import Scene, SceneObject

__all__ = ["CELL_M", "Footprint", "Support", "resting_rotation"]

CELL_M = 0.005
"""Side of a cell of the grid."""

_CONTACT_M = 0.004
"""Cells whose gap to what is below is smaller touch it."""

_LEVEL_M = 0.003
"""A thing stands on the support itself if nothing lifts it by more."""

_BLOCKED_M = np.float32(1e3)
"""Height of the ground where nothing may be."""

_NO_SIDE_M = np.float32(1e6)
"""Height of the underside where there is none: above everything."""

_DOWN = np.array([0.0, -1.0, 0.0], dtype=np.float32)

_FIRST_STEP, _LAST_STEP, _STEP_FACTOR = 0.15, 0.003, 0.95
"""Steps of a rolling thing, radians, and their ratio."""

_SPREAD = 0.45
"""Standard deviation of random places, in halves of the region's sides."""

Heights = NDArray[np.float32]
Cell = NDArray[np.intp]


@dataclass(frozen=True)
class Footprint:
    """Lower and upper side of a thing over the cells of the grid.

    Attributes:
        low: (A, B) heights of the underside relative to the thing's reference point, metres; very
            large where there is none.
        high: (A, B) heights of the upper side; -inf where there is none.
        corner: (2,) cell [0, 0] relative to the cell of the reference point.
    """

    low: Heights
    high: Heights
    corner: Cell

    @classmethod
    def of(cls, items: Sequence[SceneObject]) -> Footprint | None:
        """Measure things whose common reference point is the origin; None if no ray meets them."""
        vertices = np.concatenate([x.vertices for x in items])
        corner = np.floor(vertices[:, [0, 2]].min(axis=0) / CELL_M).astype(np.intp)
        end = np.ceil(vertices[:, [0, 2]].max(axis=0) / CELL_M).astype(np.intp)
        x, z = (np.arange(a, b + 1) * CELL_M for a, b in zip(corner, end, strict=True))
        scene = Scene([_anonymous(x) for x in items])
        top, bottom = float(vertices[:, 1].max()) + 0.01, float(vertices[:, 1].min()) - 0.01
        high = top - _depths(scene, x, z, top, _DOWN)
        low = bottom + _depths(scene, x, z, bottom, -_DOWN)
        missed = ~np.isfinite(low)
        if missed.all():
            return None
        low[missed] = _NO_SIDE_M
        return cls(low, high, corner)

    @cached_property
    def covered(self) -> NDArray[np.bool_]:
        """Cells (A, B) where the thing is."""
        return self.low < _NO_SIDE_M

    @cached_property
    def centre(self) -> NDArray[np.float64]:
        """Centre of mass (3,) relative to the reference point, if columns are solid."""
        thick = np.where(self.covered, self.high - self.low + 1e-6, 0.0).astype(np.float64)
        rows, columns = (np.arange(n) for n in self.low.shape)
        total = thick.sum()
        x = float(thick.sum(axis=1) @ rows / total) + self.corner[0]
        z = float(thick.sum(axis=0) @ columns / total) + self.corner[1]
        middle = np.where(self.covered, 0.5 * (self.high + self.low), 0.0)
        return np.array([x * CELL_M, float((thick * middle).sum() / total), z * CELL_M])

    @property
    def bottom(self) -> float:
        """Lowest height, relative to the reference point."""
        return float(self.low.min())

    @property
    def top(self) -> float:
        """Highest height, relative to the reference point."""
        return float(self.high.max())


class Support:
    """Surface that things stand on, and what stands there.

    Attributes:
        ground: (X, Z) heights of the bare surface, metres, world frame; -inf where there is none,
            very large where nothing may be.
        heights: (X, Z) the same with the things on it.
        corner: (2,) cell [0, 0]: multiples of `CELL_M` in the world's x and z.
        spread: (2,) standard deviation of random places along x and z, cells.
        ceiling_m: nothing may reach above this height.
        softness_m: depth to which things sink in.
    """

    def __init__(
        self,
        ground: Heights,
        corner: Cell,
        spread: NDArray[np.floating],
        *,
        ceiling_m: float = np.inf,
        softness_m: float = 0.0,
    ) -> None:
        self.ground = ground
        self.heights = ground.copy()
        self.corner = corner
        self.spread = spread
        self.ceiling_m = ceiling_m
        self.softness_m = softness_m

    @classmethod
    def seen_from_above(
        cls,
        furniture: Sequence[SceneObject],
        centre: NDArray[np.float64],
        reach_m: float,
        *,
        margin_m: float = 0.0,
        lowest_m: float,
        highest_m: float,
        softness_m: float = 0.0,
    ) -> Support:
        """Measure the upper side of furniture around a place.

        Args:
            furniture: tables, boards, walls.
            centre: (2,) x and z of the place, metres.
            reach_m: half of the side of the region in which most things stand.
            margin_m: width of the border around it into which they may reach.
            lowest_m: what is lower belongs to the floor, where nothing is placed.
            highest_m: what is higher belongs to walls, where nothing is placed either.
            softness_m: see `Support`.
        """
        low = np.floor((centre - reach_m - margin_m) / CELL_M).astype(np.intp)
        high = np.ceil((centre + reach_m + margin_m) / CELL_M).astype(np.intp)
        x, z = (np.arange(a, b + 1) * CELL_M for a, b in zip(low, high, strict=True))
        top = float(max(item.vertices[:, 1].max() for item in furniture)) + 0.01
        heights = top - _depths(Scene([_anonymous(item) for item in furniture]), x, z, top, _DOWN)
        heights[heights < lowest_m] = -np.inf
        heights[heights > highest_m] = _BLOCKED_M
        spread = np.full(2, _SPREAD * reach_m / CELL_M)
        return cls(heights, low, spread, softness_m=softness_m)

    @classmethod
    def board(
        cls, centre: NDArray[np.float64], sides: tuple[float, float], level: float, ceiling: float
    ) -> Support:
        """Flat board between two walls along x and before one at -z, under a ceiling, metres."""
        low = np.round((centre - 0.5 * np.array(sides)) / CELL_M).astype(np.intp)
        shape = np.round(np.array(sides) / CELL_M).astype(np.intp) + 1
        ground = np.full(tuple(shape), level, dtype=np.float32)
        ground[[0, -1]] = ground[:, 0] = _BLOCKED_M
        return cls(ground, low, 0.5 * _SPREAD * shape, ceiling_m=ceiling)

    def random_cell(self, rng: np.random.Generator) -> Cell:
        """Draw a cell, rather near the middle."""
        middle = self.corner + 0.5 * np.array(self.ground.shape)
        return np.asarray(np.round(middle + self.spread * rng.normal(size=2)), dtype=np.intp)

    def lift(self, thing: Footprint, at: Cell, *, bare: bool = False) -> float:
        """Height of the reference point of a thing that comes down at a cell.

        Args:
            thing: the thing.
            at: (2,) cell of its reference point.
            bare: whether to come down on the surface itself, through what stands there.

        Returns:
            Height, metres; -inf off the surface, inf where the thing may not be.
        """
        window = self._window(thing, at)
        if window is None:
            return -np.inf
        under = (self.ground if bare else self.heights)[window]
        lift = float((under - thing.low).max())
        if abs(lift) > 0.5 * _BLOCKED_M:
            return float(np.copysign(np.inf, lift))
        return lift - self.softness_m

    def above(self, thing: Footprint, at: Cell) -> float:
        """Height of the reference point of a thing that comes down, also over the grid's edge.

        Returns:
            Height, metres; -inf where nothing is below.
        """
        low = at + thing.corner - self.corner
        start, end = np.maximum(low, 0), np.minimum(low + thing.low.shape, self.ground.shape)
        if (start >= end).any():
            return -np.inf
        here = tuple(slice(int(a), int(b)) for a, b in zip(start, end, strict=True))
        there = tuple(slice(int(a), int(b)) for a, b in zip(start - low, end - low, strict=True))
        height = float((self.heights[here] - thing.low[there]).max())
        return height if height > -0.5 * _BLOCKED_M else -np.inf

    def free(self, thing: Footprint, at: Cell) -> bool:
        """Check whether a thing at a cell stands on the surface itself, under the ceiling."""
        bare = self.lift(thing, at, bare=True)
        if not np.isfinite(bare) or bare + thing.top > self.ceiling_m:
            return False
        return self.lift(thing, at) <= bare + _LEVEL_M

    def stable(self, thing: Footprint, at: Cell) -> bool:
        """Check whether the centre of mass is above the region of contact, under the ceiling."""
        lift = self.lift(thing, at)
        window = self._window(thing, at)
        if window is None or not np.isfinite(lift) or lift + thing.top > self.ceiling_m:
            return False
        gap = lift + thing.low - self.heights[window]
        touching = np.argwhere(gap < _CONTACT_M + self.softness_m)
        points = (touching + thing.corner).astype(np.float32)
        # Cells reach half a side beyond their middle.
        corners = np.array([[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]], dtype=np.float32)
        hull = cv2.convexHull((points[:, None] + corners).reshape(-1, 1, 2))
        centre = thing.centre[[0, 2]] / CELL_M
        return cv2.pointPolygonTest(hull, (float(centre[0]), float(centre[1])), False) >= 0.0

    def beside(
        self, thing: Footprint, near: Cell, direction: NDArray[np.float64], farthest_m: float
    ) -> tuple[Cell, float] | None:
        """Find the place where a thing that is pushed against what stands there touches it.

        Args:
            thing: the thing.
            near: (2,) cell at which others stand.
            direction: (2,) horizontal unit vector, from the thing towards that cell.
            farthest_m: largest distance of the place from that cell.

        Returns:
            The cell of the thing's reference point, and the height of the highest contact above
            the thing's lowest point, metres; None if there is no place, or nothing to touch.
        """
        last = near
        for step in range(int(farthest_m / CELL_M)):
            at = np.asarray(np.round(near - step * direction), dtype=np.intp)
            if self.free(thing, at):
                return None if step == 0 else (at, self._contact(thing, last, at))
            last = at
        return None

    def _contact(self, thing: Footprint, blocked: Cell, at: Cell) -> float:
        """Height of the highest contact where the thing is blocked, above its lowest point."""
        window = self._window(thing, blocked)
        lift = self.lift(thing, at)
        if window is None:
            return 0.0
        under = thing.low + lift
        hit = self.heights[window] > under + _LEVEL_M
        return float(under[hit].max() - lift - thing.bottom) if hit.any() else 0.0

    def add(self, thing: Footprint, at: Cell) -> NDArray[np.float64]:
        """Let a thing come down at a cell; return its reference point (3,), metres, world frame."""
        lift = self.lift(thing, at)
        window = self._window(thing, at)
        if window is not None:
            region = self.heights[window]
            np.maximum(region, thing.high + np.float32(lift), out=region)
        return np.array([at[0] * CELL_M, lift, at[1] * CELL_M])

    def _window(self, thing: Footprint, at: Cell) -> tuple[slice, slice] | None:
        """Part of the grid under a thing; None if the thing reaches beyond the grid."""
        low = at + thing.corner - self.corner
        high = low + thing.low.shape
        if low.min() < 0 or (high > self.ground.shape).any():
            return None
        return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))


def resting_rotation(rng: np.random.Generator, model: CadModel) -> NDArray[np.float64]:
    """Draw a rotation (3, 3), object to world frame, in which a model lies on a face of its hull.

    The model is let go in a random rotation and rolls until its centre is lowest: a subgradient
    descent of the height of the centre above the lowest vertex, over the direction downward.
    """
    centre = _centroid(model)
    points, faces = triangles(Manifold.hull_points(model.vertices).simplify(1e-4))
    arms = points - centre
    arms /= np.linalg.norm(arms, axis=1).max()
    down, step = random_rotation(rng)[:, 0], _FIRST_STEP
    while step > _LAST_STEP:
        lowest = arms[int(np.argmax(arms @ down))]
        slope = lowest - (lowest @ down) * down
        down = down - step * slope / max(float(np.linalg.norm(slope)), step)
        down /= np.linalg.norm(down)
        step *= _STEP_FACTOR
    a, b, c = (points[faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
    face = normals[int(np.argmax(normals @ down))]
    return yaw(rng.uniform(0.0, 2.0 * np.pi)) @ _turning_down(face)


def _centroid(model: CadModel) -> NDArray[np.float64]:
    """Centroid (3,) of the surface, object frame."""
    a, b, c = (model.vertices[model.faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return np.asarray((area[:, None] * (a + b + c)).sum(axis=0) / (3.0 * area.sum()))


def _turning_down(normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation (3, 3) that turns a unit vector (3,) to -y."""
    axis = np.cross(normal, _DOWN)
    sine = float(np.linalg.norm(axis))
    if sine < 1e-9:
        return np.eye(3) if normal[1] < 0.0 else about(np.array([1.0, 0.0, 0.0]), np.pi)
    return about(axis / sine, float(np.arctan2(sine, normal @ _DOWN)))


def _anonymous(item: SceneObject) -> SceneObject:
    return SceneObject(0, "", item.model, item.rotation, item.translation, scale=item.scale)


def _depths(
    scene: Scene, x: NDArray[np.float64], z: NDArray[np.float64], y: float, way: NDArray[np.float32]
) -> Heights:
    """Distances (X, Z) to what vertical rays from a height meet; inf for nothing."""
    origins = np.empty((len(x), len(z), 3), dtype=np.float32)
    origins[..., 0], origins[..., 1], origins[..., 2] = x[:, None], y, z[None]
    return scene.cast(origins, np.broadcast_to(way, origins.shape)).distance
