"""The body of a mug without its handle, and whether a view shows the handle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.shapes.sdf_samples import sample_surface

__all__ = ["HANDLE_PIXELS", "HANDLE_SHARE", "BodyProfile"]

HANDLE_PIXELS = 30
"""A handle of fewer pixels is not visible..."""

HANDLE_SHARE = 0.01
"""...nor is one with less than this share of the instance's pixels."""

_MARGIN_M = 0.002
"""Points outside the body by less may belong to its wall (facets, quantised profile)."""

_PROFILE_BINS = 24
_PROFILE_SAMPLES = 6000


@dataclass(frozen=True)
class BodyProfile:
    """Outline of a mug without its handle: a surface of revolution about an upright axis.

    Attributes:
        axis_x_m: the axis goes through (axis_x_m, *, 0), object frame: a handle moves the centre
            of the bounding box away from it.
        heights_m: (K,) ascending, object frame.
        radii_m: (K,) largest distance of the body's wall from the axis at those heights.
    """

    axis_x_m: float
    heights_m: NDArray[np.float64]
    radii_m: NDArray[np.float64]

    @classmethod
    def of(cls, vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> BodyProfile:
        """Measured on the side that has no handle (-x).

        Args:
            vertices: (V, 3), metres, object frame.
            faces: (F, 3).

        Raises:
            MeshError: the mesh has no area.
        """
        inner = sample_surface(vertices, faces, np.random.default_rng(0), _PROFILE_SAMPLES)
        points = np.concatenate([inner, vertices])
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        # A handle is flat: it adds to the extent along x, never to that along z.
        axis = float(low[0] + 0.5 * (high[2] - low[2]))
        away = points[points[:, 0] < axis]
        distance = np.hypot(away[:, 0] - axis, away[:, 2])
        edges = np.linspace(low[1], high[1], _PROFILE_BINS + 1)
        bins = np.clip(np.digitize(away[:, 1], edges) - 1, 0, _PROFILE_BINS - 1)
        radii = np.zeros(_PROFILE_BINS)
        np.maximum.at(radii, bins, distance)
        heights = 0.5 * (edges[1:] + edges[:-1])
        known = radii > 0.0
        return cls(axis, heights[known], radii[known])

    def scaled(self, factor: float) -> BodyProfile:
        """That of a mug so many times as large."""
        return BodyProfile(factor * self.axis_x_m, factor * self.heights_m, factor * self.radii_m)

    def outside(self, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Which points (N, 3), metres, object frame, stand out beyond the body."""
        distance = np.hypot(points[:, 0] - self.axis_x_m, points[:, 2])
        radius = np.interp(points[:, 1], self.heights_m, self.radii_m)
        return np.asarray(distance > radius + _MARGIN_M)

    def handle_visible(
        self, points: NDArray[np.floating], handle_pixels: float = HANDLE_PIXELS
    ) -> bool:
        """Whether a view shows enough of what stands out beyond the body.

        Args:
            points: (N, 3), metres, object frame, one for each pixel with depth.
            handle_pixels: fewer are not enough; the default is for images of some 640x480.
        """
        outside = int(np.count_nonzero(self.outside(points)))
        return outside >= handle_pixels and outside >= HANDLE_SHARE * len(points)
