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
    robust_centre,
)
from sdfpose_core.observation.free_space import free_space, thinning
from sdfpose_core.observation.gravity import contradicted
from sdfpose_core.observation.support_plane import SupportPlane, dominant_planes, find_support

__all__ = ["ANY_CATEGORY", "label_candidates", "largest_diagonal_m", "segment", "segment_masks"]

ANY_CATEGORY = "any"
"""Label of a mask whose category is unknown; all categories are tried."""

_MAX_ID = 65535
"""Mask ids are 16-bit (mono8 and 16UC1 images)."""

_SIZE_SDS = 2.0
"""Objects may exceed their category's median size by this many standard deviations."""

_GAP_SHARE = 0.25
"""A depth gap of this share of the largest diagonal separates two clusters of points."""

_CLUSTER_SHARE = 0.5
"""A cluster is kept if it has this share of the largest cluster's points, because an occluder may
split an object."""

_SURROUNDINGS_SHARE = 0.5
"""The support is searched this far around the mask, in sides of its box..."""

_SURROUNDINGS_PX = 2
"""...plus this many pixels..."""

_SURROUNDINGS_GRID = 64
"""...on a grid with this many pixels along each side..."""

_SURROUNDINGS_DEPTH = 1.5
"""...and within this many median diagonals of the category in depth."""

_BACKGROUND_GRID = 64
"""The planes of the image are searched on a grid with about this many pixels along each side..."""

_BACKGROUND_DEPTH = 1.5
"""...up to this many times the depth of the farthest mask."""

_SUPPORT_THINNING = 4
"""One in this many points on the support plane is kept. A leaking mask causes such points, but they
may belong to a thin object, e.g. a laptop."""

_SUPPORT_SHARE = 0.02
"""Points higher above the support than this share of the category's median diagonal belong to the
object, however noisy the depth."""


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
            replace(
                _measure(frame, mask_id, pixels, x, score, planes), label=reported, unknown=unknown
            )
            for x in candidates
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


def largest_diagonal_m(category: Category) -> float:
    """Return the largest plausible diagonal of the category, metres."""
    return category.diagonal_m * math.exp(_SIZE_SDS * category.diagonal_log_sd)


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


def _measure(
    frame: RgbdFrame,
    mask_id: int,
    pixels: NDArray[np.int32],
    category: Category,
    score: float,
    planes: Sequence[SupportPlane],
) -> Instance:
    """Measure one instance, whatever its number of points; `planes` are those of the image."""
    left, top, width, height = cv2.boundingRect(pixels)
    box = (slice(top, top + height), slice(left, left + width))
    mask_pixels = len(pixels)
    depth = frame.depth[pixels[:, 1], pixels[:, 0]]
    used = depth > 0.0
    every = thinning(max(width, height), int(np.count_nonzero(used)))
    if every > 1:
        used &= (pixels[:, 0] % every == 0) & (pixels[:, 1] % every == 0)
    if not used.all():
        pixels, depth = pixels[used], depth[used]
    points = frame.camera.back_project(pixels, depth)
    keep = _plausible(points, largest_diagonal_m(category))
    plausible_share = float(keep.mean()) if len(keep) else 1.0
    if not keep.all():
        points, pixels = points[keep], pixels[keep]
    support = find_support(
        _around(frame, box, points, category), points, category.diagonal_m, planes, frame.up
    )
    free = free_space(frame.depth, frame.camera, pixels, every)
    if support is not None:
        on_plane = np.flatnonzero(support.holds(points, _SUPPORT_SHARE * category.diagonal_m))
        keep = np.ones(len(points), dtype=np.bool_)
        keep[on_plane[np.arange(len(on_plane)) % _SUPPORT_THINNING > 0]] = False
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
        up=_up(frame, support),
        colour=frame.colour,
        plausible_share=plausible_share,
    )


def _up(frame: RgbdFrame, support: SupportPlane | None) -> NDArray[np.float32] | None:
    """Direction against gravity (3,) as far as it is known: from the frame, or from a table."""
    if frame.up is not None:
        return frame.up.astype(np.float32)
    return None if support is None else support.up


def _plausible(points: NDArray[np.float32], diagonal_m: float) -> NDArray[np.bool_]:
    """Select the points (N, 3) that can belong to one object of the given diagonal."""
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


def _around(
    frame: RgbdFrame,
    box: tuple[slice, slice],
    points: NDArray[np.float32],
    category: Category,
) -> NDArray[np.float32]:
    """Points (M, 3), metres, camera frame, around the mask, on which the object may stand.

    Pixels of other instances are excluded.
    """
    if len(points) == 0:
        return np.zeros((0, 3), dtype=np.float32)
    height, width = box[0].stop - box[0].start, box[1].stop - box[1].start
    reach = math.ceil(_SURROUNDINGS_SHARE * max(height, width)) + _SURROUNDINGS_PX
    step = max(1, round(math.sqrt((height + 2 * reach) * (width + 2 * reach)) / _SURROUNDINGS_GRID))
    rows = slice(max(box[0].start - reach, 0), box[0].stop + reach, step)
    columns = slice(max(box[1].start - reach, 0), box[1].stop + reach, step)
    depth = frame.depth[rows, columns]
    middle = float(robust_centre(points)[2])
    near = np.abs(depth - middle) < _SURROUNDINGS_DEPTH * category.diagonal_m
    v, u = np.nonzero((frame.mask[rows, columns] == 0) & (depth > 0.0) & near)
    pixels = np.stack([u * step + columns.start, v * step + rows.start], axis=-1)
    return frame.camera.back_project(pixels, depth[v, u])
