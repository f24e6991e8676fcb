"""Average precision of 3D boxes and poses by the rules of the NOCS benchmark.

Wang et al., "Normalized Object Coordinate Space for Category-Level 6D Object Pose and Size
Estimation" (CVPR 2019), as the repositories that grew from it evaluate it. Three ways to take the
intersection over union (IoU) are in use:

- ``oriented``: of the boxes as they are, exact;
- ``repaired``: of the boxes around them along the camera's axes, as SSC-6D evaluates;
- ``legacy``: of what the older code takes for these: its extents run over each corner's three
  coordinates in place of over the corners, so they are eight numbers without a meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.evaluation.average_precision import average_precisions
from sdfpose_core.evaluation.boxes import OrientedBox, oriented_iou, symmetric_iou
from sdfpose_core.evaluation.pose_errors import rotation_error_deg, translation_error_m

__all__ = [
    "IouName",
    "Misses",
    "NocsDetections",
    "NocsPrecision",
    "NocsTruths",
    "box_iou",
    "nocs_precision",
]

IouName = Literal["oriented", "repaired", "legacy"]
Misses = Literal["ignore", "count"]

POSE_IOU = 0.1
"""A pose is judged where its box overlaps the object's by more than this."""

_YAW_STEPS = 20
"""Turns about y, over the whole circle, that the published evaluators try."""

_CENTIMETRES = 100.0

# Corner k of a box has the signs of k's bits.
_SIGNS = np.array([[1.0 if k >> axis & 1 else -1.0 for axis in range(3)] for k in range(8)])


@dataclass(frozen=True)
class NocsTruths:
    """The objects of one category in one image.

    Attributes:
        transforms: (G, 4, 4), normalised object to camera frame; the upper left part is a rotation
            times the scale.
        sizes: (G, 3), sides of the boxes, normalised object units.
        symmetric: (G,) bool, whether yaw has no meaning.
    """

    transforms: NDArray[np.float64]
    sizes: NDArray[np.float64]
    symmetric: NDArray[np.bool_]


@dataclass(frozen=True)
class NocsDetections:
    """What was predicted of one category in one image.

    Attributes:
        transforms: (P, 4, 4), see `NocsTruths`.
        sizes: (P, 3), see `NocsTruths`.
        scores: (P,).
    """

    transforms: NDArray[np.float64]
    sizes: NDArray[np.float64]
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class NocsPrecision:
    """Average precisions of one category, 0 to 1; NaN where there is no object.

    Attributes:
        iou: (I,), at each threshold of IoU.
        pose: (D, S), at each pair of degrees and centimetres.
        truths: number of objects.
        detections: number of detections.
        judged: of the objects, how many the poses are judged of.
    """

    iou: NDArray[np.float64]
    pose: NDArray[np.float64]
    truths: int
    detections: int
    judged: int


def nocs_precision(
    images: Sequence[tuple[NocsTruths, NocsDetections]],
    *,
    ious: Sequence[float],
    degrees: Sequence[float],
    centimetres: Sequence[float],
    iou: IouName = "oriented",
    misses: Misses = "ignore",
) -> NocsPrecision:
    """Average precisions of one category over all images.

    In each image detections are taken in the order of their scores. A box is right if its IoU with
    an object that no earlier one has taken is above the threshold; it takes the one with the
    largest. Poses are judged of the boxes that are right at an IoU of 0.1, and of the objects that
    these took: each takes, of those left, the one with the least sum of errors in degrees and
    centimetres within both thresholds. NaN is right nowhere.

    Args:
        images: objects and detections of each.
        ious: thresholds of IoU.
        degrees: thresholds of rotation.
        centimetres: thresholds of translation.
        iou: which IoU, see above.
        misses: ``ignore`` judges poses of the objects alone whose box was found, as published
            (`use_matches_for_pose`); with ``count`` the other objects are missed, and detections
            whose box found none are wrong.
    """
    box_limits = np.array([*ious, POSE_IOU], dtype=np.float64)
    limits = np.meshgrid(np.array(degrees), np.array(centimetres), indexing="ij")
    degree_limits, shift_limits = (x.reshape(-1).astype(np.float64) for x in limits)
    box_right: list[NDArray[np.bool_]] = [np.zeros((0, len(box_limits)), dtype=bool)]
    pose_right: list[NDArray[np.bool_]] = [np.zeros((0, len(degree_limits)), dtype=bool)]
    box_scores, pose_scores = [np.zeros(0)], [np.zeros(0)]
    judged = 0
    for (truths, found), overlap in zip(images, _overlaps(images, iou), strict=True):
        order = np.argsort(-found.scores, kind="stable")
        overlap = overlap[order]
        taken = _greedy(overlap[..., None] > box_limits, -overlap)
        box_right.append(np.asarray(taken.any(axis=1)))
        box_scores.append(found.scores[order])
        of_pose = taken[..., -1]
        boxes, objects = np.flatnonzero(of_pose.any(axis=1)), np.flatnonzero(of_pose.any(axis=0))
        turned, moved = _pose_errors(truths, found, objects, order[boxes])
        within = (turned[..., None] <= degree_limits) & (moved[..., None] <= shift_limits)
        right = np.asarray(_greedy(within, turned + moved).any(axis=1))
        if misses == "count":
            everywhere = np.zeros((len(order), len(degree_limits)), dtype=bool)
            everywhere[boxes] = right
            right, boxes = everywhere, np.arange(len(order))
        pose_right.append(right)
        pose_scores.append(found.scores[order[boxes]])
        judged += len(truths.sizes) if misses == "count" else len(objects)
    total = sum(len(x.sizes) for x, _ in images)
    boxes_ap = average_precisions(np.concatenate(box_scores), np.concatenate(box_right), total)
    poses_ap = average_precisions(np.concatenate(pose_scores), np.concatenate(pose_right), judged)
    return NocsPrecision(
        boxes_ap[:-1],
        poses_ap.reshape(len(degrees), len(centimetres)),
        total,
        sum(len(x.scores) for _, x in images),
        judged,
    )


def box_iou(
    kind: IouName,
    transforms: NDArray[np.floating],
    sizes: NDArray[np.floating],
    true_transforms: NDArray[np.floating],
    true_sizes: NDArray[np.floating],
    symmetric: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Intersection over union (N,) of predicted and true boxes, pair by pair.

    Of symmetric objects the best over turns of the prediction about its y axis. Boxes without
    volume, and NaN, overlap nothing.

    Args:
        kind: which IoU, see the module.
        transforms: (N, 4, 4), see `NocsTruths`.
        sizes: (N, 3), see `NocsTruths`.
        true_transforms: (N, 4, 4).
        true_sizes: (N, 3).
        symmetric: (N,) bool.
    """
    if kind == "oriented":
        a, b = _oriented(transforms, sizes), _oriented(true_transforms, true_sizes)
        found = oriented_iou(a, b)
        if symmetric.any():
            found[symmetric] = symmetric_iou(_some(a, symmetric), _some(b, symmetric))
        return np.nan_to_num(found, nan=0.0)
    axis = -2 if kind == "legacy" else -1
    corners = _corners(true_transforms, true_sizes)
    found = _aligned_iou(_corners(transforms, sizes), corners, axis)
    for step in range(1, _YAW_STEPS) if symmetric.any() else ():
        turned = _corners(transforms[symmetric] @ _yaw(step), sizes[symmetric])
        found[symmetric] = np.fmax(found[symmetric], _aligned_iou(turned, corners[symmetric], axis))
    return np.nan_to_num(found, nan=0.0)


def _overlaps(
    images: Sequence[tuple[NocsTruths, NocsDetections]], kind: IouName
) -> list[NDArray[np.float64]]:
    """IoU (P, G) of every detection with every object, image by image."""
    if not images:
        return []
    shapes = [(len(found.scores), len(truths.sizes)) for truths, found in images]
    first = np.cumsum([(0, 0), *shapes], axis=0)
    pairs = np.concatenate(
        [
            np.indices(shape).reshape(2, -1).T + start
            for shape, start in zip(shapes, first[:-1], strict=True)
        ]
    )
    detection, item = pairs[:, 0], pairs[:, 1]
    flat = box_iou(
        kind,
        np.concatenate([x.transforms for _, x in images])[detection],
        np.concatenate([x.sizes for _, x in images])[detection],
        np.concatenate([x.transforms for x, _ in images])[item],
        np.concatenate([x.sizes for x, _ in images])[item],
        np.concatenate([x.symmetric for x, _ in images])[item],
    )
    ends = np.cumsum([p * g for p, g in shapes])[:-1]
    return [x.reshape(shape) for x, shape in zip(np.split(flat, ends), shapes, strict=True)]


def _greedy(fits: NDArray[np.bool_], cost: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which detection takes which object, at T thresholds at once.

    Args:
        fits: (P, G, T) whether a detection may take an object; detections in their order.
        cost: (P, G); of the objects that are left a detection takes the cheapest that fits.
    """
    taken = np.zeros_like(fits)
    free = np.ones(fits.shape[1:], dtype=bool)
    for detection in range(len(fits)):
        wants = np.ones(fits.shape[2], dtype=bool)
        for item in np.argsort(cost[detection], kind="stable"):
            take = fits[detection, item] & free[item] & wants
            taken[detection, item] = take
            free[item] &= ~take
            wants &= ~take
    return taken


def _pose_errors(
    truths: NocsTruths,
    found: NocsDetections,
    objects: NDArray[np.integer],
    boxes: NDArray[np.integer],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Degrees and centimetres (P, G) between some detections and some objects."""
    r, t, _ = _parts(found.transforms[boxes])
    true_r, true_t, _ = _parts(truths.transforms[objects])
    return (
        rotation_error_deg(r[:, None], true_r[None], truths.symmetric[objects][None]),
        _CENTIMETRES * translation_error_m(t[:, None], true_t[None]),
    )


def _parts(
    transforms: NDArray[np.floating],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Rotations (N, 3, 3), translations (N, 3) and scales (N,) of transforms (N, 4, 4)."""
    upper = np.asarray(transforms, dtype=np.float64)[..., :3, :3]
    scale = np.cbrt(np.linalg.det(upper))
    with np.errstate(divide="ignore", invalid="ignore"):
        rotation = upper / scale[..., None, None]
    return rotation, np.asarray(transforms[..., :3, 3], dtype=np.float64), scale


def _oriented(transforms: NDArray[np.floating], sizes: NDArray[np.floating]) -> OrientedBox:
    rotation, translation, scale = _parts(transforms)
    return OrientedBox(rotation, translation, np.abs(scale[..., None] * sizes))


def _some(box: OrientedBox, where: NDArray[np.bool_]) -> OrientedBox:
    return OrientedBox(box.rotation[where], box.translation[where], box.dimensions_m[where])


def _corners(transforms: NDArray[np.floating], sizes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Corners (N, 3, 8), camera frame."""
    local = 0.5 * _SIGNS * np.asarray(sizes, dtype=np.float64)[:, None]
    upper = np.asarray(transforms, dtype=np.float64)
    return np.asarray(upper[:, :3, :3] @ np.swapaxes(local, 1, 2) + upper[:, :3, 3:])


def _aligned_iou(a: NDArray[np.float64], b: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """IoU (N,) of the extents of corners (N, 3, 8) over an axis."""
    least, most = np.stack([a.min(axis), b.min(axis)]), np.stack([a.max(axis), b.max(axis)])
    sides = most.min(0) - least.max(0)
    common = np.where((sides < 0.0).any(axis=-1), 0.0, sides.prod(axis=-1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return common / ((most - least).prod(axis=-1).sum(axis=0) - common)


def _yaw(step: int) -> NDArray[np.float64]:
    """Turn about y (4, 4) by so many steps."""
    angle = 2.0 * np.pi * step / _YAW_STEPS
    turn = np.eye(4)
    turn[0, 0] = turn[2, 2] = np.cos(angle)
    turn[0, 2], turn[2, 0] = np.sin(angle), -np.sin(angle)
    return turn
