"""Cases of the pose benchmark, and their outcomes: errors of an estimate and of its rivals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np

from sdfpose_core.evaluation.comparison import PoseErrors, compare
from sdfpose_core.evaluation.frame_evaluation import ReportedObject
from sdfpose_core.evaluation.frame_metrics import is_correct
from sdfpose_core.evaluation.pose_errors import WRONG_MODE_DEG
from sdfpose_core.evaluation.shape_metrics import surface_distance
from sdfpose_core.evaluation.surfaces import Surface
from sdfpose_core.observation.frame import Alternative, GroundTruth, Instance, ObjectEstimate
from sdfpose_core.shapes.model import CadModel

__all__ = ["PoseCase", "PoseOutcome", "evaluate_case"]


@dataclass(frozen=True)
class PoseCase:
    """An object to estimate, with its ground truth.

    Attributes:
        name: name of the object.
        instances: input of the estimator: the object as measured for its category, or for each
            category that it may have; all with the same mask id.
        truth: true pose and size.
        model: true shape, if known; scaled to the size of `truth`.
        visibility: visible fraction of the object, NaN if unknown.
        hard_view: whether the view is simulated and a hard one (`hard_view`); None if it is real.
    """

    name: str
    instances: Sequence[Instance]
    truth: GroundTruth
    model: CadModel | None = None
    visibility: float = float("nan")
    hard_view: bool | None = None

    def of_unknown_category(self, names: Sequence[str]) -> PoseCase:
        """The case with its first instance for each of the named categories, without a label.

        The points stay those that were measured for the true category.
        """
        (known, *_) = self.instances
        return replace(self, instances=[replace(known, category=x, label="") for x in names])


@dataclass(frozen=True)
class PoseOutcome:
    """Result of a case. A miss has infinite errors, an IoU of 0 and a confidence of 0.

    Of an estimate, only the pose is kept: there are thousands of outcomes. An estimate of another
    category is a false detection: it has infinite errors and an IoU of 0, but its confidence.

    Attributes:
        name: name of the object.
        truth: true pose and size.
        visibility: visible fraction of the object, NaN if unknown.
        reported: estimated pose, None for a miss.
        degrees, centimetres, iou: rotation error, translation error and 3D IoU by the rules of the
            NOCS benchmark.
        chamfer_mm: Chamfer distance between the reconstructed and the true surface, both at their
            poses, millimetres; NaN if either is missing.
        stage_ms: wall-clock time by stage, milliseconds.
        right_rank: rank of the likeliest mode within 10 degrees and 5 cm, 1 for the reported one;
            None if there is none.
        hard_view: as in `PoseCase`.
        features: what the confidence depends on, see `confidence_features`; empty for a miss.
    """

    name: str
    truth: GroundTruth
    visibility: float
    reported: ReportedObject | None
    degrees: float
    centimetres: float
    iou: float
    chamfer_mm: float
    stage_ms: Mapping[str, float]
    right_rank: int | None = None
    hard_view: bool | None = None
    features: Mapping[str, float] = field(default_factory=dict)

    @property
    def confidence(self) -> float:
        """Confidence of the estimate, 0 for a miss."""
        return 0.0 if self.reported is None else self.reported.confidence

    @property
    def is_wrong_mode(self) -> bool:
        """Whether there is an estimate, of another category or rotated by `WRONG_MODE_DEG`."""
        return self.reported is not None and self.degrees > WRONG_MODE_DEG


def evaluate_case(
    case: PoseCase,
    estimate: ObjectEstimate | None,
    stage_ms: Mapping[str, float],
    rng: np.random.Generator,
    samples: int = 2000,
    *,
    rivals: Iterable[Alternative] | None = None,
) -> PoseOutcome:
    """Compare an estimate with the ground truth of its case.

    Args:
        case: the case; its instances are not used.
        estimate: estimate of the case, None for a miss.
        stage_ms: wall-clock time by stage, milliseconds.
        rng: random generator of the surface samples.
        samples: points sampled on each surface for the Chamfer distance, 0 to skip it.
        rivals: the other modes, by falling probability; by default those that the estimate reports.
    """
    known = (case.name, case.truth, case.visibility)
    if estimate is None:
        return PoseOutcome(
            *known, None, np.inf, np.inf, 0.0, np.nan, stage_ms, hard_view=case.hard_view
        )
    errors = _errors(estimate, case.truth)
    others = estimate.alternatives if rivals is None else rivals
    all_errors = chain([errors], (_errors(x, case.truth) for x in others))
    right = (rank for rank, x in enumerate(all_errors, start=1) if is_correct(x))
    return PoseOutcome(
        *known,
        ReportedObject.of(estimate),
        errors.rot_err_deg,
        errors.trans_err_cm,
        errors.iou3d_oriented,
        _chamfer_mm(estimate, case, samples, rng) if samples else np.nan,
        stage_ms,
        next(right, None),
        case.hard_view,
        estimate.diagnostics,
    )


def _errors(found: ObjectEstimate | Alternative, truth: GroundTruth) -> PoseErrors:
    if found.category != truth.category:
        return PoseErrors(np.inf, np.inf, 0.0)
    return compare(found, truth)


def _chamfer_mm(
    estimate: ObjectEstimate, case: PoseCase, samples: int, rng: np.random.Generator
) -> float:
    if case.model is None or len(estimate.faces) == 0:
        return float("nan")
    true_vertices = case.model.vertices * (case.truth.scale / case.model.diagonal_m)
    found = Surface(_posed(estimate, estimate.vertices), estimate.faces)
    true = Surface(_posed(case.truth, true_vertices), case.model.faces)
    return 1e3 * surface_distance(found, true, rng, samples)


def _posed(pose: ObjectEstimate | GroundTruth, vertices: np.ndarray) -> np.ndarray:
    return np.asarray(vertices @ pose.rotation.T + pose.translation, dtype=np.float64)
