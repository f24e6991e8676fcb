"""Comparison of found instance masks with true ones, whatever their ids and categories.

An object is *found* at a threshold if the intersection over union (IoU) with its partner reaches
it. Partners are taken by falling IoU, each mask once. An IoU above 0.5 then always counts, because
there is at most one such mask (Kirillov et al., "Panoptic Segmentation", CVPR 2019, section 4.1);
the assignment of the largest sum, with which UOIS (Xie et al., "Unseen Object Instance Segmentation
for Robotic Environments", T-RO 2021) and UCN (Xiang et al., "Learning RGB-D Feature Embeddings for
Unseen Object Instance Segmentation", CoRL 2020) match masks, may give it up for two poor pairs.

What went wrong follows Hoover et al., "An Experimental Comparison of Range Image Segmentation
Algorithms", PAMI 1996, section 3.2, with half as the threshold:

- *merged* (under-segmentation): one found mask covers at least half of the object and at least half
  of another one. Both objects are merged.
- *split* (over-segmentation): at least two found masks have at least half of their own pixels in
  the object, and together they cover at least half of it.
- *missed*: all found masks together cover less than half of the object.
- *false*: a found mask with less than half of its own pixels in true objects.

An object may be merged and split, and also found: a plate that swallows a spoon is merged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import ShapeError

__all__ = [
    "MaskComparison",
    "ObjectMask",
    "boundary_f",
    "mask_figures",
    "match_masks",
    "object_figures",
]

BOUNDARY_TOLERANCE = 0.003
"""Boundaries match within this share of the image's diagonal, as in UOIS: 3 of 640x480 pixels."""

_HALF = 0.5

_IGNORED = -1
"""Id of objects that need not be found."""

_SAME_OBJECT_IOU = 0.1
"""Masks with a smaller IoU do not show the same object. NOCS matches boxes with this threshold."""


@dataclass(frozen=True)
class ObjectMask:
    """A true object and the masks that were found on it.

    Attributes:
        id: value in the true mask.
        pixels: number of its pixels.
        found_id: value of its partner in the found mask; 0 if it has none.
        iou: IoU with the partner, 0 to 1; 0 without one.
        best_iou: largest IoU with any found mask, which may be the partner of another object.
        boundary_f: see `boundary_f`, with the partner; 0 without one.
        missed, merged, split: see above.
    """

    id: int
    pixels: int
    found_id: int
    iou: float
    best_iou: float
    boundary_f: float
    missed: bool
    merged: bool
    split: bool

    def as_json(self) -> dict[str, Any]:
        """Convert to a JSON object."""
        return {
            "mask_id": self.id,
            "found_id": self.found_id or None,
            "iou": self.iou,
            "best_iou": self.best_iou,
            "boundary_f": self.boundary_f,
            "missed": self.missed,
            "merged": self.merged,
            "split": self.split,
        }


@dataclass(frozen=True)
class MaskComparison:
    """The masks of one image, compared.

    Attributes:
        objects: the true objects, in the order of their ids.
        found: number of found masks.
        false_ids: ids of those that are false, see above.
    """

    objects: tuple[ObjectMask, ...]
    found: int
    false_ids: tuple[int, ...]

    @property
    def partners(self) -> dict[int, int]:
        """Id of the true object by the id of the found mask that shows it."""
        return {x.found_id: x.id for x in self.objects if x.iou >= _SAME_OBJECT_IOU}


def match_masks(
    truth: NDArray[np.integer],
    found: NDArray[np.integer],
    *,
    min_pixels: int = 1,
    ignore: NDArray[np.bool_] | None = None,
) -> MaskComparison:
    """Compare the found masks of an image with the true ones.

    Args:
        truth: (H, W), id of the true object per pixel, 0 = background.
        found: (H, W), id of the found mask per pixel, 0 = background.
        min_pixels: true objects with fewer pixels need not be found; a mask on them is not false.
        ignore: (H, W), pixels of further objects that need not be found; a mask on them is not
            false either.

    Raises:
        ShapeError: the masks are not images of the same size.
    """
    if truth.ndim != 2 or truth.shape != found.shape:
        raise ShapeError(
            f"true and found masks have the shapes {truth.shape} and {found.shape}: expected two "
            "images (H, W) of the same size"
        )
    if ignore is not None:
        if ignore.shape != truth.shape:
            raise ShapeError(
                f"ignored pixels have the shape {ignore.shape}: expected {truth.shape}, that of "
                "the true masks"
            )
        truth = np.where(ignore, _IGNORED, truth.astype(np.int64))
    true_ids, found_ids, shared, true_pixels, found_pixels = _overlaps(truth, found)
    in_objects = shared.sum(axis=0)
    false_ids = found_ids[in_objects < _HALF * found_pixels]
    judged = (true_pixels >= min_pixels) & (true_ids != _IGNORED)
    true_ids, shared, true_pixels = true_ids[judged], shared[judged], true_pixels[judged]

    iou = shared / (true_pixels[:, None] + found_pixels[None] - shared)
    partner = _partners(iou)
    covered = shared >= _HALF * true_pixels[:, None]
    merged = (covered & (covered.sum(axis=0) >= 2)).any(axis=1)
    parts = shared >= _HALF * found_pixels[None]
    in_parts = np.where(parts, shared, 0).sum(axis=1)
    split = (parts.sum(axis=1) >= 2) & (in_parts >= _HALF * true_pixels)
    missed = shared.sum(axis=1) < _HALF * true_pixels
    objects = []
    for i, true_id in enumerate(true_ids):
        j = partner.get(i)
        objects.append(
            ObjectMask(
                id=int(true_id),
                pixels=int(true_pixels[i]),
                found_id=0 if j is None else int(found_ids[j]),
                iou=0.0 if j is None else float(iou[i, j]),
                best_iou=float(iou[i].max(initial=0.0)),
                boundary_f=0.0
                if j is None
                else boundary_f(truth == true_id, found == found_ids[j]),
                missed=bool(missed[i]),
                merged=bool(merged[i]),
                split=bool(split[i]),
            )
        )
    return MaskComparison(tuple(objects), len(found_ids), tuple(int(x) for x in false_ids))


def boundary_f(
    truth: NDArray[np.bool_], found: NDArray[np.bool_], tolerance: float = BOUNDARY_TOLERANCE
) -> float:
    """F-measure of the boundaries of two masks, 0 to 1.

    Precision is the share of the found boundary near the true one, recall the share of the true
    boundary near the found one (Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for
    Video Object Segmentation", CVPR 2016, section 4.1). The border of the image is no boundary.

    Args:
        truth: (H, W), pixels of the true mask.
        found: (H, W), pixels of the found mask.
        tolerance: distance up to which pixels are near, as a share of the image's diagonal, rounded
            up to pixels.
    """
    reach = int(np.ceil(tolerance * np.hypot(*truth.shape)))
    box = _box_around(truth | found, reach + 1)
    true_edge, found_edge = _boundary(truth[box]), _boundary(found[box])
    if not true_edge.any() or not found_edge.any():
        return float(true_edge.any() == found_edge.any())
    precision = np.mean(_near(true_edge, reach)[found_edge])
    recall = np.mean(_near(found_edge, reach)[true_edge])
    both = precision + recall
    return float(2.0 * precision * recall / both) if both > 0.0 else 0.0


def object_figures(objects: Sequence[ObjectMask]) -> dict[str, Any]:
    """Compute shares of objects, per cent; None without objects.

    - ``n``: number of objects.
    - ``iou50``, ``iou75``: objects with an IoU of at least 0.5 and 0.75.
    - ``missed``, ``merged``, ``split``: see above.
    """
    measures = {
        "iou50": [x.iou >= 0.5 for x in objects],
        "iou75": [x.iou >= 0.75 for x in objects],
        "missed": [x.missed for x in objects],
        "merged": [x.merged for x in objects],
        "split": [x.split for x in objects],
    }
    shares = {k: 100.0 * float(np.mean(x)) if x else None for k, x in measures.items()}
    return {"n": len(objects), **shares}


def mask_figures(comparisons: Sequence[MaskComparison]) -> dict[str, Any]:
    """Compute the figures of several images: those of `object_figures` over all objects, and more.

    - ``false_per_frame``: mean number of false masks; None without images.
    - ``boundary_f``: mean over the objects, 0 to 1; None without objects.
    """
    objects = [x for comparison in comparisons for x in comparison.objects]
    false = [len(x.false_ids) for x in comparisons]
    edges = [x.boundary_f for x in objects]
    return {
        **object_figures(objects),
        "false_per_frame": float(np.mean(false)) if false else None,
        "boundary_f": float(np.mean(edges)) if edges else None,
    }


def _overlaps(
    truth: NDArray[np.integer], found: NDArray[np.integer]
) -> tuple[
    NDArray[np.integer],
    NDArray[np.integer],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
]:
    """Count the pixels that the masks share.

    Returns:
        Ids (T,) of the true and (F,) of the found masks, shared pixels (T, F), pixels (T,) of each
        true and (F,) of each found mask; without background.
    """
    true_ids, true_at = np.unique(truth.reshape(-1), return_inverse=True)
    found_ids, found_at = np.unique(found.reshape(-1), return_inverse=True)
    size = (len(true_ids), len(found_ids))
    pairs = np.bincount(true_at * size[1] + found_at, minlength=size[0] * size[1]).reshape(size)
    rows, columns = true_ids != 0, found_ids != 0
    return (
        true_ids[rows],
        found_ids[columns],
        pairs[rows][:, columns],
        pairs.sum(axis=1)[rows],
        pairs.sum(axis=0)[columns],
    )


def _partners(iou: NDArray[np.float64]) -> dict[int, int]:
    """Pair rows and columns by falling IoU (T, F), each once; overlap is required."""
    partner: dict[int, int] = {}
    taken: set[int] = set()
    rows, columns = np.nonzero(iou)
    for k in np.argsort(-iou[rows, columns], kind="stable"):
        row, column = int(rows[k]), int(columns[k])
        if row not in partner and column not in taken:
            partner[row] = column
            taken.add(column)
    return partner


def _box_around(mask: NDArray[np.bool_], margin: int) -> tuple[slice, slice]:
    """Rows and columns of a mask's pixels, with a margin as far as the image reaches."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    rows = slice(max(top - margin, 0), top + height + margin)
    return rows, slice(max(left - margin, 0), left + width + margin)


def _boundary(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of a mask with a neighbour outside it; outside the image is not outside the mask."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    return mask & (cv2.erode(mask.astype(np.uint8), cross) == 0)


def _near(edge: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Pixels within a distance, pixels, of those of an edge."""
    away = cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(away <= reach)
