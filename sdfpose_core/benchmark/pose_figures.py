"""Figures of the pose benchmark: precision, modes, calibration and times of many outcomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Sized
from typing import Any

import numpy as np

from sdfpose_core.benchmark.outcomes import PoseOutcome
from sdfpose_core.evaluation.average_precision import average_precision
from sdfpose_core.evaluation.calibration import expected_calibration_error, ranking_auroc

__all__ = ["MEASURES", "MISSED", "percent", "summarise", "summarise_categories"]

MEASURES: dict[str, Callable[[PoseOutcome], bool]] = {
    "iou25": lambda x: x.iou >= 0.25,
    "iou50": lambda x: x.iou >= 0.50,
    "iou75": lambda x: x.iou >= 0.75,
    "deg5_cm2": lambda x: x.degrees <= 5.0 and x.centimetres <= 2.0,
    "deg5_cm5": lambda x: x.degrees <= 5.0 and x.centimetres <= 5.0,
    "deg10_cm2": lambda x: x.degrees <= 10.0 and x.centimetres <= 2.0,
    "deg10_cm5": lambda x: x.degrees <= 10.0 and x.centimetres <= 5.0,
}
"""Criteria by which an estimate counts as correct, by the name of the average precision."""

MISSED = "missed"
"""Name, among the reported categories, of objects without an estimate."""

_CONFIDENT = 0.5
"""An estimate in a wrong mode should not be more confident."""

_VISIBILITIES = (0.25, 0.5, 0.75, 0.9, 1.0)
_DISTANCES_M = (0.0, 0.6, 0.9, 1.3, 10.0)


def summarise(outcomes: Mapping[str, Sequence[PoseOutcome]]) -> dict[str, Any]:
    """Compute metrics per category, their unweighted mean, the overall calibration, and times.

    Average precisions are in per cent: detections are ordered by confidence, and a miss counts as
    an object that was not found. Medians are None if most cases are missed. Means are over the
    categories that have the metric.

    Of the modes, also in per cent: ``wrong_mode`` of the estimates, and ``wrong_confident``, the
    share of these with a confidence over 0.5; in the mean it is that of all categories together,
    because some have few wrong modes. Of the objects: ``chosen_deg10_cm5`` whose estimate is within
    10 degrees and 5 cm, and ``oracle_deg10_cm5`` of which any mode is. ``right_rank`` is the mean
    rank of the likeliest of these modes.
    """
    per_category = {name: _figures(some) for name, some in outcomes.items() if some}
    pooled = [x for some in outcomes.values() for x in some]
    confidence = np.array([x.confidence for x in pooled])
    right = np.array([MEASURES["deg10_cm5"](x) for x in pooled])
    mean: dict[str, Any] = {
        key: _mean([x[key] for x in per_category.values()]) if key != "n" else len(pooled)
        for key in next(iter(per_category.values()))
    }
    mean |= {
        "wrong_confident": _wrong_confident(pooled),
        "ece": expected_calibration_error(confidence, right),
        "auroc": _finite(ranking_auroc(confidence, right)),
    }
    stages = dict.fromkeys(stage for x in pooled for stage in x.stage_ms)
    return {
        "n": len(pooled),
        "per_category": per_category,
        "mean": mean,
        "time_ms": {
            stage: float(np.median([x.stage_ms[stage] for x in pooled])) for stage in stages
        },
        "by_visibility": _binned(pooled, [x.visibility for x in pooled], _VISIBILITIES),
        "by_distance_m": _binned(
            pooled, [float(x.truth.translation[2]) for x in pooled], _DISTANCES_M
        ),
        "by_view": {
            name: _share([x for x in pooled if x.hard_view is hard])
            for name, hard in (("ordinary", False), ("hard", True))
            if any(x.hard_view is hard for x in pooled)
        },
    }


def summarise_categories(outcomes: Mapping[str, Sequence[PoseOutcome]]) -> dict[str, Any]:
    """Compute how often the reported category is the true one.

    Args:
        outcomes: by true category.

    Returns:
        ``category_right``, the share of the objects in per cent, unweighted mean over the true
        categories; and ``confusion``, the number of objects by true and by reported category, where
        `MISSED` counts those without an estimate.
    """
    confusion = {
        name: dict(Counter(MISSED if x.reported is None else x.reported.category for x in some))
        for name, some in outcomes.items()
        if some
    }
    shares = [100.0 * row.get(name, 0) / sum(row.values()) for name, row in confusion.items()]
    return {"category_right": float(np.mean(shares)), "confusion": confusion}


def percent(some: Sized, of: Sized) -> float | None:
    """The share of some in all, in per cent; None if there are none at all."""
    return 100.0 * len(some) / len(of) if len(of) else None


def _figures(outcomes: Sequence[PoseOutcome]) -> dict[str, Any]:
    confidence = np.array([x.confidence for x in outcomes])
    found: dict[str, Any] = {"n": len(outcomes)}
    for name, measure in MEASURES.items():
        right = np.array([measure(x) for x in outcomes])
        found[name] = 100.0 * average_precision(confidence, right, len(outcomes))
    found["rot_median_deg"] = _finite(float(np.median([x.degrees for x in outcomes])))
    found["trans_median_cm"] = _finite(float(np.median([x.centimetres for x in outcomes])))
    chamfer = [x.chamfer_mm for x in outcomes if np.isfinite(x.chamfer_mm)]
    found["chamfer_median_mm"] = float(np.median(chamfer)) if chamfer else None
    return found | _mode_figures(outcomes)


def _mode_figures(outcomes: Sequence[PoseOutcome]) -> dict[str, float | None]:
    chosen = [x for x in outcomes if MEASURES["deg10_cm5"](x)]
    ranks = [x.right_rank for x in outcomes if x.right_rank is not None]
    return {
        "wrong_mode": percent(
            [x for x in outcomes if x.is_wrong_mode], [x for x in outcomes if x.reported]
        ),
        "wrong_confident": _wrong_confident(outcomes),
        "chosen_deg10_cm5": percent(chosen, outcomes),
        "oracle_deg10_cm5": percent(ranks, outcomes),
        "right_rank": float(np.mean(ranks)) if ranks else None,
    }


def _wrong_confident(outcomes: Sequence[PoseOutcome]) -> float | None:
    """Share, per cent, of the wrong modes that are reported with confidence."""
    wrong = [x for x in outcomes if x.is_wrong_mode]
    return percent([x for x in wrong if x.confidence > _CONFIDENT], wrong)


def _mean(values: Sequence[float | None]) -> float | None:
    """Average the known values; None if there are none."""
    known = [x for x in values if x is not None]
    return float(np.mean(known)) if known else None


def _finite(value: float) -> float | None:
    """Replace a value that is not finite (half of the cases missed, or all correct) by None."""
    return value if np.isfinite(value) else None


def _binned(
    outcomes: Sequence[PoseOutcome], values: Sequence[float], edges: Sequence[float]
) -> dict[str, dict[str, float]]:
    """Compute the percentage within 10 degrees and 5 cm per bin of a case attribute."""
    which = np.digitize(np.asarray(values), edges[1:-1])
    known = np.isfinite(values)
    bins = {}
    for i in range(len(edges) - 1):
        members = known & (which == i)
        if members.any():
            some = [x for x, inside in zip(outcomes, members, strict=True) if inside]
            bins[f"{edges[i]:g}-{edges[i + 1]:g}"] = _share(some)
    return bins


def _share(outcomes: Sequence[PoseOutcome]) -> dict[str, float]:
    """Number of outcomes, and percentage within 10 degrees and 5 cm."""
    right = [x for x in outcomes if MEASURES["deg10_cm5"](x)]
    return {"n": len(outcomes), "right_percent": 100.0 * len(right) / len(outcomes)}
