"""Mask benchmark: segment images with known masks, and compare."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sdfpose_core.benchmark.mask_cases import MaskCase
from sdfpose_core.errors import FrameError
from sdfpose_core.evaluation.mask_metrics import (
    MaskComparison,
    ObjectMask,
    mask_figures,
    match_masks,
    object_figures,
)
from sdfpose_core.masks.instance_mask import InstanceMask
from sdfpose_core.masks.sources import MaskBackend, segment_alone

__all__ = ["OTHER", "MaskOutcome", "run_masks", "summarise_masks"]

OTHER = "other"
"""Name in the figures for objects of no category."""

_MIN_PIXELS_SHARE = 1.0 / 3000.0
"""Objects with fewer pixels than this share of the image (102 of 640x480) need not be found."""


@dataclass(frozen=True)
class MaskOutcome:
    """The result of one image.

    Attributes:
        name: name of the image.
        ms: wall time of the segmentation, milliseconds.
        comparison: with the true masks; None if they are unknown.
        categories: see `MaskCase`.
    """

    name: str
    ms: float
    comparison: MaskComparison | None
    categories: Mapping[int, str] = field(default_factory=dict)


def run_masks(
    backend: MaskBackend,
    cases: Iterable[MaskCase],
    problems: list[str],
    *,
    show: Callable[[MaskCase, InstanceMask, MaskComparison | None], None] = lambda *_: None,
    progress: Callable[[], None] = lambda: None,
) -> list[MaskOutcome]:
    """Segment each image on its own.

    Args:
        backend: backend to measure.
        cases: images.
        problems: receives one sentence for each image that cannot be used or segmented.
        show: called with each image, its found masks and their comparison.
        progress: called after each image.
    """
    outcomes = []
    for case in cases:
        start = time.perf_counter()
        try:
            found = segment_alone(backend, case.frame)
        except FrameError as error:
            problems.append(f"{case.name}: {error}; frame dropped")
            continue
        ms = 1e3 * (time.perf_counter() - start)
        if found.problem:
            problems.append(f"{case.name}: {found.problem}")
        comparison = None
        if case.truth is not None:
            least = round(_MIN_PIXELS_SHARE * case.truth.size)
            comparison = match_masks(case.truth, found.ids, min_pixels=least, ignore=case.ignore)
        show(case, found, comparison)
        outcomes.append(MaskOutcome(case.name, ms, comparison, case.categories))
        progress()
    return outcomes


def summarise_masks(outcomes: Sequence[MaskOutcome]) -> dict[str, Any]:
    """Compute the figures of all images with true masks: their mean, and by category.

    Shares are in per cent of the objects. ``ms`` is the median time of all images.
    """
    judged = [x.comparison for x in outcomes if x.comparison is not None]
    figures = mask_figures(judged)
    del figures["boundary_f"]
    by_category: dict[str, list[ObjectMask]] = {}
    for outcome in outcomes:
        for x in outcome.comparison.objects if outcome.comparison else ():
            by_category.setdefault(outcome.categories.get(x.id) or OTHER, []).append(x)
    names = sorted(by_category, key=lambda x: (x == OTHER, x))
    ms = float(np.median([x.ms for x in outcomes])) if outcomes else None
    return {
        "mean": figures | {"ms": ms},
        "per_category": {name: object_figures(by_category[name]) for name in names},
    }
