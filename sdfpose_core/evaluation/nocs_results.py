"""Metrics of results in the format of the NOCS benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.datasets.nocs import NOCS_CATEGORIES
from sdfpose_core.datasets.nocs_results import NocsResult
from sdfpose_core.evaluation.nocs_protocol import (
    IouName,
    MissPolicy,
    NocsDetections,
    NocsPrecision,
    NocsTruths,
    nocs_precision,
)

__all__ = ["average_metrics", "figures", "mean_metrics", "precisions", "symmetric_about_y"]

_SYMMETRIC = ("bottle", "bowl", "can")

_IOUS = {"iou25": 0.25, "iou50": 0.5, "iou75": 0.75}
_POSES = {
    "deg5_cm2": (5.0, 2.0),
    "deg5_cm5": (5.0, 5.0),
    "deg10_cm2": (10.0, 2.0),
    "deg10_cm5": (10.0, 5.0),
}

_PER_CENT = 100.0


def precisions(
    results: Sequence[NocsResult],
    *,
    ious: Sequence[float],
    degrees: Sequence[float],
    centimetres: Sequence[float],
    iou: IouName = "oriented",
    misses: MissPolicy = "ignore",
) -> dict[str, NocsPrecision]:
    """Compute average precisions by category, for categories with objects or predictions.

    Bottles, bowls, cans, and mugs whose handle is not visible are treated as symmetric about y.

    Args:
        results: results of all images.
        ious: IoU thresholds.
        degrees: rotation thresholds, degrees.
        centimetres: translation thresholds, centimetres.
        iou: see `nocs_precision`.
        misses: see `nocs_precision`.
    """
    found = {}
    for class_id, name in enumerate(NOCS_CATEGORIES, start=1):
        images = []
        for x in results:
            is_true, is_found = x.class_ids == class_id, x.found_class_ids == class_id
            if is_true.any() or is_found.any():
                images.append(_image(x, name, is_true, is_found))
        if images:
            found[name] = nocs_precision(
                images,
                ious=ious,
                degrees=degrees,
                centimetres=centimetres,
                iou=iou,
                misses=misses,
            )
    return found


def figures(
    results: Sequence[NocsResult], *, iou: IouName = "oriented", misses: MissPolicy = "ignore"
) -> dict[str, Any]:
    """Compute average precisions in per cent, ``per_category`` and their unweighted ``mean``.

    ``n`` is the number of objects. Values of categories without objects are None and not part of
    the mean.

    Args:
        results: results of all images.
        iou: see `nocs_precision`.
        misses: see `nocs_precision`.
    """
    degrees = sorted({x for x, _ in _POSES.values()})
    centimetres = sorted({x for _, x in _POSES.values()})
    found = precisions(
        results,
        ious=list(_IOUS.values()),
        degrees=degrees,
        centimetres=centimetres,
        iou=iou,
        misses=misses,
    )
    per_category: dict[str, Any] = {}
    for name, x in found.items():
        poses = {
            key: x.pose[degrees.index(deg), centimetres.index(cm)]
            for key, (deg, cm) in _POSES.items()
        }
        values = dict(zip(_IOUS, x.iou, strict=True)) | poses
        per_category[name] = {"n": x.truths} | {k: _per_cent(v) for k, v in values.items()}
    return {"per_category": per_category, "mean": mean_metrics(per_category)}


def mean_metrics(per_category: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Compute unweighted means over the categories, ignoring None; ``n`` is the sum."""
    total = sum(x["n"] for x in per_category.values())
    keys = [*_IOUS, *_POSES]
    return {"n": total} | {key: _mean([x[key] for x in per_category.values()]) for key in keys}


def average_metrics(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Average the `figures` of repeated runs; ``spread`` is the standard deviation of the means."""
    names = dict.fromkeys(name for x in runs for name in x["per_category"])
    return {
        "runs": len(runs),
        "per_category": {
            name: _averages([x["per_category"][name] for x in runs if name in x["per_category"]])
            for name in names
        },
        "mean": _averages([x["mean"] for x in runs]),
        "spread": {
            key: float(np.std([x["mean"][key] for x in runs]))
            for key in [*_IOUS, *_POSES]
            if all(x["mean"][key] is not None for x in runs)
        },
    }


def symmetric_about_y(category: str, handle_visible: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether yaw is undefined (N,): for bottles, bowls, cans, and mugs without a visible handle.

    Args:
        category: category of the objects.
        handle_visible: (N,) bool; has no meaning for objects without a handle.
    """
    if category == "mug":
        return ~handle_visible
    return np.full(handle_visible.shape, category in _SYMMETRIC)


def _image(
    x: NocsResult, category: str, is_true: NDArray[np.bool_], is_found: NDArray[np.bool_]
) -> tuple[NocsTruths, NocsDetections]:
    symmetric = symmetric_about_y(category, x.handle_visible[is_true])
    return (
        NocsTruths(x.transforms[is_true], x.sizes[is_true], symmetric),
        NocsDetections(x.found_transforms[is_found], x.found_sizes[is_found], x.scores[is_found]),
    )


def _averages(figures: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {key: _mean([x[key] for x in figures]) for key in figures[0]}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [x for x in values if x is not None]
    return float(np.mean(known)) if known else None


def _per_cent(value: float) -> float | None:
    return None if np.isnan(value) else _PER_CENT * float(value)
