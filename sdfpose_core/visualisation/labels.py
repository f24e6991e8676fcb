"""Labels of objects: their text, and where they fit into an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.evaluation.pose_errors import rotation_error_deg
from sdfpose_core.observation.frame import Alternative

__all__ = ["Colour", "Labels", "alternative_text", "line_scale"]

Colour = tuple[int, int, int]
"""RGB, 0 to 255."""

_MIN_PROBABILITY = 0.05
"""Less likely alternatives are not mentioned."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_REFERENCE_WIDTH_PX = 640
"""Lines and text are scaled up for images wider than this."""


class _Estimate(Protocol):
    @property
    def category(self) -> str: ...
    @property
    def rotation(self) -> NDArray[np.float64]: ...
    @property
    def symmetric_about_y(self) -> bool | None: ...
    @property
    def alternatives(self) -> tuple[Alternative, ...]: ...


def alternative_text(estimate: _Estimate) -> list[str]:
    """Describe the strongest alternative, e.g. ``or bowl 12 %``, if it is likely; else nothing.

    One of the same category is described by the angle between both rotations.
    """
    if not estimate.alternatives or estimate.alternatives[0].probability < _MIN_PROBABILITY:
        return []
    first = estimate.alternatives[0]
    what = first.category
    if what == estimate.category:
        symmetric = bool(estimate.symmetric_about_y)
        turn = float(rotation_error_deg(first.rotation, estimate.rotation, symmetric))
        what = f"turned {turn:.0f} deg"
    return [f"or {what} {100.0 * first.probability:.0f} %"]


class Labels:
    """Draws labels inside the image without overlap."""

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self._image = image
        self._taken: list[tuple[int, int, int, int]] = []

    def draw(self, lines: Sequence[str], colour: Colour, pixels: NDArray[np.float64]) -> None:
        """Draw text above the pixels (M, 2) of an object, unless the object is out of sight."""
        height, width = self._image.shape[:2]
        if len(pixels) == 0:
            return
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        if low[0] >= width or low[1] >= height or high[0] < 0 or high[1] < 0:
            return
        scale = line_scale(self._image)
        size, thickness, margin = 0.42 * scale, scale, 3 * scale
        sizes = [cv2.getTextSize(x, _FONT, size, thickness) for x in lines]
        row = max(text_height + baseline for (_, text_height), baseline in sizes)
        w = max(text_width for (text_width, _), _ in sizes) + 2 * margin
        h = row * len(lines) + margin
        x = int(np.clip(0.5 * (low[0] + high[0]) - w / 2, 0, max(width - w, 0)))
        y = self._free_row(x, int(np.clip(low[1] - h - 2 * scale, 0, max(height - h, 0))), w, h)
        self._taken.append((x, y, w, h))
        cv2.rectangle(self._image, (x, y), (x + w, y + h), colour, cv2.FILLED)
        ink = (0, 0, 0) if np.dot(colour, (0.299, 0.587, 0.114)) > 140 else (255, 255, 255)
        for i, (line, (_, baseline)) in enumerate(zip(lines, sizes, strict=True), start=1):
            origin = (x + margin, y + margin + i * row - baseline)
            cv2.putText(self._image, line, origin, _FONT, size, ink, thickness, cv2.LINE_AA)

    def _free_row(self, x: int, y: int, w: int, h: int) -> int:
        """Find the row nearest to `y` where a label of this size overlaps no other label."""
        height = self._image.shape[0]
        blocking = [(ty, th) for tx, ty, tw, th in self._taken if tx < x + w and x < tx + tw]
        rows = [y, *(ty - h - 1 for ty, _ in blocking), *(ty + th + 1 for ty, th in blocking)]
        free = [
            row
            for row in rows
            if 0 <= row <= height - h and all(row + h < ty or ty + th < row for ty, th in blocking)
        ]
        return min(free, key=lambda row: abs(row - y), default=y)


def line_scale(image: NDArray[np.uint8]) -> int:
    """Scale factor of line widths and text for the size of the image."""
    return max(1, round(image.shape[1] / _REFERENCE_WIDTH_PX))
