"""Surfaces with coats of paint and print.

A surface is a base colour under coats. A coat paints the points of a region in one colour or with
a picture, in place. Print has an up: the picture's upper edge points toward +y of the object, and
it reads from left to right seen from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.simulation.artwork import Colour, Picture

__all__ = [
    "Coat",
    "Floats",
    "PrintedPaint",
    "Region",
    "SurfacePoints",
    "above",
    "below",
    "flat",
    "on_end",
    "on_faces",
    "pictured",
    "tiled",
    "unit_colour",
    "wrapped",
]

Floats = NDArray[np.float32]
Region = NDArray[np.bool_]

_WALL_SLOPE = 0.75
"""Surfaces with a smaller vertical part of the normal belong to the wall, others to an end."""

_SEEN_SHARE = 0.4
"""About this share of a picture is seen at once."""


@dataclass(frozen=True)
class SurfacePoints:
    """Points on an object, in its frame.

    Attributes:
        p: (N, 3), metres.
        n: (N, 3), outward unit normals.
        sides: (3,) of the object's box, metres.
    """

    p: Floats
    n: Floats
    sides: Floats

    @cached_property
    def height(self) -> Floats:
        """Height (N,) above the box's bottom, in heights of the box."""
        return self.p[:, 1] / self.sides[1] + np.float32(0.5)

    @cached_property
    def wall(self) -> Region:
        """Points (N,) whose normal is rather horizontal."""
        return np.abs(self.n[:, 1]) < _WALL_SLOPE

    def around(self, x: float = 0.0) -> tuple[Floats, Floats]:
        """Turn (N,), 0 to 1, rightward seen from outside, and radius (N,) about a vertical axis.

        Args:
            x: place of the axis on the x axis, metres. The turn 0.5 is toward +x.
        """
        px, pz = self.p[:, 0] - np.float32(x), self.p[:, 2]
        turn = np.float32(0.5) - np.arctan2(pz, px) / np.float32(2.0 * np.pi)
        return turn, np.hypot(px, pz)


Coat = Callable[[SurfacePoints, Floats], None]
"""Paints the colours (N, 3), 0 to 1, of some of the points in place."""


@dataclass(frozen=True)
class PrintedPaint:
    """Base colour under coats; see `Paint` for the interface.

    Attributes:
        base: RGB, 0 to 255.
        coats: the coats, each over those before it.
        gloss: strength of the highlight, 0 to 1.
    """

    base: Colour
    coats: tuple[Coat, ...] = ()
    gloss: float = 0.3

    def albedo(
        self,
        points: NDArray[np.floating],
        normals: NDArray[np.floating],
        dimensions_m: NDArray[np.floating],
    ) -> NDArray[np.float32]:
        """Compute the RGB (N, 3), 0 to 1, of surface points; arguments as in `Paint.albedo`."""
        surface = SurfacePoints(
            np.asarray(points, np.float32),
            np.asarray(normals, np.float32),
            np.asarray(dimensions_m, np.float32),
        )
        colour = np.empty_like(surface.p)
        colour[:] = unit_colour(self.base)
        for coat in self.coats:
            coat(surface, colour)
        return colour


def unit_colour(colour: Sequence[float]) -> Floats:
    """RGB (3,), 0 to 1, of a colour from 0 to 255."""
    return np.asarray(colour, dtype=np.float32) / np.float32(255.0)


def flat(colour: Colour, where: Callable[[SurfacePoints], Region]) -> Coat:
    """Coat of one colour."""
    value = unit_colour(colour)

    def coat(at: SurfacePoints, out: Floats) -> None:
        out[where(at)] = value

    return coat


def pictured(
    picture: Picture,
    where: Callable[[SurfacePoints], tuple[Floats, Floats, Region]],
    share: float = _SEEN_SHARE,
) -> Coat:
    """Coat of a picture.

    Args:
        picture: the picture.
        where: gives place to the right and downward in the picture, 0 to 1, and the region.
        share: part of the picture that is about to be seen; tells its resolution.
    """

    def coat(at: SurfacePoints, out: Floats) -> None:
        u, v, region = where(at)
        found = np.flatnonzero(region & (u >= 0.0) & (u < 1.0) & (v >= 0.0) & (v < 1.0))
        if len(found) == 0:
            return
        image = _reduced(picture, len(found) / share)
        rows, columns = image.shape[:2]
        texel = image[(v[found] * rows).astype(np.intp), (u[found] * columns).astype(np.intp)]
        cover = texel[:, 3:]
        out[found] += cover * (texel[:, :3] - out[found])

    return coat


def _reduced(picture: Picture, pixels: float) -> Picture:
    """The picture at about the resolution at which it is seen, against aliasing."""
    rows, columns = picture.shape[:2]
    reduction = np.sqrt(rows * columns / max(pixels, 1.0))
    if reduction < 1.3:
        return picture
    size = (max(2, round(columns / reduction)), max(2, round(rows / reduction)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)


def wrapped(
    picture: Picture,
    low: float,
    high: float,
    *,
    start: float = 0.0,
    span: float = 1.0,
    axis_x: float = 0.0,
    reach: float = np.inf,
) -> Coat:
    """Coat of a picture around the wall.

    Args:
        picture: the picture.
        low: height of its lower edge, in heights of the box.
        high: height of its upper edge.
        start: turn of its left edge, see `SurfacePoints.around`.
        span: its width in turns.
        axis_x: place of the axis, metres.
        reach: largest radius, metres; what stands out farther is a handle.
    """

    def where(at: SurfacePoints) -> tuple[Floats, Floats, Region]:
        turn, radius = at.around(axis_x)
        u = np.mod(turn - np.float32(start), 1.0) / np.float32(span)
        outside = at.n[:, 0] * (at.p[:, 0] - axis_x) + at.n[:, 2] * at.p[:, 2] > 0.0
        return u, (high - at.height) / (high - low), at.wall & outside & (radius < reach)

    return pictured(picture, where, _SEEN_SHARE / max(span, _SEEN_SHARE))


def on_end(picture: Picture, up: bool, radius_share: float = 1.0) -> Coat:
    """Coat of a picture on the top or bottom end."""

    def where(at: SurfacePoints) -> tuple[Floats, Floats, Region]:
        radius = 0.5 * float(min(at.sides[0], at.sides[2])) * radius_share
        x, z = at.p[:, 0] / (2.0 * radius), at.p[:, 2] / (2.0 * radius)
        end = (at.n[:, 1] > _WALL_SLOPE) & (at.height > 0.8)
        if not up:
            end = (at.n[:, 1] < -_WALL_SLOPE) & (at.height < 0.2)
        return 0.5 - z, 0.5 + x, end

    return pictured(picture, where, 1.0)


def on_faces(picture: Picture) -> Coat:
    """Coat of a picture on each side face of a box."""

    def where(at: SurfacePoints) -> tuple[Floats, Floats, Region]:
        along_x = np.abs(at.n[:, 0]) > np.abs(at.n[:, 2])
        right = np.where(along_x, -at.p[:, 2] * np.sign(at.n[:, 0]) / at.sides[2],
                         at.p[:, 0] * np.sign(at.n[:, 2]) / at.sides[0])  # fmt: skip
        top = ~at.wall
        v = np.where(top, 0.5 + at.p[:, 0] / at.sides[0], 1.0 - at.height)
        right = np.where(top, -at.p[:, 2] / at.sides[2], right)
        return right + 0.5, v, np.ones(len(v), dtype=np.bool_)

    return pictured(picture, where)


def tiled(picture: Picture, size_m: float) -> Coat:
    """Coat of a picture that repeats on all sides."""

    def where(at: SurfacePoints) -> tuple[Floats, Floats, Region]:
        main = np.argmax(np.abs(at.n), axis=1)
        q = at.p / np.float32(size_m)
        u = np.where(main == 0, q[:, 2], q[:, 0])
        v = np.where(main == 1, q[:, 2], -q[:, 1])
        return np.mod(u, 1.0), np.mod(v, 1.0), np.ones(len(u), dtype=np.bool_)

    def coat(at: SurfacePoints, out: Floats) -> None:
        seen = np.sort(np.ptp(at.p, axis=0))[1:]
        pictured(picture, where, max(float(np.prod(seen)) / size_m**2, _SEEN_SHARE))(at, out)

    return coat


def above(height: float) -> Callable[[SurfacePoints], Region]:
    """Region above a height, in heights of the box."""
    return lambda at: at.height > height


def below(height: float) -> Callable[[SurfacePoints], Region]:
    """Region below a height, in heights of the box."""
    return lambda at: at.height < height
