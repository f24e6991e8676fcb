"""Silhouettes: the depth of a mesh in the pixels that it covers.

The triangles that face the camera are drawn row by row into a depth buffer (Pineda, "A Parallel
Algorithm for Polygon Rasterization", SIGGRAPH 1988), all of them at once. For the few thousand
pixels of an object this takes less time than to build the tree that a ray caster needs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import ObjectEstimate

__all__ = ["Silhouette", "silhouette"]

_NEAR_M = 0.01
"""A mesh that reaches nearer to the camera than this has no silhouette."""

_NEXT, _LAST = [1, 2, 0], [2, 0, 1]
"""The other two corners of a triangle, in order."""


@dataclass(frozen=True)
class Silhouette:
    """The pixels that a mesh covers.

    Attributes:
        box: rows and columns of the smallest part of the image that contains them.
        depth: (h, w) float32, metres: depth of the mesh in that part, 0 where it is not.
    """

    box: tuple[slice, slice]
    depth: NDArray[np.float32]


def silhouette(estimate: ObjectEstimate, camera: PinholeCamera) -> Silhouette | None:
    """Draw the mesh of an estimate, without what hides it.

    Args:
        estimate: its faces are counter-clockwise seen from outside.
        camera: of the image.

    Returns:
        None if there is no mesh, it is outside the image, or it reaches the camera.
    """
    if not len(estimate.faces):
        return None
    rotation = estimate.rotation.astype(np.float32)
    place = estimate.vertices @ rotation.T + estimate.translation.astype(np.float32)
    if place[:, 2].min() < _NEAR_M:
        return None
    pixels = camera.project(place)
    low = np.maximum(np.floor(pixels.min(axis=0)), 0.0).astype(np.int64)
    high = np.minimum(np.ceil(pixels.max(axis=0)) + 1.0, (camera.width, camera.height))
    width, height = np.maximum(high.astype(np.int64) - low, 0).tolist()
    if width * height == 0:
        return None
    u, v = (pixels - low).T.astype(np.float64)
    nearest = _drawn(u, v, 1.0 / place[:, 2], estimate.faces, (height, width))
    if not nearest.any():
        return None
    depth = np.divide(1.0, nearest, out=np.zeros_like(nearest), where=nearest > 0.0)
    return Silhouette((slice(low[1], low[1] + height), slice(low[0], low[0] + width)), depth)


def _drawn(
    u: NDArray[np.float64],
    v: NDArray[np.float64],
    nearness: NDArray[np.float32],
    faces: NDArray[np.integer],
    size: tuple[int, int],
) -> NDArray[np.float32]:
    """Largest inverse depth (h, w), 1 / m, of a mesh at each pixel, 0 where it is not.

    Args:
        u: (V,) columns of the vertices.
        v: (V,) rows of the vertices.
        nearness: (V,) inverse depths of the vertices, 1 / m.
        faces: (F, 3); those that face the camera are clockwise in the image, where v points down.
        size: (h, w).
    """
    height, width = size
    first, second, third = faces.T
    area = (u[second] - u[first]) * (v[third] - v[first])
    area -= (v[second] - v[first]) * (u[third] - u[first])
    front = area < 0.0
    area, faces = area[front], faces[front]
    u, v, nearness = (np.ascontiguousarray(x[faces].T) for x in (u, v, nearness))  # (3, F)
    top, bottom = np.ceil(v.min(axis=0)), np.floor(v.max(axis=0))
    hit = (top <= bottom) & (np.ceil(u.min(axis=0)) <= np.floor(u.max(axis=0)))
    area, top, bottom = area[hit], top[hit], bottom[hit]
    u, v, nearness = (x.compress(hit, axis=1) for x in (u, v, nearness))

    # Each edge is a function of the pixel: 0 on the edge, 1 at the opposite corner.
    u1, u2, v1, v2 = u[_NEXT], u[_LAST], v[_NEXT], v[_LAST]
    along, across, offset = (v1 - v2) / area, (u2 - u1) / area, (u1 * v2 - v1 * u2) / area
    # Inverse depth is linear in the image: the sum of the edges, weighted by their corners.
    slope_u, slope_v, at_zero = ((x * nearness).sum(axis=0) for x in (along, across, offset))

    face, row = _ranges(top, bottom, height)
    along, across, offset = (x.take(face, axis=1) for x in (along, across, offset))
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = -(across * row + offset) / along
    left = np.where(along > 0.0, crossing, -np.inf).max(axis=0)
    right = np.where(along < 0.0, crossing, np.inf).min(axis=0)
    span, column = _ranges(left, right, width)
    at_row = slope_v[face] * row + at_zero[face]
    value = (slope_u[face][span] * column + at_row[span]).astype(np.float32)
    nearest = np.zeros(height * width, dtype=np.float32)
    np.maximum.at(nearest, row[span] * width + column, value)
    return nearest.reshape(height, width)


def _ranges(
    low: NDArray[np.floating], high: NDArray[np.floating], size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All whole numbers from `low` (N,) to `high` (N,) that are less than `size`, and not negative.

    Returns:
        Index of the interval and the number, both (M,).
    """
    begin = np.ceil(np.clip(low, 0.0, size)).astype(np.int64)
    end = np.floor(np.clip(high, -1.0, size - 1.0)).astype(np.int64)
    count = np.maximum(end - begin + 1, 0)
    index = np.repeat(np.arange(len(count)), count)
    return index, begin[index] + np.arange(len(index)) - (np.cumsum(count) - count)[index]
