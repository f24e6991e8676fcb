"""From a frame to its instances: the measured points of each mask id, and the space around it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import Categories, Category
from sdfpose_core.errors import FrameError
from sdfpose_core.observation.frame import (
    MOST_INSTANCES,
    Instance,
    RgbdFrame,
    SkippedInstance,
    robust_centre,
)
from sdfpose_core.observation.free_space import free_space, thinning
from sdfpose_core.observation.support_plane import SupportPlane, find_support

__all__ = ["ANY_CATEGORY", "largest_diagonal_m", "segment"]

ANY_CATEGORY = "any"
"""Label of a mask whose category is to be found out."""

_LARGEST_ID = 65535
"""Mask ids are 16-bit (mono8 and 16UC1 images)."""

_SIZE_SDS = 2.0
"""Objects larger than their category's median by more standard deviations are not looked for."""

_GAP_SHARE = 0.25
"""Surfaces apart in depth by this share of the largest diagonal do not belong together..."""

_CLUSTER_SHARE = 0.5
"""...unless the smaller has this share of the larger's points: an occluder may cut an object."""

_SURROUNDINGS_SHARE = 0.5
"""The support is looked for so far around the mask, in sides of its box..."""

_SUPPORT_THINNING = 4
"""Of the points that are rather the support's, seen through a leaking mask, so many stand for one:
a thin laptop's may be its own."""

_SUPPORT_SHARE = 0.02
"""Of the category's median diagonal: what is higher above the support belongs to the object,
however noisy the depth."""

_BORDER_PX = 2
"""...and so many pixels more..."""

_SURROUNDINGS_GRID = 64
"""...on so many pixels along each side..."""

_SURROUNDINGS_DEPTH = 1.5
"""...and within so many of the category's median diagonals in depth."""


def segment(
    frame: RgbdFrame,
    categories: Categories,
    *,
    min_points: int = 50,
    max_instances: int = MOST_INSTANCES,
) -> tuple[list[Instance], list[SkippedInstance]]:
    """Split a frame into one `Instance` per labelled mask id.

    Gross outliers (background seen through a leaking mask, an occluder's rim) are dropped: points
    that no object of the category could reach from the median point, and small groups of points
    that a wide gap in depth separates from the rest. Everything subtler is left to the robust
    kernels of the refinement.

    Args:
        frame: colour is not looked at; the instances refer to it.
        categories: the known ones; a label is matched by `Categories.by_label`.
        min_points: an id with fewer valid depth pixels is skipped.
        max_instances: the ids with fewest pixels beyond this number are skipped, unmeasured.

    Returns:
        Instances in the order of their ids, and what was left out and why. An id that is labelled
        `ANY_CATEGORY` gives one instance of each category that it may be of.

    Raises:
        FrameError: the mask holds an id that is negative or does not fit 16 bits.
    """
    pixels_of = _pixels(frame.mask)
    skipped: list[SkippedInstance] = []
    candidates_of: dict[int, list[Category]] = {}
    for mask_id in pixels_of:
        label = frame.labels.get(mask_id)
        if label is None:
            reason = (
                f"mask id {mask_id} has no label: give it one of the categories "
                f"{', '.join(categories)}"
            )
            skipped.append(SkippedInstance(mask_id, "", reason))
            continue
        candidates = _candidates(label.category, categories)
        if not candidates:
            reason = (
                f"mask id {mask_id} is labelled '{label.category}', which is no known category: "
                f"expected one of {', '.join(categories)}, a name among their labels, or "
                f"'{ANY_CATEGORY}'"
            )
            skipped.append(SkippedInstance(mask_id, label.category, reason))
            continue
        candidates_of[mask_id] = candidates
    skipped += _beyond(candidates_of, pixels_of, max_instances)
    instances: list[Instance] = []
    planes: list[SupportPlane] = []
    for mask_id, candidates in candidates_of.items():
        pixels, score = pixels_of[mask_id], frame.labels[mask_id].score
        measured = [_measure(frame, mask_id, pixels, x, score, planes) for x in candidates]
        planes += [x.support for x in measured if x.support is not None]
        usable = [x for x in measured if x.depth_pixels >= min_points]
        if not usable:
            most = max(measured, key=lambda x: x.depth_pixels)
            name = _name(candidates)
            reason = (
                f"mask id {mask_id} ({name}) has {most.depth_pixels} usable depth "
                f"pixels of {most.mask_pixels}: expected at least {min_points} (too far, "
                "occluded, or without depth)"
            )
            skipped.append(SkippedInstance(mask_id, name, reason))
        instances += usable
    return instances, skipped


def _candidates(label: str, categories: Categories) -> list[Category]:
    """The categories that a label may stand for."""
    if label.strip().lower() == ANY_CATEGORY:
        return list(categories.values())
    category = categories.by_label(label)
    return [] if category is None else [category]


def _name(candidates: Sequence[Category]) -> str:
    return candidates[0].name if len(candidates) == 1 else ANY_CATEGORY


def _beyond(
    candidates_of: dict[int, list[Category]],
    pixels_of: Mapping[int, NDArray[np.int32]],
    count: int,
) -> list[SkippedInstance]:
    """Take out all but the `count` ids with most pixels, and say so of each."""
    came = len(candidates_of)
    smaller = sorted(candidates_of, key=lambda x: len(pixels_of[x]), reverse=True)[count:]
    skipped = []
    for mask_id in sorted(smaller):
        name = _name(candidates_of.pop(mask_id))
        reason = (
            f"mask id {mask_id} ({name}) is left out: {came} instances came, expected at most "
            f"{count} (it is not among the largest)"
        )
        skipped.append(SkippedInstance(mask_id, name, reason))
    return skipped


def largest_diagonal_m(category: Category) -> float:
    """Diagonal, metres, that hardly any object of the category exceeds."""
    return category.diagonal_m * math.exp(_SIZE_SDS * category.diagonal_log_sd)


def _pixels(mask: NDArray[np.integer]) -> dict[int, NDArray[np.int32]]:
    """Pixels (N, 2), (u, v), of each id of the mask, row by row, in the order of the ids."""
    lowest, highest = int(mask.min()), int(mask.max())
    if lowest < 0 or highest > _LARGEST_ID:
        raise FrameError(
            f"mask holds the id {lowest if lowest < 0 else highest}: expected instance ids from 0 "
            f"(background) to {_LARGEST_ID}"
        )
    if highest == 0:
        return {}
    pixels = cv2.findNonZero(mask.astype(np.uint16, copy=False)).reshape(-1, 2)
    ids = mask[pixels[:, 1], pixels[:, 0]]
    order = np.argsort(ids, kind="stable")
    counts = np.bincount(ids)
    found = np.flatnonzero(counts)
    parts: list[NDArray[np.int32]] = np.split(pixels[order], np.cumsum(counts[found])[:-1])
    return {int(x): part for x, part in zip(found, parts, strict=True)}


def _measure(
    frame: RgbdFrame,
    mask_id: int,
    pixels: NDArray[np.int32],
    category: Category,
    score: float,
    planes: Sequence[SupportPlane],
) -> Instance:
    """The instance of one id, with however many points it has; others stand on `planes`."""
    left, top, width, height = cv2.boundingRect(pixels)
    box = (slice(top, top + height), slice(left, left + width))
    mask_pixels = len(pixels)
    depth = frame.depth[pixels[:, 1], pixels[:, 0]]
    looked_at = depth > 0.0
    every = thinning(max(width, height), int(np.count_nonzero(looked_at)))
    if every > 1:
        looked_at &= (pixels[:, 0] % every == 0) & (pixels[:, 1] % every == 0)
    if not looked_at.all():
        pixels, depth = pixels[looked_at], depth[looked_at]
    points = frame.camera.back_project(pixels, depth)
    keep = _plausible(points, largest_diagonal_m(category))
    if not keep.all():
        points, pixels = points[keep], pixels[keep]
    support = find_support(
        _around(frame, box, points, category), points, category.diagonal_m, planes
    )
    free = free_space(frame.depth, frame.camera, pixels, every)
    if support is not None:
        held = np.flatnonzero(support.holds(points, _SUPPORT_SHARE * category.diagonal_m))
        keep = np.ones(len(points), dtype=np.bool_)
        keep[held[np.arange(len(held)) % _SUPPORT_THINNING > 0]] = False
        points, pixels = points[keep], pixels[keep]
    return Instance(
        mask_id=mask_id,
        category=category.name,
        score=score,
        points=points,
        pixels=pixels,
        free=free,
        mask_pixels=mask_pixels,
        every=every,
        support=support,
        colour=frame.colour,
    )


def _plausible(points: NDArray[np.float32], diagonal_m: float) -> NDArray[np.bool_]:
    """Which points (N, 3) can belong to one object of that diagonal."""
    if len(points) == 0:
        return np.zeros(0, dtype=np.bool_)
    ordered = np.sort(points[:, 2])
    ends = np.flatnonzero(np.diff(ordered) > _GAP_SHARE * diagonal_m)
    keep = np.ones(len(points), dtype=np.bool_)
    if len(ends):
        sizes = np.diff(ends + 1, prepend=0, append=len(points))
        keep = (sizes >= _CLUSTER_SHARE * sizes.max())[np.searchsorted(ordered[ends], points[:, 2])]
    offset = points - robust_centre(points[keep] if len(ends) else points).astype(np.float32)
    return keep & (np.einsum("ij,ij->i", offset, offset) <= diagonal_m**2)


def _around(
    frame: RgbdFrame,
    box: tuple[slice, slice],
    points: NDArray[np.float32],
    category: Category,
) -> NDArray[np.float32]:
    """Points (M, 3), metres, camera frame, around the mask: what may support the object.

    The other instances are left out: what has a mask is no table.
    """
    if len(points) == 0:
        return np.zeros((0, 3), dtype=np.float32)
    height, width = box[0].stop - box[0].start, box[1].stop - box[1].start
    reach = math.ceil(_SURROUNDINGS_SHARE * max(height, width)) + _BORDER_PX
    step = max(1, round(math.sqrt((height + 2 * reach) * (width + 2 * reach)) / _SURROUNDINGS_GRID))
    rows = slice(max(box[0].start - reach, 0), box[0].stop + reach, step)
    columns = slice(max(box[1].start - reach, 0), box[1].stop + reach, step)
    depth = frame.depth[rows, columns]
    middle = float(robust_centre(points)[2])
    near = np.abs(depth - middle) < _SURROUNDINGS_DEPTH * category.diagonal_m
    v, u = np.nonzero((frame.mask[rows, columns] == 0) & (depth > 0.0) & near)
    pixels = np.stack([u * step + columns.start, v * step + rows.start], axis=-1)
    return frame.camera.back_project(pixels, depth[v, u])
