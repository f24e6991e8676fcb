"""Masks predicted by a detector for images of the NOCS data.

They are published as pickles, ``results_SPLIT_SCENE_NUMBER.pkl`` for ``PART/SCENE/NUMBER``, with
``masks`` (H, W, N) bool, ``class_ids`` and ``scores`` (N,).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import Categories
from sdfpose_core.datasets.nocs import NOCS_CATEGORIES
from sdfpose_core.errors import FrameError, PickleError
from sdfpose_core.observation.frame import (
    GroundTruth,
    Instance,
    InstanceLabel,
    RgbdFrame,
    SkippedInstance,
)
from sdfpose_core.observation.segmentation import segment_masks
from sdfpose_core.storage.pickles import load_pickle

__all__ = [
    "Detected",
    "detections_file",
    "match_ground_truth",
    "own_masks",
    "read_detections",
    "segment_detections",
]

_MIN_OVERLAP = 0.5
"""Minimum mask IoU of a detection and its ground-truth object."""


@dataclass(frozen=True)
class Detected:
    """An object that a detector reports in an image.

    Attributes:
        mask_id: number of the detection in its image, from 1.
        category: name of the category.
        score: score of the detector, as written.
        mask: (H, W) bool; masks of an image may overlap.
    """

    mask_id: int
    category: str
    score: float
    mask: NDArray[np.bool_]


def detections_file(folder: Path | str, stem: Path) -> Path:
    """Path of the detections of the image at `stem`, in a folder of detections."""
    part, scene, number = stem.parts[-3:]
    return Path(folder) / f"results_{part}_{scene}_{number}.pkl"


def read_detections(path: Path | str, size: tuple[int, int]) -> list[Detected]:
    """Read the detections of an image, in the order of the file.

    Args:
        path: pickle with the detections.
        size: height and width of the image.

    Raises:
        FrameError: the pickle is missing, damaged, contains more than plain data, or does not
            match the image.
    """
    try:
        found = load_pickle(path)
    except PickleError as error:
        raise FrameError(str(error)) from error
    masks, class_ids, scores = _checked(found, path, size)
    return [
        Detected(
            number,
            NOCS_CATEGORIES[class_id - 1],
            float(score),
            np.ascontiguousarray(masks[..., number - 1]),
        )
        for number, (class_id, score) in enumerate(zip(class_ids, scores, strict=True), start=1)
    ]


def own_masks(frame: RgbdFrame) -> list[Detected]:
    """The labelled masks of a frame as the detections of a perfect detector, with score 1."""
    return [Detected(i, x.category, 1.0, frame.mask == i) for i, x in sorted(frame.labels.items())]


def segment_detections(
    frame: RgbdFrame,
    detections: Sequence[Detected],
    categories: Categories,
    *,
    min_points: int = 50,
) -> tuple[list[Instance], list[SkippedInstance]]:
    """Split a frame into one instance per detection, each with its whole mask.

    Args:
        frame: frame with any mask.
        detections: objects to measure.
        categories: known categories.
        min_points: detections with fewer valid depth pixels are skipped.

    Returns:
        Instances in the order of their ids, and the skipped detections with reasons.
    """
    union = np.zeros(frame.mask.shape, dtype=np.uint16)
    for x in detections:
        union[x.mask] = x.mask_id
    labels = {
        x.mask_id: InstanceLabel(x.category, float(np.clip(x.score, 0.0, 1.0))) for x in detections
    }
    instances, skipped = segment_masks(
        replace(frame, mask=union, labels=labels),
        {x.mask_id: x.mask for x in detections},
        categories,
        min_points=min_points,
    )
    skipped += [
        SkippedInstance(x.mask_id, x.category, "the mask is empty")
        for x in detections
        if not x.mask.any()
    ]
    return instances, skipped


def match_ground_truth(
    mask: NDArray[np.integer], truths: Sequence[GroundTruth], detections: Sequence[Detected]
) -> dict[int, GroundTruth]:
    """Assign true poses to detections by overlap.

    Args:
        mask: (H, W), the ground-truth masks of the image.
        truths: ground truth of the image; its ids refer to `mask`.
        detections: detections in the image.

    Returns:
        The ground truth by the id of the detection.
    """
    found: dict[int, GroundTruth] = {}
    for truth in truths:
        own = mask == truth.mask_id
        best, best_overlap = 0, _MIN_OVERLAP
        for x in detections:
            if x.category != truth.category or x.mask_id in found:
                continue
            overlap = float((own & x.mask).sum()) / max(float((own | x.mask).sum()), 1.0)
            if overlap > best_overlap:
                best, best_overlap = x.mask_id, overlap
        if best:
            found[best] = replace(truth, mask_id=best)
    return found


def _checked(
    found: Any, path: Path | str, size: tuple[int, ...]
) -> tuple[np.ndarray[Any, Any], list[int], np.ndarray[Any, Any]]:
    """Check the content of a pickle; return masks (H, W, N), class ids and scores (N,)."""
    keys = ("masks", "class_ids", "scores")
    if not isinstance(found, Mapping) or any(name not in found for name in keys):
        content = sorted(map(str, found)) if isinstance(found, Mapping) else type(found).__name__
        raise FrameError(
            f"{path}: contains {content}: expected a dictionary with {', '.join(keys)}"
        )
    masks, class_ids, scores = (_numbers(found[name], name, path) for name in keys)
    class_ids, scores = class_ids.reshape(-1), scores.reshape(-1)
    count = len(class_ids)
    if masks.size == 0:
        masks = np.zeros((*size, 0), dtype=bool)
    if masks.shape != (*size, count) or len(scores) != count:
        raise FrameError(
            f"{path}: has masks {masks.shape}, {count} class ids and {len(scores)} scores: "
            f"expected masks {(*size, count)} and {count} scores"
        )
    if not np.issubdtype(class_ids.dtype, np.integer) and count:
        raise FrameError(f"{path}: has class ids of type {class_ids.dtype}: expected integers")
    wrong = sorted({int(x) for x in class_ids if not 1 <= x <= len(NOCS_CATEGORIES)})
    if wrong:
        raise FrameError(
            f"{path}: has class ids {wrong}: expected ids from 1 to {len(NOCS_CATEGORIES)}"
        )
    if infinite := int((~np.isfinite(scores.astype(np.float64))).sum()):
        raise FrameError(
            f"{path}: {infinite} of {count} scores are not finite: expected finite scores"
        )
    if masks.dtype != bool and not np.isin(masks, (0, 1, 255)).all():
        raise FrameError(
            f"{path}: has masks with values between {masks.min()} and {masks.max()}: expected "
            "booleans, or 0 for the background and 1 or 255 for the object"
        )
    return masks.astype(bool), [int(x) for x in class_ids], scores.astype(np.float64)


def _numbers(values: Any, name: str, path: Path | str) -> np.ndarray[Any, Any]:
    """Convert an entry of a pickle to an array of real numbers or booleans."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise FrameError(f"{path}: {name} is no array ({error}): expected numbers") from error
    if array.size and array.dtype.kind not in "biuf":
        raise FrameError(f"{path}: {name} has the type {array.dtype}: expected numbers")
    return array
