"""Parts of objects that depth cameras measure badly: dark, clear, glossy and mirroring ones.

A material is a map on an object: which parts of its surface return too little light, or light from
elsewhere. Typical are black plastic and lenses of cameras, clear bodies of bottles between cap and
label, metal ends of cans, screens of laptops, and highlights along the axes of round objects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.shapes.model import CadModel

__all__ = [
    "Facing",
    "Front",
    "Material",
    "Part",
    "Seen",
    "Slab",
    "Streak",
    "Surface",
    "random_material",
]

Seen = Literal["nothing", "mirrored", "behind"]
"""What a camera measures in place of a surface: nothing, what it mirrors, or what is behind it."""

_RAMP = 0.07
"""Parts fade out over this share of the box's side or diagonal."""

_FRONT_SHARE = 0.1
"""Vertices within this share of the box's depth of its +x side make up the front."""

_OTHER_SHARE = 0.2
"""Share of the objects with a part that is unusual for their category."""


class Surface(NamedTuple):
    """Visible points of an object.

    Attributes:
        points: (N, 3) float32, metres, object frame.
        normals: (N, 3) float32, unit, object frame, toward the camera.
        views: (N, 3) float32, unit, object frame, from the points to the camera.
        sides: (3,) float32, metres: the bounding box.
    """

    points: NDArray[np.float32]
    normals: NDArray[np.float32]
    views: NDArray[np.float32]
    sides: NDArray[np.float32]


class Region(Protocol):
    """Region of a surface."""

    def share(self, surface: Surface) -> NDArray[np.float32]:
        """Membership (N,) of points, 0 to 1."""


@dataclass(frozen=True)
class Slab:
    """Points between two parallel planes: a band, an end or a half of the object.

    Attributes:
        direction: (3,) normal of the planes, unit, object frame.
        low, high: the planes, in box sides from the centre: -0.5 to 0.5 for the whole box along an
            axis; infinite for no plane.
        outside: whether the region is the rest of the object instead.
    """

    direction: tuple[float, float, float]
    low: float = -np.inf
    high: float = np.inf
    outside: bool = False

    def share(self, surface: Surface) -> NDArray[np.float32]:
        """Membership (N,) of points, 0 to 1."""
        along = (surface.points / surface.sides) @ np.asarray(self.direction, dtype=np.float32)
        share = _ramp(np.minimum(along - self.low, self.high - along) / _RAMP)
        return 1.0 - share if self.outside else share


@dataclass(frozen=True)
class Front:
    """Disc around an axis along x, such as the glass of a lens.

    Attributes:
        centre: (2,) y and z of the axis, metres, object frame.
        radius_m: radius of the disc.
        depth: the disc's share of the box's depth, counted from the +x side.
    """

    centre: tuple[float, float]
    radius_m: float
    depth: float

    def share(self, surface: Surface) -> NDArray[np.float32]:
        """Membership (N,) of points, 0 to 1."""
        away = np.linalg.norm(surface.points[:, 1:] - np.asarray(self.centre, np.float32), axis=1)
        ahead = surface.points[:, 0] / surface.sides[0] - (0.5 - self.depth)
        width = _RAMP * float(np.linalg.norm(surface.sides))
        return np.minimum(_ramp((self.radius_m - away) / width), _ramp(ahead / _RAMP))


@dataclass(frozen=True)
class Facing:
    """Points whose normals are near a direction.

    Attributes:
        direction: (3,) unit, object frame.
        cosine: smallest cosine between normal and direction.
    """

    direction: tuple[float, float, float]
    cosine: float

    def share(self, surface: Surface) -> NDArray[np.float32]:
        """Membership (N,) of points, 0 to 1."""
        cosine = surface.normals @ np.asarray(self.direction, dtype=np.float32)
        return _ramp((cosine - self.cosine) / _RAMP)


@dataclass(frozen=True)
class Streak:
    """Highlight of a long lamp along the object's y axis, which moves with the camera.

    Attributes:
        azimuth: azimuth of the lamp about y, radians, from x toward z.
        width: half of the width of the streak on the circle of normals, radians.
    """

    azimuth: float
    width: float

    def share(self, surface: Surface) -> NDArray[np.float32]:
        """Membership (N,) of points, 0 to 1."""
        views = surface.views[:, [0, 2]]
        views = views / np.maximum(np.linalg.norm(views, axis=1, keepdims=True), 1e-6)
        half = views + np.array([np.cos(self.azimuth), np.sin(self.azimuth)], dtype=np.float32)
        turn = np.arctan2(half[:, 1], half[:, 0]) - np.arctan2(
            surface.normals[:, 2], surface.normals[:, 0]
        )
        off = np.abs(np.mod(turn + np.pi, 2.0 * np.pi) - np.pi)
        upright = np.abs(surface.normals[:, 1]) < 0.8
        return np.where(upright, _ramp(2.0 * (1.0 - off / self.width)), np.float32(0.0))


@dataclass(frozen=True)
class Part:
    """Part of an object: the intersection of regions, or everything for none.

    Attributes:
        regions: regions that contain the part.
        loss: probability that a pixel has no depth of the surface, 0 to 1, seen straight on.
        seen: what a camera may measure there instead.
    """

    regions: tuple[Region, ...]
    loss: float
    seen: Seen = "nothing"

    def losses(self, surface: Surface) -> NDArray[np.float32]:
        """Probability (N,) that a point returns no depth; larger at grazing views."""
        cosine = np.einsum("ij,ij->i", surface.normals, surface.views)
        loss = 1.0 - (1.0 - self.loss) * np.sqrt(np.clip(cosine, 0.0, 1.0))
        for region in self.regions:
            loss = loss * region.share(surface)
        return np.asarray(loss, dtype=np.float32)


@dataclass(frozen=True)
class Material:
    """Badly measured parts of an object; where they overlap, the larger loss counts."""

    parts: tuple[Part, ...]

    def losses(self, surface: Surface) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """Probability (N,) that points return no depth, and the parts (N,) that cause it."""
        losses = np.stack([x.losses(surface) for x in self.parts])
        worst = losses.argmax(axis=0)
        return losses[worst, np.arange(losses.shape[1])], worst


def random_material(rng: np.random.Generator, model: CadModel) -> Material:
    """Draw one or two parts, mostly such as are usual for the model's category."""
    usual = _USUAL.get(model.category, ())
    if not usual or rng.random() < _OTHER_SHARE:
        usual = _ALL
    chosen = usual[int(rng.integers(len(usual)))]
    return Material(tuple(part(rng, model) for part in chosen))


def _ramp(x: NDArray[np.floating]) -> NDArray[np.float32]:
    """Ramp from 0 at -0.5 to 1 at 0.5."""
    return np.clip(np.asarray(x, dtype=np.float32) + np.float32(0.5), 0.0, 1.0)


_Y = (0.0, 1.0, 0.0)

_Draw = Callable[[np.random.Generator, CadModel], Part]


def _dark(rng: np.random.Generator, model: CadModel) -> Part:
    """Dark body, sometimes without a band across it, or only in a band."""
    loss = float(rng.uniform(0.25, 0.95))
    if rng.random() < 0.5:
        return Part((), loss)
    low = float(rng.uniform(-0.4, 0.2))
    band = Slab(_Y, low, low + float(rng.uniform(0.15, 0.6)), outside=bool(rng.random() < 0.5))
    return Part((band,), loss)


def _half(rng: np.random.Generator, model: CadModel) -> Part:
    """Everything on one side of a random plane."""
    direction = rng.normal(size=3)
    x, y, z = direction / np.linalg.norm(direction)
    plane = Slab((float(x), float(y), float(z)), low=float(rng.uniform(-0.2, 0.3)))
    return Part((plane,), float(rng.uniform(0.4, 1.0)))


def _clear(rng: np.random.Generator, model: CadModel) -> Part:
    """Clear body, except for a label."""
    low = float(rng.uniform(-0.45, 0.0))
    label = Slab(_Y, low, low + float(rng.uniform(0.15, 0.45)), outside=True)
    below_cap = Slab(_Y, high=float(rng.uniform(0.32, 0.55)))
    return Part((label, below_cap), float(rng.uniform(0.4, 1.0)), "behind")


def _ends(rng: np.random.Generator, model: CadModel) -> Part:
    """Metal or black plastic at the top, at the bottom, or both."""
    depth = float(rng.uniform(0.02, 0.2))
    kind = int(rng.integers(4))
    if kind == 0:
        return Part((Slab(_Y, low=-0.5 + depth, high=0.5 - depth, outside=True),), _strong(rng))
    if kind == 1:
        return Part((Slab(_Y, high=-0.5 + depth),), _strong(rng))
    return Part((Slab(_Y, low=0.5 - depth),), _strong(rng))


def _top(rng: np.random.Generator, model: CadModel) -> Part:
    """Faces that point upward, such as a lid."""
    return Part((Facing(_Y, float(rng.uniform(0.5, 0.9))),), _strong(rng))


def _streak(rng: np.random.Generator, model: CadModel) -> Part:
    """Highlight along the axis."""
    lamp = Streak(float(rng.uniform(0.0, 2.0 * np.pi)), float(rng.uniform(0.04, 0.25)))
    return Part((lamp,), float(rng.uniform(0.6, 1.0)))


def _lens(rng: np.random.Generator, model: CadModel) -> Part:
    """Glass or chrome in the middle of the front."""
    v = model.vertices
    front = v[v[:, 0] > v[:, 0].max() - _FRONT_SHARE * np.ptp(v[:, 0]), 1:]
    low, high = front.min(axis=0), front.max(axis=0)
    y, z = 0.5 * (low + high)
    radius = 0.5 * float(np.min(high - low)) * rng.uniform(0.5, 1.1)
    seen: Seen = "mirrored" if rng.random() < 0.3 else "nothing"
    disc = Front((float(y), float(z)), float(radius), float(rng.uniform(0.1, 0.8)))
    return Part((disc,), _strong(rng), seen)


def _screen(rng: np.random.Generator, model: CadModel) -> Part:
    """Dark or mirroring face toward +x."""
    direction = (float(np.cos(0.3)), float(np.sin(0.3)), 0.0)
    seen: Seen = "mirrored" if rng.random() < 0.5 else "nothing"
    above = Slab(_Y, low=float(rng.uniform(-0.45, -0.3)))
    return Part((Facing(direction, 0.75), above), float(rng.uniform(0.4, 1.0)), seen)


def _strong(rng: np.random.Generator) -> float:
    return float(rng.uniform(0.5, 1.0))


_USUAL: Mapping[str, tuple[tuple[_Draw, ...], ...]] = {
    "bottle": ((_clear,), (_clear,), (_ends,), (_streak,), (_dark,)),
    "bowl": ((_streak,), (_dark,), (_half,)),
    "camera": ((_dark, _lens), (_dark,), (_lens,), (_half,), (_ends,)),
    "can": ((_ends,), (_top,), (_streak,), (_ends, _streak)),
    "laptop": ((_screen,), (_screen, _dark), (_dark,)),
    "mug": ((_streak,), (_streak,), (_dark,), (_half,)),
}
_ALL = ((_dark,), (_half,), (_clear,), (_ends,), (_top,), (_streak,), (_lens,), (_screen,))
