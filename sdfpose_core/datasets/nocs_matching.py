"""Matching of published poses to the instances of NOCS images, by box or by order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.datasets.nocs import NOCS_CATEGORIES, NocsImage
from sdfpose_core.datasets.nocs_frames import split_pose
from sdfpose_core.datasets.nocs_poses import MIN_PIXELS
from sdfpose_core.datasets.nocs_results import result_column
from sdfpose_core.errors import FrameError
from sdfpose_core.observation.frame import GroundTruth

__all__ = [
    "MAX_BOX_DIFFERENCE",
    "describe_box",
    "describe_instance",
    "instance_boxes",
    "is_pose",
    "match_boxes",
    "match_in_order",
    "name_missing",
]

MAX_BOX_DIFFERENCE = 5
"""Sum of the differences between the corners of matching boxes, pixels, as in the benchmark."""

_MAX_UP_DEG = 15.0
_MAX_DISTANCE_M = 0.08
"""A published pose fits the one from the map within these. For the five objects of one image of
Real/test, the two differ by up to 4.6 degrees and 1.8 cm; different objects are 13 cm apart or
more, but their up axes by few degrees."""


def instance_boxes(image: NocsImage) -> dict[int, tuple[int, int, int, int]]:
    """Boxes (y1, x1, y2, x2) of the labelled instances, ends excluded, by mask id."""
    boxes = {}
    for mask_id in image.frame.labels:
        inside = image.frame.mask == mask_id
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        boxes[mask_id] = (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
    return boxes


def match_boxes(
    image: NocsImage,
    class_ids: NDArray[np.float64],
    boxes: NDArray[np.float64],
    path: Path,
    problems: list[str],
) -> dict[int, int]:
    """Match the instances to the rows of a file by class and box; return rows by mask id.

    Args:
        image: the image.
        class_ids: (N,) class ids of the rows.
        boxes: (N, 4) boxes of the rows, see `instance_boxes`.
        path: the file.
        problems: receives a sentence for each mismatch.

    Raises:
        FrameError: no instance matches.
    """
    rows: dict[int, int] = {}
    own_boxes = instance_boxes(image)
    for mask_id, box in own_boxes.items():
        class_id = 1 + NOCS_CATEGORIES.index(image.frame.labels[mask_id].category)
        close = np.abs(boxes - np.asarray(box)).sum(axis=1) <= MAX_BOX_DIFFERENCE
        free = [
            x for x in np.flatnonzero(close & (class_ids == class_id)) if x not in rows.values()
        ]
        if free:
            rows[mask_id] = int(free[0])
    if own_boxes and len(class_ids) and not rows:
        raise FrameError(
            f"{path}: none of its {len(class_ids)} objects has class and box of one of the "
            f"{len(own_boxes)} instances of {image.name}: expected the file of that image"
        )
    for row in sorted(set(range(len(class_ids))) - set(rows.values())):
        problems.append(
            f"{path}: object {row} (class {class_ids[row]:.0f}, box "
            f"{describe_box(boxes[row])}) matches no instance of the mask; left out"
        )
    name_missing(image, rows, path, problems)
    return {i: row for i, row in rows.items() if _has_enough_depth(image, i, path, problems)}


def name_missing(
    image: NocsImage, found: Mapping[int, Any], path: Path, problems: list[str]
) -> None:
    """Name the instances of the mask that a file does not have."""
    for mask_id in image.frame.labels:
        if mask_id not in found and _depth_pixels(image, mask_id) >= MIN_PIXELS:
            problems.append(
                f"{path}: {describe_instance(image, mask_id)} has no true pose; left out"
            )


def _depth_pixels(image: NocsImage, mask_id: int) -> int:
    return int(np.count_nonzero((image.frame.mask == mask_id) & (image.frame.depth > 0.0)))


def _has_enough_depth(image: NocsImage, mask_id: int, path: Path, problems: list[str]) -> bool:
    """Check whether the benchmark counts an instance: not with too few pixels with depth."""
    count = _depth_pixels(image, mask_id)
    if count < MIN_PIXELS:
        problems.append(
            f"{path}: {describe_instance(image, mask_id)} has {count} pixels with depth: the "
            f"benchmark counts objects with at least {MIN_PIXELS}; left out"
        )
    return count >= MIN_PIXELS


def describe_box(box: NDArray[np.float64]) -> str:
    """Describe a box of a file, whose corners need not be finite, in a message."""
    return f"[{', '.join(f'{x:.10g}' for x in box)}]"


def describe_instance(image: NocsImage, mask_id: int) -> str:
    """Describe an instance in a message."""
    return f"instance {mask_id} ({image.frame.labels[mask_id].category}) of {image.name}"


def match_in_order(
    image: NocsImage,
    seen: Sequence[GroundTruth],
    content: Mapping[str, Any],
    transforms: NDArray[np.float64],
    path: Path,
    problems: list[str],
) -> dict[int, int]:
    """Assign poses without boxes to the image's instances, in order; return rows by mask id.

    A single pose that does not fit the map is reported and kept: it is the published one.

    Args:
        image: the image.
        seen: poses of its instances from their maps of object coordinates.
        content: dictionary of the file; classes are checked if it has them.
        transforms: (N, 4, 4) published poses, in the frame of the maps.
        path: the file.
        problems: receives a sentence for each mismatch.

    Raises:
        FrameError: number, classes or poses are not those of the instances.
    """
    ids = list(image.frame.labels)
    if len(transforms) != len(ids):
        raise FrameError(
            f"{path}: has {len(transforms)} poses and no boxes: expected {len(ids)}, one for "
            f"each instance of {image.name}_meta.txt in the mask, in order"
        )
    if "gt_class_ids" in content:
        class_ids = result_column(content, "gt_class_ids", (), path, len(ids))
        expected = [1 + NOCS_CATEGORIES.index(image.frame.labels[i].category) for i in ids]
        if class_ids.tolist() != expected:
            raise FrameError(
                f"{path}: has the classes [{', '.join(f'{x:.10g}' for x in class_ids)}]: expected "
                f"{expected}, those of the instances of {image.name}"
            )
    from_maps = {x.mask_id: x for x in seen}
    deviations = {
        i: {
            j: _deviation(transforms[row], truth)
            for j, truth in from_maps.items()
            if is_pose(transforms[row])
        }
        for row, i in enumerate(ids)
    }
    wrong = [i for i, found in deviations.items() if i in found and not _fits(found[i])]
    swapped = any(_fits(deviations[i][j]) for i in wrong for j in wrong)
    if swapped or 2 * len(wrong) > len(from_maps):
        raise FrameError(
            f"{path}: the poses of instances {', '.join(map(str, wrong))} do not fit their "
            f"maps of object coordinates{' in this order' if swapped else ''}: expected the "
            f"poses of {image.name}, in the order of its instances"
        )
    for i in wrong:
        angle, distance = deviations[i][i]
        problems.append(
            f"{path}: the pose of {describe_instance(image, i)} differs from that of its map by "
            f"{angle:.1f} degrees and {100 * distance:.1f} cm: expected at most "
            f"{_MAX_UP_DEG:.0f} degrees and {100 * _MAX_DISTANCE_M:.0f} cm; kept"
        )
    return {i: row for row, i in enumerate(ids) if _has_enough_depth(image, i, path, problems)}


def is_pose(transform: NDArray[np.float64]) -> bool:
    """Whether a matrix (4, 4) is a similarity with a positive scale."""
    if not np.isfinite(transform).all():
        return False
    upper = transform[:3, :3]
    volume = float(np.linalg.det(upper))
    if volume <= 0.0 or not np.allclose(transform[3], (0.0, 0.0, 0.0, 1.0), atol=1e-6):
        return False
    rotation = upper / np.cbrt(volume)
    return bool(np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3))


def _deviation(transform: NDArray[np.float64], truth: GroundTruth) -> tuple[float, float]:
    """Angle between the up axes, degrees, and distance of the origins, metres.

    The transform is in the frame of the maps, which is that of `truth`.
    """
    rotation, translation, _ = split_pose(transform)
    cosine = float(np.clip(rotation[:, 1] @ truth.rotation[:, 1], -1.0, 1.0))
    distance = float(np.linalg.norm(translation - truth.translation))
    return float(np.degrees(np.arccos(cosine))), distance


def _fits(deviation: tuple[float, float]) -> bool:
    return deviation[0] <= _MAX_UP_DEG and deviation[1] <= _MAX_DISTANCE_M
