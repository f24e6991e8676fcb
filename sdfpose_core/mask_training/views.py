"""Training views of the mask network: simulated images with the object of each pixel, in files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import FrameError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.masks.resolution import reduced
from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.shapes.families import FAMILIES
from sdfpose_core.simulation.clutter import (
    CLUTTER,
    ClutterFrame,
    ClutterStyle,
    simulated_clutter,
)
from sdfpose_core.storage.record_files import write_records

__all__ = ["IGNORED", "MASK_VIEW", "VIEW_SIZE", "MaskViewFile", "as_clutter", "view_records"]

VIEW_SIZE = (240, 320)
"""Rows and columns of a view."""

MASK_VIEW = np.dtype(
    [
        ("colour", np.uint8, (*VIEW_SIZE, 3)),
        ("depth", np.uint16, VIEW_SIZE),
        ("ids", np.uint8, VIEW_SIZE),
        ("categories", np.int8, (256,)),
        ("focal", np.float32),
    ]
)
"""A view: RGB, depth in millimetres (0 = missing), number of the object (0 = background), category
of each object as its number among `FAMILIES` (-1 = none), and focal length in pixels."""

IGNORED = 255
"""Number of the pixels of objects that are too small or too far away to be asked for."""

_MOST_OBJECTS = IGNORED - 1

_NAMES = tuple(FAMILIES)


def view_records(frames: Iterable[ClutterFrame]) -> NDArray[np.void]:
    """Convert images and their true masks to records of the size of a view.

    Images keep their aspect ratio; what they lack is black, without depth, and background.

    Raises:
        FrameError: an image has more than 254 objects.
    """
    return np.array([_record(x) for x in frames], dtype=MASK_VIEW)


def _record(image: ClutterFrame) -> NDArray[np.void]:
    frame, ids = image.frame, image.ids
    height, width = VIEW_SIZE
    scale = min(height / ids.shape[0], width / ids.shape[1])
    rows, columns = (max(round(scale * x), 1) for x in ids.shape)
    colour, depth = reduced(frame.colour, frame.depth, columns, rows)
    present, numbers = np.unique(ids, return_inverse=True)
    first = int(ids.min() > 0)
    numbers = numbers.reshape(ids.shape) + first
    if numbers.max() > _MOST_OBJECTS:
        raise FrameError(
            f"an image has {numbers.max()} objects: expected at most {_MOST_OBJECTS} in a training "
            "view; put fewer into a scene"
        )
    numbers = np.where(image.ignore, IGNORED, numbers)
    _, small = reduced(frame.colour, numbers.astype(np.float32), columns, rows)
    top, left = (height - rows) // 2, (width - columns) // 2
    record = np.zeros((), dtype=MASK_VIEW)
    part = slice(top, top + rows), slice(left, left + columns)
    record["colour"][part] = colour
    record["depth"][part] = np.round(1000.0 * np.minimum(depth, 65.0))
    record["ids"][part] = small
    names = [image.categories.get(int(i), "") for i in present]
    record["categories"] = -1
    record["categories"][first : first + len(names)] = [_NAMES.index(x) if x else -1 for x in names]
    record["focal"] = scale * 0.5 * (frame.camera.fx + frame.camera.fy)
    return record


def as_clutter(record: np.void) -> ClutterFrame:
    """The image of a record, without true poses; its principal point is in the middle."""
    height, width = VIEW_SIZE
    focal = float(record["focal"])
    camera = PinholeCamera(width, height, focal, focal, 0.5 * (width - 1), 0.5 * (height - 1))
    ids = record["ids"].astype(np.uint16)
    ignore = ids == IGNORED
    ids[ignore] = 0
    depth = record["depth"].astype(np.float32) / np.float32(1000.0)
    frame = RgbdFrame(record["colour"], depth, np.zeros_like(ids), camera)
    names = {
        int(i): _NAMES[x] if (x := int(record["categories"][i])) >= 0 else ""
        for i in np.unique(ids)
        if i > 0
    }
    return ClutterFrame(frame, ids, names, ignore, ())


@dataclass(frozen=True)
class MaskViewFile:
    """One file of training views to make.

    Attributes:
        path: the file.
        seed: seed of its scenes.
        count: number of views.
        model_seeds: seeds of the procedural models.
        style: style of the scenes.
    """

    path: Path
    seed: int
    count: int
    model_seeds: range
    style: ClutterStyle = CLUTTER

    def make(self) -> None:
        """Make the file, unless it is there."""
        if self.path.exists():
            return
        records = view_records(
            simulated_clutter(
                self.seed,
                self.count,
                self.style,
                width=VIEW_SIZE[1],
                model_seeds=self.model_seeds,
            )
        )
        write_records(self.path, records)
