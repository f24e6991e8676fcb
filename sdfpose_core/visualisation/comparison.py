"""Two estimates of the same frame side by side, with what differs in the caption."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import Categories
from sdfpose_core.evaluation.pose_errors import rotation_error_deg, translation_error_m
from sdfpose_core.observation.frame import ObjectEstimate, RgbdFrame
from sdfpose_core.visualisation.drawing import box_pixels, draw_outlines, draw_overlay

__all__ = ["change", "differences", "draw_comparison"]

_PANEL_PX = 560
"""Width of a panel, pixels."""

_MARGIN = 0.12
"""Margin around the objects relative to the size of the crop."""

_TITLE_PX, _LINE_PX, _PADDING_PX, _GAP_PX = 30, 20, 10, 6
_FONT, _TEXT_SIZE, _TITLE_SIZE = cv2.FONT_HERSHEY_SIMPLEX, 0.45, 0.6
_COLUMNS = 130
"""Characters per line of the caption."""

_PAPER, _INK, _MASK_COLOUR = (255, 255, 255), (20, 20, 20), (255, 255, 255)

_DEG, _M = 10.0, 0.05
"""Changes of rotation and translation with equal weight."""

_MEASURES = {
    "confidence": "confidence {:.2f}",
    "inlier_ratio": "points on the surface {:.0%}",
    "free_space_violation": "surface in free space {:.0%}",
}
"""Measures of an estimate in the caption."""


def change(before: Sequence[ObjectEstimate], after: Sequence[ObjectEstimate]) -> float:
    """Measure how much the poses of a frame differ: 1 for 10 degrees or 5 cm.

    The largest change of all objects counts. An object that only one of the two found counts as
    an infinite change.

    Args:
        before: estimates of a frame.
        after: other estimates of the same frame.
    """
    old, new = _by_id(before), _by_id(after)
    if old.keys() != new.keys():
        return float("inf")
    turned = [_turned_deg(x, new[i]) / _DEG for i, x in old.items()]
    moved = [_moved_m(x, new[i]) / _M for i, x in old.items()]
    return max([*turned, *moved], default=0.0)


def differences(before: Sequence[ObjectEstimate], after: Sequence[ObjectEstimate]) -> list[str]:
    """Describe per object which figures differ, and how far the estimate moved.

    Args:
        before: estimates of a frame.
        after: other estimates of the same frame.

    Returns:
        One line per object, in ASCII.
    """
    old, new = _by_id(before), _by_id(after)
    lines = []
    for mask_id in sorted(old.keys() | new.keys()):
        if mask_id not in old or mask_id not in new:
            title = "before" if mask_id in old else "after"
            known = old.get(mask_id) or new[mask_id]
            lines.append(f"{known.category} {mask_id}: estimated {title} only")
            continue
        a, b = old[mask_id], new[mask_id]
        parts = [*_changed_figures(a, b), *_motion(a, b)]
        lines.append(f"{b.category} {mask_id}: {', '.join(parts) or 'no difference'}")
    return lines


def draw_comparison(
    frame: RgbdFrame,
    before: Sequence[ObjectEstimate],
    after: Sequence[ObjectEstimate],
    categories: Categories,
) -> NDArray[np.uint8]:
    """Draw two estimates of a frame side by side, cropped to the objects.

    The outlines of the objects' masks are white. The caption lists the figures that differ.

    Args:
        frame: frame to draw; its images are not modified.
        before: estimates for the left panel.
        after: estimates for the right panel.
        categories: see `draw_overlay`.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    cropped = _cropped(frame, [*before, *after])
    panels = []
    for title, estimates in (("before", before), ("after", after)):
        overlay = draw_overlay(cropped, estimates, categories)
        draw_outlines(overlay, cropped.mask, _MASK_COLOUR)
        heading = _blank(_TITLE_PX, _PANEL_PX)
        _write(heading, title, _TITLE_PX - 9, _TITLE_SIZE)
        panels.append(np.vstack([heading, overlay]))
    row = np.hstack([panels[0], _blank(len(panels[0]), _GAP_PX), panels[1]])
    lines = [
        part
        for line in differences(before, after)
        for part in textwrap.wrap(line, _COLUMNS, subsequent_indent="    ")
    ]
    caption = _blank(len(lines) * _LINE_PX + 2 * _PADDING_PX, row.shape[1])
    for i, line in enumerate(lines):
        _write(caption, line, _PADDING_PX + (i + 1) * _LINE_PX - 6, _TEXT_SIZE)
    return np.vstack([row, caption])


def _by_id(estimates: Sequence[ObjectEstimate]) -> dict[int, ObjectEstimate]:
    return {x.mask_id: x for x in estimates}


def _turned_deg(a: ObjectEstimate, b: ObjectEstimate) -> float:
    symmetric = a.symmetric_about_y and b.symmetric_about_y
    return float(rotation_error_deg(a.rotation, b.rotation, symmetric))


def _moved_m(a: ObjectEstimate, b: ObjectEstimate) -> float:
    return float(translation_error_m(a.translation, b.translation))


def _changed_figures(a: ObjectEstimate, b: ObjectEstimate) -> list[str]:
    """Figures that differ as printed."""
    found = []
    for name, text in _MEASURES.items():
        if name == "confidence":
            old, new = a.confidence, b.confidence
        elif name in a.diagnostics and name in b.diagnostics:
            old, new = a.diagnostics[name], b.diagnostics[name]
        else:
            continue
        first, second = text.format(old), text.format(new)
        if first != second:
            found.append(f"{first} -> {second.rsplit(' ', 1)[1]}")
    return found


def _motion(a: ObjectEstimate, b: ObjectEstimate) -> list[str]:
    """Changes of place, rotation and size that do not round to zero."""
    found = (
        ("moved", f"{100.0 * _moved_m(a, b):.1f}", " cm"),
        ("turned", f"{_turned_deg(a, b):.1f}", " deg"),
        ("size", f"{100.0 * (b.scale / a.scale - 1.0):+.1f}", " %"),
    )
    return [f"{name} {value}{unit}" for name, value, unit in found if float(value) != 0.0]


def _cropped(frame: RgbdFrame, estimates: Sequence[ObjectEstimate]) -> RgbdFrame:
    """Crop a frame to the estimates and resize it to the width of a panel."""
    height, width = frame.mask.shape
    pixels = box_pixels(frame.camera, estimates)
    low, high = np.zeros(2), np.array([width, height], dtype=np.float64)
    if len(pixels):
        margin = _MARGIN * float(np.ptp(pixels, axis=0).max())
        low = np.clip(np.floor(pixels.min(axis=0) - margin), 0, high - 1)
        high = np.clip(np.ceil(pixels.max(axis=0) + margin), low + 1, high)
    (left, top), (right, bottom) = low.astype(int).tolist(), high.astype(int).tolist()
    # The shape of the panel is at most 4:3 upright, so that high objects do not make it huge.
    lack = int(0.75 * (bottom - top)) - (right - left)
    if lack > 0:
        left = max(left - lack // 2, 0)
        right = min(right + lack // 2, width)
    size = (_PANEL_PX, max(round(_PANEL_PX * (bottom - top) / (right - left)), 1))
    part = np.s_[top:bottom, left:right]
    colour = cv2.resize(frame.colour[part], size, interpolation=cv2.INTER_AREA)
    mask = np.where(np.isin(frame.mask, [x.mask_id for x in estimates]), frame.mask, 0)[part]
    mask = cv2.resize(mask.astype(np.uint16), size, interpolation=cv2.INTER_NEAREST)
    return replace(
        frame,
        colour=np.asarray(colour, dtype=np.uint8),
        depth=np.zeros(size[::-1], np.float32),
        mask=np.asarray(mask, dtype=np.uint16),
        camera=frame.camera.crop(left, top, right - left, bottom - top).resize(*size),
    )


def _blank(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), _PAPER, dtype=np.uint8)


def _write(image: NDArray[np.uint8], text: str, baseline: int, size: float) -> None:
    cv2.putText(image, text, (_PADDING_PX, baseline), _FONT, size, _INK, 1, cv2.LINE_AA)
