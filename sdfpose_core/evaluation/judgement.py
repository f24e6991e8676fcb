"""What was reported of a frame against what is true of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from sdfpose_core.evaluation.comparison import PoseErrors, compare
from sdfpose_core.observation.frame import GroundTruth, ObjectEstimate

__all__ = ["Judged", "JudgedFrame", "ReportedObject", "judge_frame"]


@dataclass(frozen=True)
class ReportedObject:
    """An object as an estimator, a tracker or a message reports it.

    Attributes:
        id: the tracker's, or the mask's where nothing is tracked.
        category: name of its category.
        rotation: R (3, 3), object to camera frame.
        translation: t (3,), metres, camera frame: centre of the bounding box.
        dimensions_m: (3,) sides of the bounding box along the object's x, y, z.
        confidence: 0 to 1.
    """

    id: int
    category: str
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    dimensions_m: NDArray[np.float64]
    confidence: float

    @classmethod
    def of(cls, estimate: ObjectEstimate, object_id: int | None = None) -> ReportedObject:
        """What an estimate says; its id is the mask's where it is left out."""
        return cls(
            estimate.mask_id if object_id is None else object_id,
            estimate.category,
            estimate.rotation,
            estimate.translation,
            estimate.dimensions_m,
            estimate.confidence,
        )

    @property
    def scale(self) -> float:
        """Diagonal of the bounding box, metres."""
        return float(np.linalg.norm(self.dimensions_m))


@dataclass(frozen=True)
class Judged:
    """A reported object, and its errors where its true pose is known.

    Attributes:
        reported: what was said.
        truth: what is true; None where it is not known.
        errors: by the rules of NOCS; None without a truth.
    """

    reported: ReportedObject
    truth: GroundTruth | None = None
    errors: PoseErrors | None = None

    def as_json(self) -> dict[str, Any]:
        """The object as an entry of a JSON document; what is not known is None."""
        x, errors = self.reported, self.errors
        iou = None if errors is None else errors.iou3d_oriented
        return {
            "id": x.id,
            "category": x.category,
            "R": x.rotation.tolist(),
            "t": x.translation.tolist(),
            "scale": x.scale,
            "dimensions_m": x.dimensions_m.tolist(),
            "confidence": x.confidence,
            "rot_err_deg": None if errors is None else errors.rot_err_deg,
            "trans_err_cm": None if errors is None else errors.trans_err_cm,
            "iou3d_oriented": None if iou is None or np.isnan(iou) else iou,
        }


@dataclass(frozen=True)
class JudgedFrame:
    """A frame, and what was reported of it.

    Attributes:
        name: of the frame.
        stamp_ns: of its colour image, nanoseconds.
        objects: that were reported.
        truths: the true objects; None where nothing is known of the frame.
        stage_ms: wall time by stage.
    """

    name: str
    stamp_ns: int
    objects: tuple[Judged, ...]
    truths: tuple[GroundTruth, ...] | None
    stage_ms: Mapping[str, float] = field(default_factory=dict)


def judge_frame(
    reported: Sequence[ReportedObject], truths: Sequence[GroundTruth]
) -> tuple[Judged, ...]:
    """Reported objects with their errors.

    Within a category each goes with a true one so that the sum of the distances between their
    centres is least; those left over have no truth.
    """
    partner: dict[int, GroundTruth] = {}
    for category in {x.category for x in reported}:
        own = [i for i, x in enumerate(reported) if x.category == category]
        true = [x for x in truths if x.category == category]
        if true:
            centres = np.stack([reported[i].translation for i in own])
            true_centres = np.stack([x.translation for x in true])
            distance = np.linalg.norm(centres[:, None] - true_centres[None], axis=-1)
            rows, columns = linear_sum_assignment(distance)
            partner.update({own[r]: true[c] for r, c in zip(rows, columns, strict=True)})
    return tuple(
        Judged(x, partner[i], compare(x, partner[i])) if i in partner else Judged(x)
        for i, x in enumerate(reported)
    )
