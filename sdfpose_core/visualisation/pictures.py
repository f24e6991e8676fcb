"""Selection of the estimates with the largest errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.evaluation.frame_evaluation import FrameEvaluation, ObjectEvaluation
from sdfpose_core.visualisation.labels import alternative_text

__all__ = ["ErrorImage", "WorstObject", "caption", "worst_objects"]

_MAX_PICTURES = 12
_MAX_PER_OBJECT = 2
"""Maximum number of images of one true object, which may appear in hundreds of frames."""

_DEG, _CM = 10.0, 5.0
"""Rotation and translation errors with equal weight."""


@dataclass(frozen=True)
class ErrorImage:
    """An image of an estimate and its ground truth.

    Attributes:
        caption: caption of the image.
        image: (H, W, 3) uint8, RGB.
    """

    caption: str
    image: NDArray[np.uint8]


@dataclass(frozen=True)
class WorstObject:
    """An estimate with large errors.

    Attributes:
        frame: index of its frame in the list.
        index: index of the object in the frame.
        evaluation: of the object.
    """

    frame: int
    index: int
    evaluation: ObjectEvaluation


def worst_objects(
    frames: Sequence[FrameEvaluation], count: int = _MAX_PICTURES
) -> list[WorstObject]:
    """Select the estimates with the largest errors, worst first, at most two per true object."""
    found = [
        (max(x.errors.rot_err_deg / _DEG, x.errors.trans_err_cm / _CM), WorstObject(i, j, x))
        for i, frame in enumerate(frames)
        for j, x in enumerate(frame.objects)
        if x.errors is not None
    ]
    found.sort(key=lambda x: -x[0])
    shown: Counter[tuple[str, int]] = Counter()
    chosen: list[WorstObject] = []
    for _, x in found:
        truth = x.evaluation.truth
        key = ("", -1) if truth is None else (truth.instance, truth.mask_id)
        if shown[key] < _MAX_PER_OBJECT and len(chosen) < count:
            shown[key] += 1
            chosen.append(x)
    return chosen


def caption(frame: str, evaluation: ObjectEvaluation) -> str:
    """Create the caption for the image of an estimate."""
    x, errors = evaluation.reported, evaluation.errors
    parts = [f"{frame}: {x.category} {x.id}", f"confidence {x.confidence:.2f}"]
    text = ", ".join([*parts, *alternative_text(x)])
    if errors is None:
        return text
    return f"{text}, {errors.rot_err_deg:.1f}°, {errors.trans_err_cm:.1f} cm"
