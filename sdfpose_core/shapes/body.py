"""Body of a mug without its handle, and visibility of the handle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.shapes.sdf_samples import sample_surface

__all__ = [
    "BODY_MARGIN_M",
    "HANDLE_PIXELS",
    "HANDLE_SHARE",
    "REFERENCE_FOCAL_PX",
    "BodyProfile",
]

REFERENCE_FOCAL_PX = 600.0
"""Focal length of a typical 640x480 depth camera."""

HANDLE_PIXELS = 30
"""Minimum number of pixels of a visible handle in an image of that camera, beyond what noise
explains..."""

HANDLE_SHARE = 0.01
"""...and their minimum share of the instance's pixels."""

BODY_MARGIN_M = 0.002
"""Points this close to the body may belong to its wall (facets, quantised profile)."""

_MAX_REACH = 2.5
"""A handle reaches at most this many radii of the body from its axis."""

_SECTORS, _HANDLE_SECTORS = 36, 6
"""Sectors about the axis; a handle takes up neighbouring ones, 60 degrees together."""

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

    def outside(
        self, points: NDArray[np.floating], margin_m: float = BODY_MARGIN_M
    ) -> NDArray[np.bool_]:
        """Select the points (N, 3), metres, object frame, where a handle may be: beside the body.

        Args:
            points: the points.
            margin_m: points this close to the body belong to it, metres.
        """
        distance, height = np.hypot(points[:, 0] - self.axis_x_m, points[:, 2]), points[:, 1]
        radius = np.interp(height, self.heights_m, self.radii_m)
        beside = (height >= self.heights_m[0]) & (height <= self.heights_m[-1])
        near = distance < _MAX_REACH * self.radii_m.max()
        return np.asarray(beside & near & (distance > radius + margin_m))

    def handle_visible(
        self,
        points: NDArray[np.floating],
        handle_pixels: float = HANDLE_PIXELS,
        margin_m: float = BODY_MARGIN_M,
    ) -> bool:
        """Whether enough points lie outside the body, in one place, for the handle to be visible.

        Noise puts points outside the body all around, a handle in 60 degrees about the axis. So
        those that the share outside at the other azimuths predicts do not count.

        Args:
            points: (N, 3), metres, object frame, one per pixel with depth.
            handle_pixels: minimum number of points outside; the default suits images of about
                640x480 pixels.
            margin_m: points this close to the body belong to it, metres; more for noisy points.
        """
        azimuth = np.arctan2(points[:, 2], points[:, 0] - self.axis_x_m)
        sector = np.floor((azimuth / (2.0 * np.pi) + 0.5) * _SECTORS).astype(int) % _SECTORS
        outside = self.outside(points, margin_m)
        inside_of, outside_of = (
            np.bincount(sector[x], minlength=_SECTORS).astype(np.float64)
            for x in (~outside, outside)
        )
        beside, handle = _sliding_sum(inside_of), _sliding_sum(outside_of)
        # Noise moves the same share of the body's points outside everywhere.
        elsewhere = np.maximum(inside_of.sum() - beside, 1.0)
        excess = float((handle - beside * (outside_of.sum() - handle) / elsewhere).max())
        return excess >= handle_pixels and excess >= HANDLE_SHARE * len(points)


def _sliding_sum(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of each sector's count and those of the next ones, as many as a handle takes up."""
    return np.sum([np.roll(counts, -i) for i in range(_HANDLE_SECTORS)], axis=0)
