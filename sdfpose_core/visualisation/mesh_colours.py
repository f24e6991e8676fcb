"""Vertex colours of a reconstructed surface, sampled from the image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sdfpose_core.observation.frame import ObjectEstimate, RgbdFrame

__all__ = ["sample_colours"]

_DEPTH_TOLERANCE_M = 0.02
"""A vertex farther behind the measured depth than this is occluded."""

_FACING = 0.1
"""Smallest cosine of the viewing angle: at grazing angles the sampled colour would smear."""


def sample_colours(
    estimate: ObjectEstimate, frame: RgbdFrame, fallback: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Sample the colours of the vertices of an estimate's mesh.

    A visible vertex takes the colour of its pixel. A hidden vertex takes the colour of the nearest
    visible one.

    Args:
        estimate: estimate with a mesh.
        frame: frame of the estimate.
        fallback: RGB of the whole mesh if no vertex is visible.

    Returns:
        (V, 3) uint8, RGB.
    """
    vertices = estimate.vertices
    colours = np.empty((len(vertices), 3), dtype=np.uint8)
    colours[:] = fallback
    points = vertices @ estimate.rotation.T + estimate.translation
    visible, pixels = _visible_vertices(estimate, points, frame)
    if not visible.any():
        return colours
    sampled = frame.colour[pixels[:, 1], pixels[:, 0]]
    colours[visible] = sampled
    _, nearest = cKDTree(vertices[visible]).query(vertices[~visible])
    colours[~visible] = sampled[nearest]
    return colours


def _visible_vertices(
    estimate: ObjectEstimate, points: NDArray[np.floating], frame: RgbdFrame
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return which points (V, 3), camera frame, are visible, and the pixels (M, 2) of those."""
    distance = np.linalg.norm(points, axis=1)
    normals = estimate.normals @ estimate.rotation.T
    facing = -(normals * points).sum(axis=1) > _FACING * distance
    visible = facing & (points[:, 2] > 0.0)
    pixels = np.zeros((len(points), 2), dtype=np.int64)
    pixels[visible] = np.rint(frame.camera.project(points[visible])).astype(np.int64)
    visible &= frame.camera.contains(pixels)
    u, v = pixels[visible].T
    depth = frame.depth[v, u]
    hidden = (depth > 0.0) & (points[visible, 2] > depth + _DEPTH_TOLERANCE_M)
    visible[visible] = (frame.mask[v, u] == estimate.mask_id) & ~hidden
    return visible, pixels[visible]
