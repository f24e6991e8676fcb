"""Detections of other packages as boxes: vision_msgs/Detection2DArray, yolo_msgs/DetectionArray."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.masks.boxes import Box
from sdfpose_core.masks.polygons import MIN_POINTS
from sdfpose_core.messages.errors import ImageSizeError, LabelsError
from sdfpose_core.observation.frame import InstanceLabel
from sdfpose_ros.masks.classes import ClassTable

__all__ = ["boxes_of_detections", "boxes_of_yolo", "labels_of_detections"]


def labels_of_detections(
    message: Any, classes: ClassTable, min_score: float, topic: str
) -> list[InstanceLabel | None]:
    """Label each detection of a vision_msgs/Detection2DArray with its most likely class.

    Args:
        message: the detections.
        classes: categories of the classes.
        min_score: detections with a lower score have no label.
        topic: topic of the detections, for errors.

    Returns:
        For each detection its label, None if its class is of no category.

    Raises:
        LabelsError: all classes are numbers that nothing gives a name or a category.
    """
    best = [
        max((x.hypothesis for x in detection.results), key=lambda x: x.score, default=None)
        for detection in message.detections
    ]
    likely = [None if x is None or not x.score >= min_score else x for x in best]
    _check_named([x.class_id for x in likely if x is not None], classes, topic)
    return [
        None if x is None else _label(classes.category(x.class_id), float(x.score)) for x in likely
    ]


def boxes_of_detections(
    message: Any, classes: ClassTable, min_score: float, topic: str
) -> list[Box]:
    """Extract the boxes of a vision_msgs/Detection2DArray, each with its most likely class.

    Args:
        message: the detections.
        classes: categories of the classes. Detections of no category are dropped.
        min_score: detections with a lower score are dropped.
        topic: topic of the detections, for errors.

    Raises:
        FrameError: a box is not finite, or its size is negative.
        LabelsError: all classes are numbers that nothing gives a name or a category.
    """
    labels = labels_of_detections(message, classes, min_score, topic)
    return [
        _box(x.bbox.center, (x.bbox.size_x, x.bbox.size_y), label)
        for x, label in zip(message.detections, labels, strict=True)
        if label is not None
    ]


def boxes_of_yolo(
    message: Any, classes: ClassTable, min_score: float, size: tuple[int, int], topic: str
) -> list[Box]:
    """Extract boxes and outlines of a yolo_msgs/DetectionArray.

    A mask of fewer than three points is no outline; only the box is used.

    Args:
        message: the detections.
        classes: categories of the classes, by id or by name. Detections of no category are dropped.
        min_score: detections with a lower score are dropped.
        size: width and height of the colour image, pixels.
        topic: topic of the detections, for errors.

    Raises:
        FrameError: a box or an outline is not finite, or the size of a box is negative.
        ImageSizeError: a mask belongs to an image of another size.
    """
    boxes = []
    for x in message.detections:
        category = classes.category(str(x.class_id), x.class_name)
        label = _label(category, float(x.score)) if x.score >= min_score else None
        if label is not None:
            outline = _outline(x.mask, size, topic)
            boxes.append(_box(x.bbox.center, (x.bbox.size.x, x.bbox.size.y), label, outline))
    return boxes


def _label(category: str | None, score: float) -> InstanceLabel | None:
    return None if category is None else InstanceLabel(category, min(score, 1.0), detected=True)


def _box(
    center: Any,
    sides: tuple[float, float],
    label: InstanceLabel,
    outline: NDArray[np.float64] | None = None,
) -> Box:
    """Enclose a box that may be rotated about its centre."""
    x, y = center.position.x, center.position.y
    # The cosine of infinity is an error without a word about the box.
    angle = center.theta if math.isfinite(center.theta) else math.nan
    cosine, sine = abs(math.cos(angle)), abs(math.sin(angle))
    rx = 0.5 * (cosine * sides[0] + sine * sides[1])
    ry = 0.5 * (sine * sides[0] + cosine * sides[1])
    return Box(x - rx, y - ry, x + rx, y + ry, label.category, label.score, outline)


def _outline(mask: Any, size: tuple[int, int], topic: str) -> NDArray[np.float64] | None:
    """Read the polygon (N, 2) of a yolo_msgs/Mask; None if there is none."""
    if len(mask.data) < MIN_POINTS:
        return None
    if (mask.width, mask.height) != size:
        raise ImageSizeError(
            topic,
            f"masks for an image of {mask.width}x{mask.height} pixels",
            f"{size[0]}x{size[1]}, the size of the colour image (detect objects in that image)",
        )
    return np.array([(point.x, point.y) for point in mask.data], dtype=np.float64)


def _check_named(ids: Sequence[str], classes: ClassTable, topic: str) -> None:
    """Check that class ids are more than numbers without a meaning."""
    if ids and not classes.chosen and not classes.names and all(x.isdecimal() for x in ids):
        shown = ", ".join(sorted(set(ids), key=int)[:5])
        raise LabelsError(
            topic,
            f"class ids without names ({shown})",
            "names of categories; or set the parameter classes, for example ['41:mug'], or "
            "label_info to read the names from a vision_msgs/LabelInfo",
        )
