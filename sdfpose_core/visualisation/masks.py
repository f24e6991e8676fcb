"""Drawing of instance masks over the colour image: ids, true beside found ones, estimates."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import Categories
from sdfpose_core.evaluation.mask_metrics import MaskComparison
from sdfpose_core.observation.frame import ObjectEstimate
from sdfpose_core.visualisation.drawing import draw_outlines
from sdfpose_core.visualisation.labels import Colour, Labels, line_scale

__all__ = ["draw_estimated_masks", "draw_mask_comparison", "draw_masks"]

_OPACITY = 0.35

_HUE_STEP = 0.618034
"""Golden ratio: any number of successive hues are far apart."""

_FALSE_COLOUR: Colour = (255, 255, 255)
_OTHER_COLOUR: Colour = (200, 200, 200)
_PAPER, _INK = 255, (20, 20, 20)
_GAP_PX = 6
_FONT, _TEXT_SIZE, _LINE_PX = cv2.FONT_HERSHEY_SIMPLEX, 0.5, 24


def draw_masks(
    colour: NDArray[np.uint8],
    ids: NDArray[np.integer],
    colours: Mapping[int, Colour] | None = None,
) -> NDArray[np.uint8]:
    """Draw masks over a colour image: filled, with outlines and ids.

    Args:
        colour: (H, W, 3) uint8, RGB; not modified.
        ids: (H, W), id per pixel, 0 = background.
        colours: colour of each id; by default, they differ as much as possible.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    present = [int(i) for i in np.unique(ids) if i != 0]
    colours = _hues(present) if colours is None else colours
    image = np.array(colour, order="C")
    outlines = {}
    for mask_id in present:
        inside = ids == mask_id
        tint = np.array(colours[mask_id], dtype=np.float32)
        image[inside] = (1.0 - _OPACITY) * image[inside] + _OPACITY * tint
        outlines[mask_id], _ = cv2.findContours(
            inside.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
        )
    for mask_id, outline in outlines.items():
        cv2.drawContours(image, outline, -1, colours[mask_id], line_scale(image), cv2.LINE_AA)
    labels = Labels(image)
    for mask_id, outline in outlines.items():
        pixels = np.concatenate(outline).reshape(-1, 2)
        labels.draw([str(mask_id)], colours[mask_id], pixels.astype(np.float64))
    return image


def draw_mask_comparison(
    colour: NDArray[np.uint8],
    truth: NDArray[np.integer],
    found: NDArray[np.integer],
    comparison: MaskComparison,
) -> NDArray[np.uint8]:
    """Draw the true masks of an image and, to the right, the found ones.

    An object and its partner have the same colour; other found masks are white.

    Args:
        colour: (H, W, 3) uint8, RGB; not modified.
        truth: (H, W), id of the true object per pixel, 0 = background.
        found: (H, W), id of the found mask per pixel, 0 = background.
        comparison: of these masks.

    Returns:
        (H', W', 3) uint8, RGB.
    """
    true_colours = _hues([int(i) for i in np.unique(truth) if i != 0])
    partners = comparison.partners
    found_colours = {
        int(i): true_colours[partners[int(i)]] if int(i) in partners else _FALSE_COLOUR
        for i in np.unique(found)
    }
    right = sum(x.iou >= 0.5 for x in comparison.objects)
    titles = (
        f"true: {len(comparison.objects)}",
        f"found: {comparison.found}; {right} objects at IoU 0.5, {len(comparison.false_ids)} false",
    )
    images = (draw_masks(colour, truth, true_colours), draw_masks(colour, found, found_colours))
    panels = [_titled(x, title) for x, title in zip(images, titles, strict=True)]
    gap = np.full((len(panels[0]), _GAP_PX, 3), _PAPER, dtype=np.uint8)
    return np.hstack([panels[0], gap, panels[1]])


def draw_estimated_masks(
    colour: NDArray[np.uint8],
    ids: NDArray[np.integer],
    estimates: Sequence[ObjectEstimate],
    categories: Categories,
    notes: Mapping[int, str] | None = None,
) -> NDArray[np.uint8]:
    """Outline the masks of estimates, with category, mask id and confidence; others in grey.

    Args:
        colour: (H, W, 3) uint8, RGB; not modified.
        ids: (H, W), mask id per pixel, 0 = background.
        estimates: estimates to draw, by their masks.
        categories: table of categories, with their colours.
        notes: second line of the label by mask id.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    image = np.array(colour, order="C")
    drawn = np.isin(ids, [x.mask_id for x in estimates])
    draw_outlines(image, np.where(drawn, 0, ids), _OTHER_COLOUR)
    for x in estimates:
        draw_outlines(image, np.where(ids == x.mask_id, ids, 0), categories[x.category].colour)
    labels = Labels(image)
    for x in estimates:
        lines = [f"{x.category} {x.mask_id}  {x.confidence:.2f}"]
        if notes and x.mask_id in notes:
            lines.append(notes[x.mask_id])
        pixels = np.argwhere(ids == x.mask_id)[:, ::-1]
        labels.draw(lines, categories[x.category].colour, pixels.astype(np.float64))
    return image


def _hues(ids: list[int]) -> dict[int, Colour]:
    found = {}
    for place, mask_id in enumerate(ids):
        r, g, b = colorsys.hsv_to_rgb(place * _HUE_STEP % 1.0, 0.85, 1.0)
        found[mask_id] = (round(255 * r), round(255 * g), round(255 * b))
    return found


def _titled(image: NDArray[np.uint8], title: str) -> NDArray[np.uint8]:
    heading = np.full((_LINE_PX, image.shape[1], 3), _PAPER, dtype=np.uint8)
    cv2.putText(heading, title, (6, _LINE_PX - 8), _FONT, _TEXT_SIZE, _INK, 1, cv2.LINE_AA)
    return np.vstack([heading, image])
