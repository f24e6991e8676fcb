"""The images beside the scene: colour with boxes and ids, and depth in false colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import Categories
from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.viewer.views import ObjectView
from sdfpose_core.visualisation.drawing import draw_overlay

__all__ = ["colour_picture", "depth_picture"]

_WIDTH_PX = 640
"""Larger images are shrunk to this width: they are shown no larger, and have to be sent."""

_NEAR_FAR = (2.0, 98.0)
"""Percentiles of depth that get the first and the last colour."""

_STRIDE = 16
"""Of the known depths, one in this many is enough for the percentiles."""

_MISSING = 40
"""Grey of missing depth."""

_NO_FACES = np.zeros((0, 3), dtype=np.int32)


def colour_picture(
    frame: RgbdFrame, objects: Sequence[ObjectView], categories: Categories
) -> NDArray[np.uint8]:
    """Draw boxes, axes and ids over the colour image.

    The surfaces are left out: they are in the scene, and drawing them takes long.

    Returns:
        (H, W, 3) uint8, RGB; at most 640 pixels wide.
    """
    drawn = draw_overlay(
        frame,
        [replace(x.estimate, faces=_NO_FACES) for x in objects],
        categories,
        ids=[x.id for x in objects],
    )
    return np.asarray(_shrunk(drawn, cv2.INTER_AREA), dtype=np.uint8)


def depth_picture(depth: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Paint depth (H, W), metres, 0 = missing, in false colours: near is red, far is blue.

    Returns:
        (H, W, 3) uint8, RGB; at most 640 pixels wide. Missing depth is dark grey.
    """
    depth = np.asarray(_shrunk(depth, cv2.INTER_NEAREST), dtype=np.float32)
    known = depth > 0.0
    picture = np.full((*depth.shape, 3), _MISSING, dtype=np.uint8)
    if not known.any():
        return picture
    near, far = np.percentile(depth[known][::_STRIDE], _NEAR_FAR)
    slope = -255.0 / max(float(far - near), 1e-3)
    nearness = cv2.convertScaleAbs(np.minimum(depth, far) - far, alpha=slope)
    painted = cv2.cvtColor(cv2.applyColorMap(nearness, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    cv2.copyTo(painted, known.view(np.uint8), picture)
    return picture


def _shrunk(
    image: NDArray[np.integer | np.floating], interpolation: int
) -> NDArray[np.integer | np.floating]:
    height, width = image.shape[:2]
    if width <= _WIDTH_PX:
        return image
    size = (_WIDTH_PX, max(1, round(height * _WIDTH_PX / width)))
    return np.asarray(cv2.resize(image, size, interpolation=interpolation))
