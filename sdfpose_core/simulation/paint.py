"""Surface colours: procedural patterns in the object frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Paint", "Pattern", "Surface"]

Pattern = Literal[
    "plain",
    "label",
    "dipped",
    "speckled",
    "wood",
    "tiles",
    "laptop",
    "marbled",
    "striped",
    "checked",
]

Rgb = tuple[int, int, int]

_MOTTLE = np.array([17.0, 23.0, 29.0], dtype=np.float32)
_MOTTLE_SHARE = 0.025
"""Wave vector (per diagonal) and relative amplitude of a slight brightness variation."""

_PLANK_M = 0.16
_KEY_M = 0.019


class Surface(Protocol):
    """Colour and gloss of an object's surface."""

    @property
    def gloss(self) -> float:
        """Strength of the highlight, 0 to 1."""

    def albedo(
        self,
        points: NDArray[np.floating],
        normals: NDArray[np.floating],
        dimensions_m: NDArray[np.floating],
    ) -> NDArray[np.float32]:
        """Compute the RGB (N, 3), 0 to 1, of surface points; see `Paint.albedo`."""


@dataclass(frozen=True)
class Paint:
    """Colour of a surface as a function of the point on it.

    Attributes:
        base: RGB, 0 to 255.
        pattern: ``plain``; ``label``: a band of the accent around the middle; ``dipped``: the lower
            part in the accent; ``speckled``: small spots; ``wood``: planks along x; ``tiles``: a
            grid in the plane y = 0; ``laptop``: screen and keys in the accent; ``marbled``: veins;
            ``striped``: slanted stripes; ``checked``: checks in three directions.
        accent: RGB of the pattern's second colour.
        gloss: strength of the highlight, 0 to 1.
        period: length of a period of ``marbled``, ``striped`` and ``checked``: diagonals of the
            object, at most one metre per diagonal.
        phase: where these patterns begin, radians.
    """

    base: Rgb
    pattern: Pattern = "plain"
    accent: Rgb = (255, 255, 255)
    gloss: float = 0.25
    period: float = 0.25
    phase: float = 0.0

    def albedo(
        self,
        points: NDArray[np.floating],
        normals: NDArray[np.floating],
        dimensions_m: NDArray[np.floating],
    ) -> NDArray[np.float32]:
        """Compute the RGB (N, 3), 0 to 1, of surface points.

        Args:
            points: (N, 3), metres, object frame.
            normals: (N, 3), unit, outward, object frame.
            dimensions_m: (3,) sides of the object's box.
        """
        p = np.asarray(points, dtype=np.float32)
        sides = np.asarray(dimensions_m, dtype=np.float32)
        base = np.asarray(self.base, dtype=np.float32) / np.float32(255.0)
        accent = np.asarray(self.accent, dtype=np.float32) / np.float32(255.0)
        mottle = np.sin(p @ (_MOTTLE / np.float32(np.linalg.norm(sides))))
        share = self._accent_share(p, normals, sides)
        colour = base + share[:, None] * (accent - base)
        return np.asarray(colour * (1.0 + _MOTTLE_SHARE * mottle[:, None]), dtype=np.float32)

    def _accent_share(
        self, p: NDArray[np.float32], normals: NDArray[np.floating], sides: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Share (N,) of the accent colour at each point, 0 to 1."""
        x, y, z = p.T
        height = y / sides[1]
        if self.pattern == "label":
            return _step(height + 0.24) * _step(0.16 - height)
        if self.pattern == "dipped":
            return _step(-0.12 + 0.03 * np.sin(np.arctan2(z, x) * 3.0) - height)
        if self.pattern == "speckled":
            spots = np.sin(310.0 * x) * np.sin(290.0 * y + 1.0) * np.sin(330.0 * z + 2.0)
            return _step(spots - 0.55)
        if self.pattern == "wood":
            return _wood(x, z)
        if self.pattern == "tiles":
            gap = np.minimum(np.abs(np.mod(x, 0.3) - 0.15), np.abs(np.mod(z, 0.3) - 0.15))
            return _step(0.004 - gap, 0.002)
        if self.pattern == "laptop":
            return _laptop(p, normals, sides)
        if self.pattern in ("marbled", "striped", "checked"):
            length = self.period * min(float(np.linalg.norm(sides)), 1.0)
            return _periodic(self.pattern, p * np.float32(2.0 * np.pi / length), self.phase)
        return np.zeros_like(x)


def _step(x: NDArray[np.floating], width: float = 0.01) -> NDArray[np.float32]:
    """Ramp: 0 below zero, 1 above `width`, linear in between."""
    return np.clip(np.asarray(x, dtype=np.float32) / width, 0.0, 1.0)


def _wood(x: NDArray[np.float32], z: NDArray[np.float32]) -> NDArray[np.float32]:
    """Grain and joints of planks along x."""
    plank = np.floor(z / _PLANK_M)
    tone = np.sin(plank * 12.9898) * 43758.5453
    tone -= np.floor(tone)
    warp = 0.012 * np.sin(5.0 * x + 20.0 * tone)
    grain = 0.5 + 0.5 * np.sin((z + warp) * 170.0 + 3.0 * np.sin(2.5 * x + 30.0 * tone))
    joint = _step(0.0015 - np.abs(z - _PLANK_M * np.round(z / _PLANK_M)), 0.0008)
    return np.asarray(np.clip(0.4 * tone + 0.22 * grain + 0.5 * joint, 0.0, 1.0), np.float32)


def _periodic(pattern: Pattern, q: NDArray[np.float32], phase: float) -> NDArray[np.float32]:
    """Share (N,) of the accent at points (N, 3), radians, of a pattern with a period of 2 pi."""
    x, y, z = q.T + np.float32(phase)
    if pattern == "striped":
        wave = np.sin(0.5 * x + 0.8 * y + 0.33 * z)
    elif pattern == "checked":
        wave = np.sin(x) * np.sin(y + 0.7) * np.sin(z + 1.9)
    else:
        warp = np.sin(1.3 * x + 1.1) + np.sin(0.9 * y + 2.3) + np.sin(1.1 * z + 0.4)
        wave = np.sin(0.6 * x + 0.5 * y + 0.62 * z + 1.6 * warp + 0.8 * np.sin(3.1 * y + warp))
    return _step(wave, 0.15 if pattern != "marbled" else 0.8)


def _laptop(
    p: NDArray[np.float32], normals: NDArray[np.floating], sides: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Screen on the inside of the lid, and keys between screen and palm rest."""
    x, y, z = p.T
    above = y + 0.5 * sides[1]
    lid = (normals[:, 0] > 0.15) & (normals[:, 1] < 0.9) & (above > 0.1 * sides[2])
    screen = lid * _step(0.45 - np.abs(z / sides[2])) * _step(0.46 - y / sides[1])
    deck = (normals[:, 1] > 0.9) & (above < 0.15 * sides[2])
    front = 0.5 * sides[0] - x
    keyboard = (front > 0.3 * sides[2]) & (front < 0.6 * sides[2])
    gap = np.minimum(
        np.abs(np.mod(front, _KEY_M) - 0.5 * _KEY_M), np.abs(np.mod(z, _KEY_M) - 0.5 * _KEY_M)
    )
    keys = deck * keyboard * _step(0.43 - np.abs(z / sides[2])) * _step(gap - 0.001, 0.001)
    return np.asarray(np.maximum(screen, keys), dtype=np.float32)
