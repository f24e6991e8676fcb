"""Masks predicted by a detector for images of the NOCS data.

They are published as pickles, ``results_SPLIT_SCENE_NUMBER.pkl`` for ``PART/SCENE/NUMBER``, with
``masks`` (H, W, N) bool, ``class_ids`` and ``scores`` (N,).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sdfpose_core.datasets.nocs import NOCS_CATEGORIES
from sdfpose_core.errors import FrameError, PickleError
from sdfpose_core.observation.frame import GroundTruth, InstanceLabel, RgbdFrame
from sdfpose_core.storage.pickles import load_pickle

__all__ = ["detected", "detections_file", "match_ground_truth"]

_MIN_OVERLAP = 0.5
"""Minimum mask IoU of a detection and its ground-truth object."""


def detections_file(folder: Path | str, stem: Path) -> Path:
    """Path of the detections of the image at `stem`, in a folder of detections."""
    part, scene, number = stem.parts[-3:]
    return Path(folder) / f"results_{part}_{scene}_{number}.pkl"


def detected(frame: RgbdFrame, path: Path | str) -> RgbdFrame:
    """Replace the mask of a frame with the masks of a detector, numbered from 1.

    Where masks overlap, the one with the higher score wins.

    Args:
        frame: frame with any mask.
        path: pickle with the detections.

    Raises:
        FrameError: the pickle is missing, damaged, contains more than plain data, or does not
            match the image.
    """
    try:
        found = load_pickle(path)
    except PickleError as error:
        raise FrameError(str(error)) from error
    masks, class_ids, scores = _checked(found, path, frame.mask.shape)
    mask = np.zeros(frame.mask.shape, dtype=np.uint16)
    labels: dict[int, InstanceLabel] = {}
    for number, index in enumerate(np.argsort(scores, kind="stable"), start=1):
        mask[masks[..., index]] = number
        category = NOCS_CATEGORIES[class_ids[index] - 1]
        labels[number] = InstanceLabel(category, float(np.clip(scores[index], 0.0, 1.0)))
    visible = set(np.unique(mask).tolist())
    return replace(frame, mask=mask, labels={k: v for k, v in labels.items() if k in visible})


def match_ground_truth(
    frame: RgbdFrame, truths: list[GroundTruth], seen: RgbdFrame
) -> dict[int, GroundTruth]:
    """Assign true poses to detected masks by overlap.

    Args:
        frame: the image with its ground-truth masks.
        truths: ground truth of the image; its ids refer to `frame`.
        seen: the same image with the masks of a detector.

    Returns:
        The ground truth by the id of the detected mask.
    """
    found: dict[int, GroundTruth] = {}
    for truth in truths:
        own = frame.mask == truth.mask_id
        best, best_overlap = 0, _MIN_OVERLAP
        for mask_id, label in seen.labels.items():
            if label.category != truth.category or mask_id in found:
                continue
            other = seen.mask == mask_id
            overlap = float((own & other).sum()) / float((own | other).sum())
            if overlap > best_overlap:
                best, best_overlap = mask_id, overlap
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
    masks = np.asarray(found["masks"])
    class_ids = np.asarray(found["class_ids"]).reshape(-1)
    scores = np.asarray(found["scores"]).reshape(-1)
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
    wrong = [int(x) for x in class_ids if not 1 <= x <= len(NOCS_CATEGORIES)]
    if wrong or not np.isfinite(scores.astype(np.float64)).all():
        raise FrameError(
            f"{path}: has class ids {wrong or 'in range'} and scores {scores.tolist()}: expected "
            f"ids from 1 to {len(NOCS_CATEGORIES)} and finite scores"
        )
    return masks.astype(bool), [int(x) for x in class_ids], scores.astype(np.float64)
