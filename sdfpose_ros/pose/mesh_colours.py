"""Colours of a reconstructed surface, taken from the image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sdfpose_core.observation.frame import ObjectEstimate, RgbdFrame

__all__ = ["sample_colours"]

_DEPTH_TOLERANCE_M = 0.02
"""A vertex further behind the measured depth than this is hidden."""

_FACING = 0.1
"""Surfaces that the camera sees at a flatter angle (cosine) take no colour: it would smear."""


def sample_colours(
    estimate: ObjectEstimate, frame: RgbdFrame, fallback: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Colour of every vertex of an estimate's mesh.

    A vertex that the camera sees has the colour of its pixel, any other that of the nearest one
    that is seen.

    Args:
        estimate: with a mesh.
        frame: the frame that it was made from.
        fallback: RGB of the whole mesh where no vertex is seen.

    Returns:
        (V, 3) uint8, RGB.
    """
    vertices = estimate.vertices
    colours = np.empty((len(vertices), 3), dtype=np.uint8)
    colours[:] = fallback
    points = vertices @ estimate.rotation.T + estimate.translation
    seen, pixels = _seen_vertices(estimate, points, frame)
    if not seen.any():
        return colours
    sampled = frame.colour[pixels[:, 1], pixels[:, 0]]
    colours[seen] = sampled
    _, nearest = cKDTree(vertices[seen]).query(vertices[~seen])
    colours[~seen] = sampled[nearest]
    return colours


def _seen_vertices(
    estimate: ObjectEstimate, points: NDArray[np.floating], frame: RgbdFrame
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which of the points (V, 3), camera frame, the camera sees; and the pixels (M, 2) of those."""
    distance = np.linalg.norm(points, axis=1)
    normals = estimate.normals @ estimate.rotation.T
    facing = -(normals * points).sum(axis=1) > _FACING * distance
    seen = facing & (points[:, 2] > 0.0)
    pixels = np.zeros((len(points), 2), dtype=np.int64)
    pixels[seen] = np.rint(frame.camera.project(points[seen])).astype(np.int64)
    seen &= frame.camera.contains(pixels)
    u, v = pixels[seen].T
    depth = frame.depth[v, u]
    hidden = (depth > 0.0) & (points[seen, 2] > depth + _DEPTH_TOLERANCE_M)
    seen[seen] = (frame.mask[v, u] == estimate.mask_id) & ~hidden
    return seen, pixels[seen]
