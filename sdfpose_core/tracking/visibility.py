"""Visibility: whether an image should show an object whose pose is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.geometry.directions import fibonacci_sphere
from sdfpose_core.observation.frame import ObjectEstimate, RgbdFrame

__all__ = ["should_be_visible", "visible_share"]

_MAX_POINTS = 256

_NEAREST_M = 0.01

_VISIBLE_SHARE = 0.5
"""An image should show an object if it would show this share of the surface that faces it."""

_IN_FRONT_M, _IN_FRONT_SHARE = 0.02, 0.1
"""Depth hides a point if it is nearer by more than this, or by this share of the diagonal."""


def should_be_visible(estimate: ObjectEstimate, frame: RgbdFrame) -> bool:
    """Whether an image should show an object, if it is where it is believed to be.

    Args:
        estimate: of the object, camera frame.
        frame: the image.
    """
    return visible_share(estimate, frame) >= _VISIBLE_SHARE


def visible_share(estimate: ObjectEstimate, frame: RgbdFrame) -> float:
    """Share, 0 to 1, of the surface facing the camera that is in the image and not hidden.

    A point is hidden if the depth at its pixel is nearer. One without depth may or may not be
    hidden, and does not count as visible. Without a mesh, the ellipsoid inside the object's box
    stands for its surface.

    Args:
        estimate: of the object, camera frame.
        frame: the image.
    """
    points, normals = _surface(estimate)
    points = points @ estimate.rotation.T + estimate.translation
    facing = np.einsum("ij,ij->i", normals @ estimate.rotation.T, points) <= 0.0
    points = points[facing]
    ahead = points[points[:, 2] > _NEAREST_M]
    if len(ahead) == 0:
        return 0.0
    pixels = np.rint(frame.camera.project(ahead)).astype(np.int64)
    inside = frame.camera.contains(pixels)
    u, v = pixels[inside].T
    depth, expected = frame.depth[v, u], ahead[inside, 2]
    slack = max(_IN_FRONT_M, _IN_FRONT_SHARE * estimate.scale)
    return float(np.count_nonzero(depth > expected - slack)) / len(points)


def _surface(estimate: ObjectEstimate) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points and outward normals (N, 3) of the surface, metres, object frame."""
    count = len(estimate.vertices)
    if count == 0:
        directions = fibonacci_sphere(_MAX_POINTS).astype(np.float64)
        half = 0.5 * np.asarray(estimate.dimensions_m)
        return directions * half, directions / half
    step = -(-count // _MAX_POINTS)
    return (
        estimate.vertices[::step].astype(np.float64),
        estimate.normals[::step].astype(np.float64),
    )
