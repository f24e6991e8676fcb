"""Average precision of 3D boxes and poses as defined by the NOCS benchmark.

Wang et al., "Normalized Object Coordinate Space for Category-Level 6D Object Pose and Size
Estimation" (CVPR 2019), as evaluated by the repositories derived from it. Three definitions of the
intersection over union (IoU) are in use:

- ``oriented``: exact IoU of the oriented boxes;
- ``repaired``: IoU of their bounding boxes aligned with the camera axes, as in SSC-6D;
- ``legacy``: IoU in the older code, which intends the same but computes the extents over the three
  coordinates of each corner instead of over the corners, giving eight meaningless numbers.
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
    "MissPolicy",
    "NocsDetections",
    "NocsPrecision",
    "NocsTruths",
    "box_iou",
    "nocs_precision",
]

IouName = Literal["oriented", "repaired", "legacy"]
MissPolicy = Literal["ignore", "count"]

POSE_IOU = 0.1
"""A pose is evaluated if the IoU of its box with that of the object exceeds this."""

_YAW_STEPS = 20
"""Rotations about y, over the full circle, that the published evaluators try."""

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
        symmetric: (G,) bool, whether yaw is undefined.
    """

    transforms: NDArray[np.float64]
    sizes: NDArray[np.float64]
    symmetric: NDArray[np.bool_]


@dataclass(frozen=True)
class NocsDetections:
    """The predictions of one category in one image.

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
    """Average precisions of one category, 0 to 1; NaN without objects.

    Attributes:
        iou: (I,), at each IoU threshold.
        pose: (D, S), at each pair of thresholds in degrees and centimetres.
        truths: number of objects.
        detections: number of detections.
        evaluated: number of objects for which poses are evaluated.
    """

    iou: NDArray[np.float64]
    pose: NDArray[np.float64]
    truths: int
    detections: int
    evaluated: int


def nocs_precision(
    images: Sequence[tuple[NocsTruths, NocsDetections]],
    *,
    ious: Sequence[float],
    degrees: Sequence[float],
    centimetres: Sequence[float],
    iou: IouName = "oriented",
    misses: MissPolicy = "ignore",
) -> NocsPrecision:
    """Compute the average precisions of one category over all images.

    In each image, detections are matched in the order of their scores. A box is correct if its IoU
    with an unmatched object exceeds the threshold; it is matched to the object with the largest
    IoU. Poses are evaluated for the boxes that are correct at an IoU of 0.1 and their objects. Each
    is matched to the unmatched object with the smallest sum of errors in degrees and centimetres
    that is within both thresholds. NaN is never correct.

    Args:
        images: objects and detections of each image.
        ious: IoU thresholds.
        degrees: rotation thresholds, degrees.
        centimetres: translation thresholds, centimetres.
        iou: definition of the IoU, see above.
        misses: ``ignore`` evaluates poses only for objects with a matched box, as published
            (`use_matches_for_pose`). With ``count``, the other objects count as missed, and
            detections without a matched box count as wrong.
    """
    box_limits = np.array([*ious, POSE_IOU], dtype=np.float64)
    limits = np.meshgrid(np.array(degrees), np.array(centimetres), indexing="ij")
    degree_limits, shift_limits = (x.reshape(-1).astype(np.float64) for x in limits)
    box_right: list[NDArray[np.bool_]] = [np.zeros((0, len(box_limits)), dtype=bool)]
    pose_right: list[NDArray[np.bool_]] = [np.zeros((0, len(degree_limits)), dtype=bool)]
    box_scores, pose_scores = [np.zeros(0)], [np.zeros(0)]
    evaluated = 0
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
        evaluated += len(truths.sizes) if misses == "count" else len(objects)
    total = sum(len(x.sizes) for x, _ in images)
    boxes_ap = average_precisions(np.concatenate(box_scores), np.concatenate(box_right), total)
    poses_ap = average_precisions(
        np.concatenate(pose_scores), np.concatenate(pose_right), evaluated
    )
    if total and not evaluated:
        poses_ap = np.zeros_like(poses_ap)  # as published: the category is part of the mean
    return NocsPrecision(
        boxes_ap[:-1],
        poses_ap.reshape(len(degrees), len(centimetres)),
        total,
        sum(len(x.scores) for _, x in images),
        evaluated,
    )


def box_iou(
    kind: IouName,
    transforms: NDArray[np.floating],
    sizes: NDArray[np.floating],
    true_transforms: NDArray[np.floating],
    true_sizes: NDArray[np.floating],
    symmetric: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Compute the intersection over union (N,) of pairs of predicted and true boxes.

    For symmetric objects it is the maximum over rotations of the prediction about its y axis. The
    IoU of boxes without volume or with NaN is 0.

    Args:
        kind: definition of the IoU, see the module.
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
    """Compute the IoU (P, G) of all detections and objects of each image."""
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
    """Match detections to objects greedily, at T thresholds at once.

    Args:
        fits: (P, G, T) bool, whether a detection may be matched to an object; detections in order.
        cost: (P, G); a detection is matched to the unmatched object of lowest cost that fits.

    Returns:
        (P, G, T) bool, the matches.
    """
    matches = np.zeros_like(fits)
    free = np.ones(fits.shape[1:], dtype=bool)
    for detection in range(len(fits)):
        unmatched = np.ones(fits.shape[2], dtype=bool)
        for item in np.argsort(cost[detection], kind="stable"):
            match = fits[detection, item] & free[item] & unmatched
            matches[detection, item] = match
            free[item] &= ~match
            unmatched &= ~match
    return matches


def _pose_errors(
    truths: NocsTruths,
    found: NocsDetections,
    objects: NDArray[np.integer],
    boxes: NDArray[np.integer],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute errors in degrees and centimetres (P, G) of selected detections and objects."""
    r, t, _ = _parts(found.transforms[boxes])
    true_r, true_t, _ = _parts(truths.transforms[objects])
    return (
        rotation_error_deg(r[:, None], true_r[None], truths.symmetric[objects][None]),
        _CENTIMETRES * translation_error_m(t[:, None], true_t[None]),
    )


def _parts(
    transforms: NDArray[np.floating],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Split transforms (N, 4, 4) into rotations (N, 3, 3), translations (N, 3), scales (N,)."""
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
    """Compute the corners (N, 3, 8), metres, camera frame."""
    local = 0.5 * _SIGNS * np.asarray(sizes, dtype=np.float64)[:, None]
    upper = np.asarray(transforms, dtype=np.float64)
    return np.asarray(upper[:, :3, :3] @ np.swapaxes(local, 1, 2) + upper[:, :3, 3:])


def _aligned_iou(a: NDArray[np.float64], b: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Compute the IoU (N,) of the extents of corners (N, 3, 8) over an axis."""
    low, high = np.stack([a.min(axis), b.min(axis)]), np.stack([a.max(axis), b.max(axis)])
    sides = high.min(0) - low.max(0)
    common = np.where((sides < 0.0).any(axis=-1), 0.0, sides.prod(axis=-1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return common / ((high - low).prod(axis=-1).sum(axis=0) - common)


def _yaw(step: int) -> NDArray[np.float64]:
    """Return the rotation about y (4, 4) by `step` steps."""
    angle = 2.0 * np.pi * step / _YAW_STEPS
    turn = np.eye(4)
    turn[0, 0] = turn[2, 2] = np.cos(angle)
    turn[0, 2], turn[2, 0] = np.sin(angle), -np.sin(angle)
    return turn
