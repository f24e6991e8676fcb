"""Cleaning of the ragged outlines of labels that were computed from depth."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["clean_outlines"]


def clean_outlines(
    labels: NDArray[np.int32], missing: NDArray[np.bool_], gap_px: int
) -> NDArray[np.int32]:
    """Reduce each label to one connected component without holes.

    Gaps are closed where depth is missing, and holes are filled, except for pixels of other
    labels. Only the largest component of a label is kept.

    Args:
        labels: (H, W), 0 = background.
        missing: (H, W), pixels without depth.
        gap_px: width up to which gaps are closed, pixels.

    Returns:
        (H, W) labels; a label may disappear.
    """
    cleaned = np.zeros_like(labels)
    kernel = np.ones((gap_px | 1, gap_px | 1), dtype=np.uint8)
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        rows, columns = (slice(max(x.start - gap_px, 0), x.stop + gap_px) for x in box)
        around = labels[rows, columns]
        own = around == label
        closed = cv2.morphologyEx(own.astype(np.uint8), cv2.MORPH_CLOSE, kernel) > 0
        whole = (own | (closed & missing[rows, columns])).astype(np.uint8)
        outlines, _ = cv2.findContours(whole, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        largest = max(outlines, key=cv2.contourArea)
        filled = np.zeros_like(whole)
        cv2.drawContours(filled, [largest], -1, 1, thickness=cv2.FILLED)
        free = own | ((around == 0) & (cleaned[rows, columns] == 0))
        cleaned[rows, columns][(filled > 0) & free] = label
    return cleaned
