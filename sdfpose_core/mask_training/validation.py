"""Accuracy of the mask network on views that it was not trained on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.mask_training.views import IGNORED
from sdfpose_core.masks.grouping import GroupingConfig, Groups
from sdfpose_core.masks.network import MaskNetwork
from sdfpose_core.masks.network_masks import grouped
from sdfpose_core.storage.record_files import Records

__all__ = ["match_groups", "validate_masks"]

_LEAST_PIXELS = 60
"""Smaller true objects are not judged, pixels of a view."""

_MERGED_SHARE = 0.5
"""Two true objects are merged if one found object covers more than this share of each."""


def validate_masks(
    network: MaskNetwork, views: Records, config: GroupingConfig | None = None
) -> dict[str, float]:
    """Measure how well the objects of views are found, at the resolution of the network.

    Returns:
        Shares of the true objects that are found with an intersection over union of 0.5
        (``iou50``) and 0.75 (``iou75``) or ``merged`` with another one; and the number of found
        objects per view that are mostly background (``false_per_view``).
    """
    reached, merged, false = [], [], []
    for i in range(len(views)):
        (view,) = views[[i]]
        depth = view["depth"].astype(np.float32) / np.float32(1000.0)
        found = grouped(network, view["colour"], depth, float(view["focal"]), config)
        overlap, joined, wrong = match_groups(view["ids"], found)
        reached.append(overlap)
        merged.append(joined)
        false.append(wrong)
    overlaps = np.concatenate(reached)
    if len(overlaps) == 0:
        return {"false_per_view": float(np.mean(false))}
    return {
        "iou50": float(np.mean(overlaps >= 0.5)),
        "iou75": float(np.mean(overlaps >= 0.75)),
        "merged": float(np.mean(np.concatenate(merged))),
        "false_per_view": float(np.mean(false)),
    }


def match_groups(
    ids: NDArray[np.integer], found: Groups
) -> tuple[NDArray[np.float64], NDArray[np.bool_], int]:
    """Compare found objects with the true ones (T) of an image.

    Args:
        ids: (H, W), true objects, 0 = background; `IGNORED` need not be found.
        found: found objects.

    Returns:
        The best intersection over union (T), whether another one is found as the same object (T),
        and the number of found objects that are mostly background.
    """
    columns = len(found.scores) + 1
    pair = ids.astype(np.int64) * columns + found.labels
    count = (int(ids.max()) + 1) * columns
    pairs = np.bincount(pair.ravel(), minlength=count).reshape(-1, columns)
    true, estimated = pairs.sum(axis=1), pairs.sum(axis=0)
    judged = np.flatnonzero(true[1:IGNORED] >= _LEAST_PIXELS) + 1
    common = pairs[judged, 1:]
    union = true[judged, None] + estimated[None, 1:] - common
    best = np.max(common / np.maximum(union, 1), axis=1, initial=0.0)
    covered = common > _MERGED_SHARE * true[judged, None]
    joined = (covered & (covered.sum(axis=0) > 1)).any(axis=1)
    false = int(np.count_nonzero(pairs[0, 1:] > 0.5 * estimated[1:]))
    return best, joined, false
