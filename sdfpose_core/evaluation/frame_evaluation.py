"""Matching of the reported objects of a frame to its ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from sdfpose_core.evaluation.comparison import PoseErrors, compare
from sdfpose_core.observation.frame import Alternative, GroundTruth, ObjectEstimate

__all__ = [
    "FrameEvaluation",
    "ObjectEvaluation",
    "ReportedObject",
    "alternatives_as_json",
    "evaluate_frame",
    "evaluate_masked",
]


@dataclass(frozen=True)
class ReportedObject:
    """An object as reported by an estimator, a tracker or a message.

    Attributes:
        id: track id, or mask id without tracking.
        category: name of its category.
        rotation: R (3, 3), object to camera frame.
        translation: t (3,), metres, camera frame: centre of the bounding box.
        dimensions_m: (3,) sides of the bounding box along the object's x, y, z.
        confidence: 0 to 1.
        symmetric_about_y: whether yaw about y is undefined in this view; None if unknown.
        covariance: (6, 6) of (x, y, z, rx, ry, rz), metres and radians; None if unknown.
        symmetries: (S, 3, 3), see `ObjectEstimate`; None if unknown.
        probability: of this mode, see `ObjectEstimate`; None if unknown.
        alternatives: the rival modes, by falling probability.
    """

    id: int
    category: str
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    dimensions_m: NDArray[np.float64]
    confidence: float
    symmetric_about_y: bool | None = None
    covariance: NDArray[np.float64] | None = None
    symmetries: NDArray[np.float64] | None = None
    probability: float | None = None
    alternatives: tuple[Alternative, ...] = ()

    @classmethod
    def of(cls, estimate: ObjectEstimate, object_id: int | None = None) -> ReportedObject:
        """Convert an estimate; the default id is its mask id."""
        return cls(
            estimate.mask_id if object_id is None else object_id,
            estimate.category,
            estimate.rotation,
            estimate.translation,
            estimate.dimensions_m,
            estimate.confidence,
            estimate.symmetric_about_y,
            estimate.covariance,
            estimate.symmetries,
            estimate.probability,
            estimate.alternatives,
        )

    @property
    def scale(self) -> float:
        """Diagonal of the bounding box, metres."""
        return float(np.linalg.norm(self.dimensions_m))


@dataclass(frozen=True)
class ObjectEvaluation:
    """A reported object, with its errors if the true pose is known.

    Attributes:
        reported: the reported object.
        truth: ground truth, None if unknown.
        errors: errors as defined by NOCS, None without ground truth.
        is_unknown: whether the object may be one whose true pose is unknown, so that it counts
            neither as right nor as wrong.
    """

    reported: ReportedObject
    truth: GroundTruth | None = None
    errors: PoseErrors | None = None
    is_unknown: bool = False

    def as_json(self) -> dict[str, Any]:
        """Convert to a JSON object; unknown errors are None, other unknown values are left out."""
        x, errors = self.reported, self.errors
        iou = None if errors is None else errors.iou3d_oriented
        entry = {
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
        if x.symmetric_about_y is not None:
            entry["symmetric_about_y"] = bool(x.symmetric_about_y)
        if x.covariance is not None:
            entry["covariance"] = x.covariance.tolist()
        if x.symmetries is not None:
            entry["symmetries"] = x.symmetries.tolist()
        if x.probability is not None:
            entry["probability"] = float(x.probability)
            entry["alternatives"] = alternatives_as_json(x.alternatives)
        return entry


@dataclass(frozen=True)
class FrameEvaluation:
    """A frame with its reported objects.

    Attributes:
        name: name of the frame.
        stamp_ns: stamp of the colour image, nanoseconds.
        objects: reported objects.
        truths: true objects; None if the frame has no ground truth.
        stage_ms: wall time by stage, milliseconds.
    """

    name: str
    stamp_ns: int
    objects: tuple[ObjectEvaluation, ...]
    truths: tuple[GroundTruth, ...] | None
    stage_ms: Mapping[str, float] = field(default_factory=dict)


def alternatives_as_json(alternatives: Sequence[Alternative]) -> list[dict[str, Any]]:
    """Convert the rival modes of an object to JSON objects."""
    return [
        {
            "category": x.category,
            "R": x.rotation.tolist(),
            "t": x.translation.tolist(),
            "scale": float(x.scale),
            "dimensions_m": x.dimensions_m.tolist(),
            "probability": float(x.probability),
        }
        for x in alternatives
    ]


def evaluate_frame(
    reported: Sequence[ReportedObject], truths: Sequence[GroundTruth]
) -> tuple[ObjectEvaluation, ...]:
    """Match reported objects to true objects and compute their errors.

    Within a category, objects are matched so that the sum of the distances between their centres
    is minimal. Unmatched objects have no ground truth; of these, as many as there are true objects
    without a pose are marked as unknown, the most confident ones.
    """
    partner: dict[int, GroundTruth] = {}
    unknown: set[int] = set()
    for category in {x.category for x in reported}:
        own = [i for i, x in enumerate(reported) if x.category == category]
        true = [x for x in truths if x.category == category and x.has_pose]
        without_pose = sum(x.category == category and not x.has_pose for x in truths)
        if true:
            centres = np.stack([reported[i].translation for i in own])
            true_centres = np.stack([x.translation for x in true])
            distance = np.linalg.norm(centres[:, None] - true_centres[None], axis=-1)
            rows, columns = linear_sum_assignment(distance)
            partner.update({own[r]: true[c] for r, c in zip(rows, columns, strict=True)})
        unmatched = sorted(
            (i for i in own if i not in partner), key=lambda i: -reported[i].confidence
        )
        unknown.update(unmatched[:without_pose])
    return tuple(
        ObjectEvaluation(x, partner[i], compare(x, partner[i]))
        if i in partner
        else ObjectEvaluation(x, is_unknown=i in unknown)
        for i, x in enumerate(reported)
    )


def evaluate_masked(
    reported: Sequence[ReportedObject],
    truths: Sequence[GroundTruth],
    true_ids: Mapping[int, int],
) -> tuple[ObjectEvaluation, ...]:
    """Compare reported objects with the true objects that their masks show.

    Args:
        reported: objects whose ids are mask ids.
        truths: ground truth of the frame.
        true_ids: mask id in the ground truth by reported mask id. A mask that is not listed shows
            no true object: it is false. The pose of one that is listed, but has no ground truth, is
            unknown.
    """
    by_id = {x.mask_id: x for x in truths if x.has_pose}
    evaluated = []
    for x in reported:
        truth = by_id.get(true_ids.get(x.id, 0))
        errors = None if truth is None else compare(x, truth)
        unknown = truth is None and x.id in true_ids
        evaluated.append(ObjectEvaluation(x, truth, errors, is_unknown=unknown))
    return tuple(evaluated)
