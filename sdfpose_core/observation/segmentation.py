"""Split a frame into instances: measured points, support plane and free space per mask id."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import Categories, Category
from sdfpose_core.errors import FrameError
from sdfpose_core.observation.frame import (
    MAX_INSTANCES,
    Instance,
    RgbdFrame,
    SkippedInstance,
)
from sdfpose_core.observation.gravity import contradicted
from sdfpose_core.observation.measurement import measure
from sdfpose_core.observation.support_plane import dominant_planes

__all__ = ["ANY_CATEGORY", "label_candidates", "segment", "segment_masks"]

ANY_CATEGORY = "any"
"""Label of a mask whose category is unknown; all categories are tried."""

_MAX_ID = 65535
"""Mask ids are 16-bit (mono8 and 16UC1 images)."""

_BACKGROUND_GRID = 64
"""The planes of the image are searched on a grid with about this many pixels along each side..."""

_BACKGROUND_DEPTH = 1.5
"""...up to this many times the depth of the farthest mask."""


def segment(
    frame: RgbdFrame,
    categories: Categories,
    *,
    min_points: int = 50,
    max_instances: int = MAX_INSTANCES,
) -> tuple[list[Instance], list[SkippedInstance]]:
    """Split a frame into one `Instance` per labelled mask id.

    Gross outliers, such as background seen through a leaking mask, are removed: points too far
    from the median point for any object of the category, and small clusters of points that a wide
    depth gap separates from the rest. The robust kernels of the refinement handle the others.

    Args:
        frame: the colour image is not read, but the instances refer to it. The direction up is not
            used if the planes of the image contradict it.
        categories: known categories; labels are matched by `Categories.by_label`.
        min_points: ids with fewer valid depth pixels are skipped.
        max_instances: if there are more ids, those with the fewest pixels are skipped.

    Returns:
        Instances in the order of their ids, and the skipped ids with reasons. An id with the
        label `ANY_CATEGORY` gives one instance per category.

    Raises:
        FrameError: the mask contains an id that is negative or exceeds 16 bits.
    """
    return _segment(frame, _pixels(frame.mask), categories, min_points, max_instances)


def segment_masks(
    frame: RgbdFrame,
    masks: Mapping[int, NDArray[np.bool_]],
    categories: Categories,
    *,
    min_points: int = 50,
) -> tuple[list[Instance], list[SkippedInstance]]:
    """Split a frame into instances whose masks may overlap; otherwise as `segment`.

    Args:
        frame: its mask only tells which pixels belong to some object; its labels refer to `masks`.
        masks: (H, W) bool by id; none is left out because of their number.
        categories: see `segment`.
        min_points: see `segment`.

    Raises:
        FrameError: a mask has another size than the frame.
    """
    for mask_id, mask in masks.items():
        if mask.shape != frame.mask.shape:
            raise FrameError(
                f"mask {mask_id} has shape {mask.shape}: expected {frame.mask.shape}, the size of "
                "the frame"
            )
    pixels_of = {
        mask_id: np.asarray(cv2.findNonZero(mask.astype(np.uint8)), np.int32).reshape(-1, 2)
        for mask_id, mask in sorted(masks.items())
        if mask.any()
    }
    return _segment(frame, pixels_of, categories, min_points, len(masks))


def _segment(
    frame: RgbdFrame,
    pixels_of: Mapping[int, NDArray[np.int32]],
    categories: Categories,
    min_points: int,
    max_instances: int,
) -> tuple[list[Instance], list[SkippedInstance]]:
    """Measure the instances with the given pixels (N, 2), (u, v), by mask id."""
    skipped: list[SkippedInstance] = []
    candidates_of: dict[int, list[Category]] = {}
    for mask_id in pixels_of:
        label = frame.labels.get(mask_id)
        if label is None:
            reason = (
                f"mask id {mask_id} has no label: expected one of the categories "
                f"{', '.join(categories)}"
            )
            skipped.append(SkippedInstance(mask_id, "", reason))
            continue
        candidates = label_candidates(label.category, categories)
        if not candidates:
            reason = (
                f"mask id {mask_id} has the unknown label '{label.category}': expected one of "
                f"{', '.join(categories)}, one of their other labels, or '{ANY_CATEGORY}'"
            )
            skipped.append(SkippedInstance(mask_id, label.category, reason))
            continue
        candidates_of[mask_id] = candidates
    skipped += _drop_smallest(candidates_of, pixels_of, max_instances)
    instances: list[Instance] = []
    background = _background(frame, [pixels_of[x] for x in candidates_of])
    planes = dominant_planes(background, frame.up)
    if frame.up is not None and contradicted(frame.up, planes):
        frame = replace(frame, up=None)
        planes = dominant_planes(background)
    for mask_id, candidates in candidates_of.items():
        pixels, score = pixels_of[mask_id], frame.labels[mask_id].score
        detected = frame.labels[mask_id].detected and len(candidates) == 1
        reported = candidates[0].name if detected else ""
        unknown = len(candidates) > 1
        measured = [
            replace(x, label=reported, unknown=unknown, camera_pose=frame.camera_pose)
            for x in measure(frame, mask_id, pixels, score, candidates, planes)
        ]
        usable = [x for x in measured if x.depth_pixels >= min_points]
        if not usable:
            best = max(measured, key=lambda x: x.depth_pixels)
            name = _name(candidates)
            reason = (
                f"mask id {mask_id} ({name}) has {best.depth_pixels} usable depth "
                f"pixels of {best.mask_pixels}: expected at least {min_points} (too far, "
                "occluded, or without depth)"
            )
            skipped.append(SkippedInstance(mask_id, name, reason))
        instances += usable
    return instances, skipped


def label_candidates(label: str, categories: Categories) -> list[Category]:
    """Return the categories that a label may refer to."""
    if label.strip().lower() == ANY_CATEGORY:
        return list(categories.values())
    category = categories.by_label(label)
    return [] if category is None else [category]


def _name(candidates: Sequence[Category]) -> str:
    return candidates[0].name if len(candidates) == 1 else ANY_CATEGORY


def _drop_smallest(
    candidates_of: dict[int, list[Category]],
    pixels_of: Mapping[int, NDArray[np.int32]],
    count: int,
) -> list[SkippedInstance]:
    """Remove all but the `count` ids with the most pixels, and return the removed ones."""
    total = len(candidates_of)
    smaller = sorted(candidates_of, key=lambda x: len(pixels_of[x]), reverse=True)[count:]
    skipped = []
    for mask_id in sorted(smaller):
        name = _name(candidates_of.pop(mask_id))
        reason = (
            f"mask id {mask_id} ({name}) is skipped: got {total} instances, expected at most "
            f"{count} (only the largest are used)"
        )
        skipped.append(SkippedInstance(mask_id, name, reason))
    return skipped


def _pixels(mask: NDArray[np.integer]) -> dict[int, NDArray[np.int32]]:
    """Return the pixels (N, 2), (u, v), of each mask id, row by row, in the order of the ids."""
    lowest, highest = int(mask.min()), int(mask.max())
    if lowest < 0 or highest > _MAX_ID:
        raise FrameError(
            f"mask contains the id {lowest if lowest < 0 else highest}: expected instance ids from "
            f"0 (background) to {_MAX_ID}"
        )
    if highest == 0:
        return {}
    pixels = cv2.findNonZero(mask.astype(np.uint16, copy=False)).reshape(-1, 2)
    ids = mask[pixels[:, 1], pixels[:, 0]]
    order = np.argsort(ids, kind="stable")
    counts = np.bincount(ids)
    present = np.flatnonzero(counts)
    parts: list[NDArray[np.int32]] = np.split(pixels[order], np.cumsum(counts[present])[:-1])
    return {int(x): part for x, part in zip(present, parts, strict=True)}


def _background(frame: RgbdFrame, masks: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
    """Points (M, 3), metres, camera frame, on a grid over the image outside all masks.

    What lies far behind the pixels (N, 2) of all `masks` is left out, as nothing stands on it.
    """
    depths = [frame.depth[x[:, 1], x[:, 0]] for x in masks]
    farthest = max((float(np.median(x[x > 0.0])) for x in depths if x.any()), default=0.0)
    every = slice(None, None, max(1, round(math.sqrt(frame.depth.size) / _BACKGROUND_GRID)))
    depth = frame.depth[every, every]
    near = depth < _BACKGROUND_DEPTH * farthest
    v, u = np.nonzero((frame.mask[every, every] == 0) & (depth > 0.0) & near)
    pixels = np.stack([u, v], axis=-1) * (every.step or 1)
    return frame.camera.back_project(pixels, depth[v, u])
