"""Check of instance masks and their labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sdfpose_core.categories import Categories
from sdfpose_core.diagnosis.findings import Finding
from sdfpose_core.diagnosis.sample import CameraView
from sdfpose_core.observation.segmentation import label_candidates

__all__ = ["check_masks"]

_MOST = 0.5
"""A problem in more than this share of the views is not an accident."""


def check_masks(views: Sequence[CameraView], categories: Categories) -> Finding | None:
    """Check that masks have ids, and that the ids have known categories; None without views.

    Args:
        views: moments to look at.
        categories: known categories.
    """
    masked = [(x.mask, x) for x in views if x.mask is not None]
    if not views:
        return None
    if not masked:
        return Finding(
            "ok",
            "masks",
            "there are none: --masks network makes them (estimate, replay, live, node)",
        )
    for mask, x in masked:
        image = x.colour if x.colour is not None else x.depth
        if image is not None and mask.shape != image.shape[:2]:
            (height, width), (rows, columns) = mask.shape, image.shape[:2]
            return Finding(
                "fault",
                "masks",
                f"the mask has {width}x{height} pixels, and the image {columns}x{rows}",
                "make the masks for the colour image at its resolution",
            )
    found = [(set(np.unique(mask).tolist()) - {0}, x.labels) for mask, x in masked]
    with_ids = [x for x in found if x[0]]
    if not with_ids:
        return Finding(
            "warning",
            "masks",
            "the masks are empty",
            "put an object into view; masks hold ids above 0 on the objects",
        )
    if all(labels is None for _, labels in with_ids):
        return Finding(
            "warning",
            "masks",
            "the ids have no categories: there are no labels",
            "publish labels, or set category (any finds it) or mask_categories",
        )
    return _labels_found(
        [(ids, {k: v.category for k, v in (labels or {}).items()}) for ids, labels in with_ids],
        categories,
    )


def _labels_found(
    views: Sequence[tuple[set[int], dict[int, str]]], categories: Categories
) -> Finding:
    absent = [ids - labels.keys() for ids, labels in views]
    if sum(map(bool, absent)) > _MOST * len(views):
        ids = ", ".join(map(str, sorted(set().union(*absent))))
        return Finding(
            "fault",
            "masks",
            f"mask ids without a label: {ids} (labels of: {_known(views)})",
            "let the publisher of the labels list every id of its mask, with the mask's stamp",
        )
    names = {labels[i] for ids, labels in views for i in ids if i in labels}
    unknown = sorted(x for x in names if not label_candidates(x, categories))
    if unknown:
        return Finding(
            "warning",
            "masks",
            f"unknown categories: {', '.join(unknown)}",
            f"expected {', '.join(categories)}, one of their labels or any",
        )
    count = sum(len(ids) for ids, _ in views) / len(views)
    return Finding("ok", "masks", f"{count:.1f} objects in an image ({', '.join(sorted(names))})")


def _known(views: Sequence[tuple[set[int], dict[int, str]]]) -> str:
    ids = sorted(set().union(*(labels.keys() for _, labels in views)))
    return ", ".join(map(str, ids)) or "none"
