"""Body of a mug without its handle, and visibility of the handle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.shapes.sdf_samples import sample_surface

__all__ = ["HANDLE_PIXELS", "HANDLE_SHARE", "BodyProfile"]

HANDLE_PIXELS = 30
"""Minimum number of pixels of a visible handle."""

HANDLE_SHARE = 0.01
"""Minimum share of the instance's pixels of a visible handle."""

_MARGIN_M = 0.002
"""Points this close to the body may belong to its wall (facets, quantised profile)."""

_PROFILE_BINS = 24
_PROFILE_SAMPLES = 6000


@dataclass(frozen=True)
class BodyProfile:
    """Outline of a mug without its handle: a surface of revolution about an upright axis.

    Attributes:
        axis_x_m: the axis goes through (axis_x_m, *, 0), object frame. It is off the centre of
            the bounding box because of the handle.
        heights_m: (K,) ascending, object frame.
        radii_m: (K,) maximum distance of the wall from the axis at those heights.
    """

    axis_x_m: float
    heights_m: NDArray[np.float64]
    radii_m: NDArray[np.float64]

    @classmethod
    def of(cls, vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> BodyProfile:
        """Measure the profile of a mesh on the side without the handle (-x).

        Args:
            vertices: (V, 3), metres, object frame.
            faces: (F, 3).

        Raises:
            MeshError: the mesh has no area.
        """
        sampled = sample_surface(vertices, faces, np.random.default_rng(0), _PROFILE_SAMPLES)
        points = np.concatenate([sampled, vertices])
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        # A handle is flat: it extends the box along x, never along z.
        axis = float(low[0] + 0.5 * (high[2] - low[2]))
        opposite = points[points[:, 0] < axis]
        distance = np.hypot(opposite[:, 0] - axis, opposite[:, 2])
        edges = np.linspace(low[1], high[1], _PROFILE_BINS + 1)
        bins = np.clip(np.digitize(opposite[:, 1], edges) - 1, 0, _PROFILE_BINS - 1)
        radii = np.zeros(_PROFILE_BINS)
        np.maximum.at(radii, bins, distance)
        heights = 0.5 * (edges[1:] + edges[:-1])
        known = radii > 0.0
        return cls(axis, heights[known], radii[known])

    def scaled(self, factor: float) -> BodyProfile:
        """Profile scaled by a factor."""
        return BodyProfile(factor * self.axis_x_m, factor * self.heights_m, factor * self.radii_m)

    def outside(self, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Select the points (N, 3), metres, object frame, that lie outside the body."""
        distance = np.hypot(points[:, 0] - self.axis_x_m, points[:, 2])
        radius = np.interp(points[:, 1], self.heights_m, self.radii_m)
        return np.asarray(distance > radius + _MARGIN_M)

    def handle_visible(
        self, points: NDArray[np.floating], handle_pixels: float = HANDLE_PIXELS
    ) -> bool:
        """Whether enough points lie outside the body for the handle to be visible.

        Args:
            points: (N, 3), metres, object frame, one per pixel with depth.
            handle_pixels: minimum number of points outside; the default suits images of about
                640x480 pixels.
        """
        outside = int(np.count_nonzero(self.outside(points)))
        return outside >= handle_pixels and outside >= HANDLE_SHARE * len(points)
