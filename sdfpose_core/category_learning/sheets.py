"""The picture of the orientations, which people look at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.shapes.captions import write_caption
from sdfpose_core.shapes.contact_sheet import render_model
from sdfpose_core.shapes.model import CadModel

__all__ = ["alignment_sheet"]

_VIEWS = (("front", 0.0, 0.0), ("side", 90.0, 0.0), ("top", 90.0, 89.9))
"""Names, yaw and pitch of the camera, degrees. From the side and from above, x is to the right."""

_AXES = (("x", (200, 40, 40)), ("y", (30, 140, 30)), ("z", (40, 70, 210)))
_GREY, _WARNING = (70, 70, 70), (200, 40, 40)
_LINE_PX = 16
_LEAST_LENGTH = 0.2
"""Axes that point to the camera, or away, are not drawn."""


def alignment_sheet(
    models: Sequence[CadModel], notes: Mapping[str, str], *, size: int = 160
) -> NDArray[np.uint8]:
    """Render each model from its front, its side and above, with the axes of the object frame.

    Args:
        models: in the object frame; at least one.
        notes: by the names of models, what is doubtful.
        size: side of one view, pixels.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    columns = max(2, math.ceil(math.sqrt(len(models)) / 2.0))
    rows = [
        np.concatenate(
            [_model(x, notes.get(x.name), size) for x in models[i : i + columns]], axis=1
        )
        for i in range(0, len(models), columns)
    ]
    width = max(x.shape[1] for x in rows)
    return np.concatenate(
        [np.pad(x, ((0, 0), (0, width - x.shape[1]), (0, 0)), constant_values=255) for x in rows]
    )


def _model(model: CadModel, note: str | None, size: int) -> NDArray[np.uint8]:
    """The three views of one model, with its name and what is doubtful above."""
    views = []
    for name, yaw_deg, pitch_deg in _VIEWS:
        image = np.ascontiguousarray(render_model(model, size, yaw_deg, pitch_deg))
        _draw_axes(image, yaw_deg, pitch_deg)
        write_caption(image, name, (3, size - 4), _GREY)
        views.append(image)
    title = np.full((2 * _LINE_PX, 3 * size, 3), 255, dtype=np.uint8)
    write_caption(title, model.name, (3, _LINE_PX - 4), _GREY)
    if note is not None:
        write_caption(title, note, (3, 2 * _LINE_PX - 4), _WARNING)
    return np.concatenate([title, np.concatenate(views, axis=1)])


def _draw_axes(image: NDArray[np.uint8], yaw_deg: float, pitch_deg: float) -> None:
    yaw, pitch = np.deg2rad(yaw_deg), np.deg2rad(pitch_deg)
    back = np.array([np.cos(pitch) * np.cos(yaw), np.sin(pitch), np.cos(pitch) * np.sin(yaw)])
    right = np.cross([0.0, 1.0, 0.0], back)
    right /= np.linalg.norm(right)
    up = np.cross(back, right)
    length = 0.13 * len(image)
    origin = np.array([1.4 * length, len(image) - 2.4 * length])
    for axis, (name, colour) in zip(np.eye(3), _AXES, strict=True):
        along = np.array([axis @ right, -(axis @ up)])
        if np.linalg.norm(along) < _LEAST_LENGTH:
            continue
        end = origin + length * along
        points = [tuple(round(float(v)) for v in x) for x in (origin, end)]
        cv2.arrowedLine(image, points[0], points[1], colour, 1, cv2.LINE_AA, tipLength=0.3)
        write_caption(image, name, (int(end[0]) + 2, int(end[1]) - 2), colour)
