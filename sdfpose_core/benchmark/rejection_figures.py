"""Figures of the rejection benchmark: what is kept, rejected and invented in many images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from sdfpose_core.benchmark.pose_figures import percent
from sdfpose_core.benchmark.rejection import JudgedMask, RejectionOutcome

__all__ = ["confident_estimates", "summarise_rejection"]


def summarise_rejection(
    outcomes: Sequence[RejectionOutcome], threshold: float, *, complete: bool = True
) -> dict[str, Any]:
    """Compute the figures of all images with true masks. Shares are in per cent; None without any.

    ``objects``, masks that belong to an object of a category:

    - ``n``: their number.
    - ``kept``: with a confident estimate.
    - ``rejected``: without an estimate, although there are enough points.
    - ``right_category``, ``right``: with an estimate of the right category; within 10 degrees and
      5 cm as well, of those whose true pose is known.
    - ``kept_of_right``: with a confident estimate, of those that are right. Rejected ones count as
      right and not kept: their pose was not looked for.

    ``distractors``, masks that are background: ``n``, ``confident``, ``rejected`` and the share
    that is confident by the category that it was called.

    ``frames``: ``n``, and ``with_invention`` with a confident estimate of background. ``ms`` is the
    median time of all images.

    Args:
        outcomes: of the images.
        threshold: estimates with at least this confidence are confident.
        complete: whether the true masks show every object of a category. If not, background may be
            an object that nobody labelled: ``unmatched`` and ``with_unmatched`` take the place of
            ``distractors`` and ``with_invention``.
    """
    judged = [x for x in outcomes if x.has_truth]
    masks = [x for outcome in judged for x in outcome.masks]
    background = [x for x in masks if x.shows == "background"]
    invented = [
        outcome
        for outcome in judged
        if any(x.shows == "background" and x.is_confident(threshold) for x in outcome.masks)
    ]
    frames = {
        "n": len(judged),
        "with_invention" if complete else "with_unmatched": percent(invented, judged),
    }
    if not complete:
        frames["without_truth"] = len(outcomes) - len(judged)
    return {
        "objects": _object_figures([x for x in masks if x.shows == "object"], threshold),
        "distractors" if complete else "unmatched": _background_figures(background, threshold),
        "frames": frames,
        "ms": float(np.median([x.ms for x in outcomes])) if outcomes else None,
    }


def confident_estimates(
    outcomes: Iterable[RejectionOutcome], threshold: float
) -> list[dict[str, Any]]:
    """List the confident estimates of all images as JSON objects.

    ``same_category`` tells whether a fifth of the mask or more is on true objects of that category,
    ``unmatched`` whether it is background; both are None without true masks.
    """
    return [
        {
            "frame": outcome.name,
            "mask_id": x.mask_id,
            "category": x.called,
            "confidence": x.confidence,
            "same_category": x.same_category,
            "unmatched": x.shows == "background" if outcome.has_truth else None,
        }
        for outcome in outcomes
        for x in outcome.masks
        if x.is_confident(threshold)
    ]


def _object_figures(masks: Sequence[JudgedMask], threshold: float) -> dict[str, Any]:
    posed = [x for x in masks if x.right is not None]
    right_or_rejected = [x for x in posed if x.right or x.rejected]
    return {
        "n": len(masks),
        "kept": percent([x for x in masks if x.is_confident(threshold)], masks),
        "kept_of_right": percent(
            [x for x in right_or_rejected if x.is_confident(threshold)], right_or_rejected
        ),
        "rejected": percent([x for x in masks if x.rejected], masks),
        "right_category": percent([x for x in masks if x.called == x.true_category], masks),
        "right": percent([x for x in posed if x.right], posed),
    }


def _background_figures(masks: Sequence[JudgedMask], threshold: float) -> dict[str, Any]:
    confident = [x for x in masks if x.is_confident(threshold)]
    return {
        "n": len(masks),
        "confident": percent(confident, masks),
        "rejected": percent([x for x in masks if x.rejected], masks),
        "by_category": {
            name: percent([x for x in confident if x.called == name], masks)
            for name in sorted({x.called for x in confident})
        },
    }
