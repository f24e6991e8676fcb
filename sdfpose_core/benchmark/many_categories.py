"""Many-categories benchmark: what each category costs, and what `any` costs and finds among many.

The categories are those of packs and their `decoys`. Objects are of the packs' categories; a decoy
of the true category may well explain one as well as that, so its *kin* counts beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil

from sdfpose_core.benchmark.decoys import copied_from
from sdfpose_core.benchmark.outcomes import PoseCase
from sdfpose_core.estimation.estimator import PoseEstimator

__all__ = [
    "LoadingCost",
    "ScreenOutcome",
    "load_categories",
    "run_screen",
    "summarise_loading",
    "summarise_screen",
]


@dataclass(frozen=True)
class LoadingCost:
    """What it takes to read the weights of a category.

    Attributes:
        category: its name.
        ms: wall time, milliseconds.
        rss_mib: growth of the resident memory of this process, MiB.
    """

    category: str
    ms: float
    rss_mib: float


@dataclass(frozen=True)
class ScreenOutcome:
    """The detection of an object of unknown category among many.

    Attributes:
        truth: its category.
        kept: categories that were searched in full.
        found: category of the estimate, empty without one.
        ms: wall time of the detection, milliseconds.
    """

    truth: str
    kept: tuple[str, ...]
    found: str
    ms: float


def load_categories(estimator: PoseEstimator, names: Iterable[str]) -> list[LoadingCost]:
    """Read the weights of categories that are not loaded yet, one after another."""
    process, costs = psutil.Process(), []
    for name in names:
        if name in estimator.models.loaded:
            continue
        before, start = process.memory_info().rss, time.perf_counter()
        estimator.load(name)
        ms = 1e3 * (time.perf_counter() - start)
        costs.append(LoadingCost(name, ms, (process.memory_info().rss - before) / 2**20))
    return costs


def summarise_loading(costs: Sequence[LoadingCost]) -> dict[str, Any]:
    """Medians of the costs of categories: ``n``, ``ms`` and ``mib`` (see `LoadingCost`)."""
    return {
        "n": len(costs),
        "ms": float(np.median([x.ms for x in costs])),
        "mib": float(np.median([x.rss_mib for x in costs])),
    }


def run_screen(
    estimator: PoseEstimator,
    names: Sequence[str],
    cases: Sequence[PoseCase],
    *,
    progress: Callable[[], None] = lambda: None,
) -> list[ScreenOutcome]:
    """Detect each object of unknown category from scratch, after one detection to warm up.

    Args:
        estimator: estimator to measure.
        names: categories that objects may have.
        cases: objects, at least one.
        progress: called after each case.
    """
    estimator.estimate(cases[0].of_unknown_category(names).instances)
    outcomes = []
    for case in cases:
        instances = case.of_unknown_category(names).instances
        estimator.shapes.forget()
        start = time.perf_counter()
        estimates = estimator.estimate(instances).estimates
        ms = 1e3 * (time.perf_counter() - start)
        proposals, _ = estimator.propose(estimator.look(instances)[0])
        outcomes.append(
            ScreenOutcome(
                case.truth.category,
                tuple(x.model.category.name for x in proposals),
                estimates[0].category if estimates else "",
                ms,
            )
        )
        progress()
    return outcomes


def summarise_screen(outcomes: Sequence[ScreenOutcome]) -> dict[str, Any]:
    """Compute the figures of detections.

    Args:
        outcomes: at least one.

    Returns:
        ``n``; ``tried``: mean number of categories that are searched in full; in per cent of the
        objects ``kept`` and ``right``: whose true category is among these, and is found; and
        ``kept_kin`` and ``right_kin``: the same, where decoys of the true category count as well;
        ``ms`` and ``ms_p95``: median and 95th percentile of the time of a detection, milliseconds.
    """
    ms = [x.ms for x in outcomes]
    return {
        "n": len(outcomes),
        "tried": float(np.mean([len(x.kept) for x in outcomes])),
        "kept": _share(x.truth in x.kept for x in outcomes),
        "kept_kin": _share(x.truth in map(copied_from, x.kept) for x in outcomes),
        "right": _share(x.truth == x.found for x in outcomes),
        "right_kin": _share(x.truth == copied_from(x.found) for x in outcomes),
        "ms": float(np.median(ms)),
        "ms_p95": float(np.percentile(ms, 95.0)),
    }


def _share(flags: Iterable[bool]) -> float:
    """Share of true values, per cent."""
    return 100.0 * float(np.mean(list(flags)))
