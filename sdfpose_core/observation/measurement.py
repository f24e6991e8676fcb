"""Measurement of one mask as an object of each category that it may show.

A category says how large its objects are, and so which points of the mask can belong to one of
them, and what lies around it. Most categories agree on that, and share what follows from it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import Category
from sdfpose_core.observation.frame import Instance, RgbdFrame, robust_centre
from sdfpose_core.observation.free_space import free_space, thinning
from sdfpose_core.observation.support_plane import SupportPlane, find_supports

__all__ = ["largest_diagonal_m", "measure"]

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

_SUPPORT_THINNING = 4
"""One in this many points on the support plane is kept. A leaking mask causes such points, but they
may belong to a thin object, e.g. a laptop."""

_SUPPORT_SHARE = 0.02
"""Points higher above the support than this share of the category's median diagonal belong to the
object, however noisy the depth."""


def largest_diagonal_m(category: Category) -> float:
    """Return the largest plausible diagonal of the category, metres."""
    return category.diagonal_m * math.exp(_SIZE_SDS * category.diagonal_log_sd)


def measure(
    frame: RgbdFrame,
    mask_id: int,
    pixels: NDArray[np.int32],
    score: float,
    categories: Sequence[Category],
    planes: Sequence[SupportPlane],
) -> list[Instance]:
    """Measure a mask as an object of each category, whatever its number of points.

    Args:
        frame: the image.
        mask_id: id of the mask.
        pixels: (N, 2), (u, v) of the mask, N > 0.
        score: confidence of the detector, 0 to 1.
        categories: each gives one instance, the same as if it were the only one.
        planes: those of the image, see `dominant_planes`.
    """
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
    found: dict[str, Instance] = {}
    for keep, able in _plausible(points, categories):
        share = float(keep.mean()) if len(keep) else 1.0
        whole = bool(keep.all())
        own, own_pixels = (points, pixels) if whole else (points[keep], pixels[keep])
        free = free_space(frame.depth, frame.camera, own_pixels, every)
        for category, support in _supports(frame, box, own, able, planes):
            on_object = _on_object(own, support, category)
            found[category.name] = Instance(
                mask_id=mask_id,
                category=category.name,
                score=score,
                points=own[on_object],
                pixels=own_pixels[on_object],
                free=free,
                mask_pixels=mask_pixels,
                every=every,
                support=support,
                up=_up(frame, support),
                colour=frame.colour,
                plausible_share=share,
            )
    return [found[x.name] for x in categories]


def _plausible(
    points: NDArray[np.float32], categories: Sequence[Category]
) -> list[tuple[NDArray[np.bool_], list[Category]]]:
    """The points (N, 3) that can belong to one object, and the categories of which they can.

    Returns:
        Each selection (N,) once, with its categories.
    """
    if len(points) == 0:
        return [(np.zeros(0, dtype=np.bool_), list(categories))]
    ordered = np.sort(points[:, 2])
    steps = np.diff(ordered)
    clusters: dict[int, tuple[NDArray[np.bool_], NDArray[np.float32]]] = {}
    groups: dict[bytes, tuple[NDArray[np.bool_], list[Category]]] = {}
    for category in categories:
        diagonal_m = largest_diagonal_m(category)
        ends = np.flatnonzero(steps > _GAP_SHARE * diagonal_m)
        # As many gaps are the same ones: each category has those above its own threshold.
        if len(ends) not in clusters:
            clusters[len(ends)] = _clusters(points, ordered, ends)
        cluster, square = clusters[len(ends)]
        keep = cluster & (square <= diagonal_m**2)
        groups.setdefault(keep.tobytes(), (keep, []))[1].append(category)
    return list(groups.values())


def _clusters(
    points: NDArray[np.float32], ordered: NDArray[np.float32], ends: NDArray[np.intp]
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Select the points (N, 3) in large clusters, and measure the distances from their centre.

    Args:
        points: metres, camera frame.
        ordered: (N,) their depths in ascending order.
        ends: (G,) places of the last depths before the gaps between clusters.

    Returns:
        Selection (N,), and squared distances (N,) of all points.
    """
    keep = np.ones(len(points), dtype=np.bool_)
    if len(ends):
        sizes = np.diff(ends + 1, prepend=0, append=len(points))
        keep = (sizes >= _CLUSTER_SHARE * sizes.max())[np.searchsorted(ordered[ends], points[:, 2])]
    offset = points - robust_centre(points[keep] if len(ends) else points).astype(np.float32)
    return keep, np.einsum("ij,ij->i", offset, offset)


def _supports(
    frame: RgbdFrame,
    box: tuple[slice, slice],
    points: NDArray[np.float32],
    categories: Sequence[Category],
    planes: Sequence[SupportPlane],
) -> list[tuple[Category, SupportPlane | None]]:
    """The plane that an object with the points (N, 3) stands on or leans against, by category."""
    found: list[tuple[Category, SupportPlane | None]] = []
    for around, members in _surroundings(frame, box, points, categories):
        sizes = [x.diagonal_m for x in members]
        supports = find_supports(around, points, sizes, planes, frame.up)
        found += zip(members, supports, strict=True)
    return found


def _surroundings(
    frame: RgbdFrame,
    box: tuple[slice, slice],
    points: NDArray[np.float32],
    categories: Sequence[Category],
) -> list[tuple[NDArray[np.float32], list[Category]]]:
    """Points (M, 3), metres, camera frame, around the mask, on which the object may stand.

    Pixels of other instances are excluded.

    Returns:
        Each set of points once, with its categories.
    """
    if len(points) == 0:
        return [(np.zeros((0, 3), dtype=np.float32), list(categories))]
    height, width = box[0].stop - box[0].start, box[1].stop - box[1].start
    reach = math.ceil(_SURROUNDINGS_SHARE * max(height, width)) + _SURROUNDINGS_PX
    step = max(1, round(math.sqrt((height + 2 * reach) * (width + 2 * reach)) / _SURROUNDINGS_GRID))
    rows = slice(max(box[0].start - reach, 0), box[0].stop + reach, step)
    columns = slice(max(box[1].start - reach, 0), box[1].stop + reach, step)
    depth = frame.depth[rows, columns]
    v, u = np.nonzero((frame.mask[rows, columns] == 0) & (depth > 0.0))
    pixels = np.stack([u * step + columns.start, v * step + rows.start], axis=-1)
    around = frame.camera.back_project(pixels, depth[v, u])
    distance = np.abs(around[:, 2] - float(robust_centre(points)[2]))
    groups: dict[int, tuple[NDArray[np.float32], list[Category]]] = {}
    for category in categories:
        near = distance < _SURROUNDINGS_DEPTH * category.diagonal_m
        # As many are the same ones: each category has those within its own distance.
        groups.setdefault(int(np.count_nonzero(near)), (around[near], []))[1].append(category)
    return list(groups.values())


def _on_object(
    points: NDArray[np.float32], support: SupportPlane | None, category: Category
) -> slice | NDArray[np.bool_]:
    """Index of the points (N, 3) without most of those that lie on the support."""
    if support is None:
        return slice(None)
    on_plane = np.flatnonzero(support.holds(points, _SUPPORT_SHARE * category.diagonal_m))
    keep = np.ones(len(points), dtype=np.bool_)
    keep[on_plane[np.arange(len(on_plane)) % _SUPPORT_THINNING > 0]] = False
    return keep


def _up(frame: RgbdFrame, support: SupportPlane | None) -> NDArray[np.float32] | None:
    """Direction against gravity (3,) as far as it is known: from the frame, or from a table."""
    if frame.up is not None:
        return frame.up.astype(np.float32)
    return None if support is None else support.up
