"""Captions of pictures, in any script that the font of matplotlib has."""

from __future__ import annotations

import unicodedata

import cv2
import numpy as np
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.textpath import TextPath
from numpy.typing import NDArray

__all__ = ["write_caption"]

_FONT = FontProperties(family="DejaVu Sans")  # comes with matplotlib

_SUPERSAMPLING = 4
"""Outlines are filled at this many times the resolution, since OpenCV smooths edges poorly."""


def write_caption(
    image: NDArray[np.uint8],
    text: str,
    at: tuple[int, int],
    colour: tuple[int, int, int],
    size_px: float = 10.0,
) -> None:
    r"""Write one line into an image; what does not fit is cut off.

    A character that the font lacks is written as its code, such as ``\u4e2d``, so that names which
    differ stay different.

    Args:
        image: (H, W, 3) uint8, RGB; changed.
        text: the line.
        at: column and row of its start on the baseline, pixels.
        colour: of the text, RGB.
        size_px: size of the font.
    """
    if not text.strip():
        return
    outlines = TextPath((0.0, 0.0), _drawable(text), size=size_px, prop=_FONT).to_polygons()
    outlines = [np.array(at) + np.asarray(x) * (1.0, -1.0) for x in outlines]
    low = np.floor(np.concatenate(outlines).min(axis=0)).astype(int).clip(0)
    high = np.ceil(np.concatenate(outlines).max(axis=0)).astype(int) + 1
    part = image[low[1] : high[1], low[0] : high[0]]
    if not part.size:
        return
    size = np.array(part.shape[:2])
    cover = np.zeros(_SUPERSAMPLING * size, dtype=np.uint8)
    points = [np.rint(_SUPERSAMPLING * (x - low)).astype(np.int32) for x in outlines]
    cv2.fillPoly(cover, points, 255)
    ink = cv2.resize(cover, size[::-1].tolist(), interpolation=cv2.INTER_AREA)[..., None] / 255.0
    part[:] = np.rint(part * (1.0 - ink) + np.array(colour) * ink).astype(np.uint8)


def _drawable(text: str) -> str:
    """Compose letters and their marks, and replace what the font lacks; ``$`` is no formula."""
    known = get_font(findfont(_FONT)).get_charmap()
    composed = unicodedata.normalize("NFC", text)
    shown = (x if ord(x) in known else x.encode("unicode_escape").decode() for x in composed)
    return "".join(shown).replace("$", r"\$")
