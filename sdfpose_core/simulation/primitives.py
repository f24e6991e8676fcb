"""Boxes, cylinders and spheres for tables, walls and occluders."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.shapes.model import CadModel

__all__ = ["box", "cylinder", "sphere"]

_BOX_CORNERS = np.array(
    [[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)], dtype=np.float64
)
_BOX_FACES = np.array(
    [
        [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
        [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
    ],
    dtype=np.int32,
)  # fmt: skip


def box(x_m: float, y_m: float, z_m: float) -> CadModel:
    """Create an axis-aligned box, metres."""
    return CadModel("box", "", _BOX_CORNERS * (x_m, y_m, z_m), _BOX_FACES)


def cylinder(radius_m: float, height_m: float, segments: int = 48) -> CadModel:
    """Create a cylinder with axis y, metres."""
    half = 0.5 * height_m
    outline = np.array([[0.0, -half], [radius_m, -half], [radius_m, half], [0.0, half]])
    return CadModel("cylinder", "", *_revolve(outline, segments))


def sphere(radius_m: float, segments: int = 32) -> CadModel:
    """Create a sphere, metres."""
    angle = np.linspace(-0.5 * np.pi, 0.5 * np.pi, segments // 2 + 1)
    outline = radius_m * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    outline[[0, -1], 0] = 0.0
    return CadModel("sphere", "", *_revolve(outline, segments))


def _revolve(
    outline: NDArray[np.float64], segments: int
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Revolve an outline (N, 2), (radius, y) from pole to pole, about y."""
    angle = np.linspace(0.0, 2.0 * np.pi, segments, endpoint=False)
    ring = outline[1:-1]
    around = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    vertices = np.empty((len(ring), segments, 3))
    vertices[..., 0] = ring[:, :1] * around[:, 0]
    vertices[..., 1] = ring[:, 1:]
    vertices[..., 2] = ring[:, :1] * around[:, 1]
    poles = np.array([[0.0, outline[0, 1], 0.0], [0.0, outline[-1, 1], 0.0]])
    bottom, top = len(ring) * segments, len(ring) * segments + 1

    i = np.arange(segments)
    j = (i + 1) % segments
    low = (np.arange(len(ring) - 1) * segments)[:, None]
    high = low + segments
    a, b = low + i, low + j
    c, d = high + i, high + j
    last = (len(ring) - 1) * segments
    faces = np.concatenate(
        [
            np.stack([a, c, d], axis=-1).reshape(-1, 3),
            np.stack([a, d, b], axis=-1).reshape(-1, 3),
            np.stack([np.full_like(i, bottom), i, j], axis=-1),
            np.stack([np.full_like(i, top), last + j, last + i], axis=-1),
        ]
    )
    return np.concatenate([vertices.reshape(-1, 3), poles]), faces.astype(np.int32)
