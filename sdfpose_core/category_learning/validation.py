"""Figures of a learned category on models that nothing was learned from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from sdfpose_core.benchmark.outcomes import PoseOutcome
from sdfpose_core.benchmark.pose_figures import summarise
from sdfpose_core.benchmark.poses import model_cases, run_cases
from sdfpose_core.benchmark.shapes import ShapeBenchmarkConfig, measure_models
from sdfpose_core.estimation.confidence import ConfidenceCase, ConfidenceModel
from sdfpose_core.estimation.estimator import EstimatorConfig, PoseEstimator
from sdfpose_core.packs.collection import Packs
from sdfpose_core.sdf.loading import load_decoder
from sdfpose_core.shapes.model import CadModel

__all__ = ["POSE_FIGURES", "LearnedFigures", "measure_category"]

POSE_FIGURES = ("deg10_cm5", "deg5_cm2", "iou50")
"""Average precisions of the pose benchmark that are reported, per cent."""


@dataclass(frozen=True)
class LearnedFigures:
    """Accuracy on held-out models.

    Attributes:
        cases: number of simulated views.
        with_encoder: `POSE_FIGURES` of the pack, its category told.
        without_encoder: the same, searched from upright poses.
        right_percent: share of the poses of the pack within 10 degrees and 5 cm.
        confidence_shift: of the category that fits to these poses; all figures are with it.
        confidence_percent: mean confidence of these poses; `right_percent` would be calibrated.
        chamfer_percent: mean Chamfer distance of models reconstructed from their whole surface, per
            cent of the diagonal.
        chamfer_view_percent: median Chamfer distance from a single view with known pose.
    """

    cases: int
    with_encoder: dict[str, float]
    without_encoder: dict[str, float]
    right_percent: float
    confidence_shift: float
    confidence_percent: float
    chamfer_percent: float
    chamfer_view_percent: float


def measure_category(
    packs: Packs,
    name: str,
    models: Sequence[CadModel],
    cases: int,
    device: torch.device,
    progress: Callable[[float], None] = lambda share: None,
) -> LearnedFigures:
    """Measure poses and shapes of a category.

    Args:
        packs: with the pack of the category.
        name: of the category.
        models: held-out models, object frame; at least one.
        cases: number of simulated views, as in the suite ``meshes`` of `sdfpose bench pose`.
        device: of the networks.
        progress: called with the finished share, 0 to 1.
    """
    estimators = {
        "fast": PoseEstimator(EstimatorConfig(device=str(device)), packs),
        "none": PoseEstimator(EstimatorConfig(device=str(device), encoder="none"), packs),
    }
    outcomes: dict[str, list[PoseOutcome]] = {x: [] for x in estimators}
    colour = estimators["fast"].uses_colour
    stream = model_cases(models, name, cases, 0, colour=colour, categories=packs.categories)
    for number, case in enumerate(stream):
        for encoder, estimator in estimators.items():
            outcomes[encoder] += run_cases(estimator, [case])
            estimator.shapes.forget()
        progress((number + 1) / (cases + 1))
    decoder = load_decoder(packs[name].verified("decoder"), device)
    shapes = measure_models(decoder, packs.categories, models, ShapeBenchmarkConfig())
    progress(1.0)
    model = estimators["fast"].confidence
    shift = round(model.fitted_shift(list(_confidence_cases(outcomes["fast"]))), 2)
    with_encoder, without_encoder = (_shifted(x, model, shift) for x in outcomes.values())
    return LearnedFigures(
        cases=len(with_encoder),
        with_encoder=_figures(name, with_encoder),
        without_encoder=_figures(name, without_encoder),
        right_percent=100.0 * float(np.mean([x.right_rank == 1 for x in with_encoder])),
        confidence_shift=shift,
        confidence_percent=100.0 * float(np.mean([x.confidence for x in with_encoder])),
        chamfer_percent=100.0 * shapes["chamfer_mean"],
        chamfer_view_percent=100.0 * shapes["chamfer_view_median"],
    )


def _confidence_cases(outcomes: Iterable[PoseOutcome]) -> Iterator[ConfidenceCase]:
    """The estimates, whose category is known, with their truth."""
    for x in outcomes:
        if x.reported is not None and x.reported.probability is not None:
            yield ConfidenceCase(x.features, x.reported.probability, True, x.right_rank == 1)


def _shifted(
    outcomes: Iterable[PoseOutcome], model: ConfidenceModel, shift: float
) -> list[PoseOutcome]:
    """The outcomes with the confidences that a category with this shift has."""
    found = []
    for x in outcomes:
        reported = x.reported
        if reported is not None and reported.probability is not None:
            confidence = model.probability(x.features, reported.probability, shift=shift)
            reported = replace(reported, confidence=confidence)
        found.append(replace(x, reported=reported))
    return found


def _figures(name: str, outcomes: Sequence[PoseOutcome]) -> dict[str, float]:
    found: dict[str, Any] = summarise({name: outcomes})["per_category"][name]
    return {x: float(found[x]) for x in POSE_FIGURES}
