"""Training views of the mask network: simulated images with the object of each pixel, in files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import FrameError
from sdfpose_core.masks.resolution import reduced
from sdfpose_core.simulation.clutter import (
    CLUTTER,
    ClutterFrame,
    ClutterStyle,
    simulated_clutter,
)
from sdfpose_core.storage.files import atomic_replace

__all__ = ["IGNORED", "VIEW_SIZE", "MaskViewFile", "MaskViews", "view_records"]

VIEW_SIZE = (240, 320)
"""Rows and columns of a view."""

_RECORD = np.dtype(
    [
        ("colour", np.uint8, (*VIEW_SIZE, 3)),
        ("depth", np.uint16, VIEW_SIZE),
        ("ids", np.uint8, VIEW_SIZE),
        ("focal", np.float32),
    ]
)
"""A view: RGB, depth in millimetres (0 = missing), number of the object (0 = background), and focal
length in pixels."""

IGNORED = 255
"""Number of the pixels of objects that are too small or too far away to be asked for."""

_MOST_OBJECTS = IGNORED - 1


class MaskViews:
    """Views in one or several files, which stay on the disk.

    Args:
        parts: arrays of records, as made by `view_records`.
    """

    def __init__(self, parts: Sequence[NDArray[np.void]]) -> None:
        self._parts = list(parts)
        self._ends = np.cumsum([len(x) for x in self._parts])

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, index: Sequence[int] | NDArray[np.integer]) -> NDArray[np.void]:
        """Read some views, by number."""
        numbers = np.asarray(index)
        part = np.searchsorted(self._ends, numbers, side="right")
        first = np.concatenate([[0], self._ends])[part]
        return np.stack([self._parts[p][i] for p, i in zip(part, numbers - first, strict=True)])

    @classmethod
    def load(cls, paths: Sequence[Path]) -> MaskViews:
        """Open files of `MaskViewFile`.

        Raises:
            FrameError: a file is missing or damaged, or of an earlier version.
        """
        return cls([_opened(x) for x in paths])


def _opened(path: Path) -> NDArray[np.void]:
    try:
        records = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise FrameError(
            f"{path}: not a readable file of training views ({error}); delete it to make it again"
        ) from error
    if records.dtype != _RECORD or records.ndim != 1:
        raise FrameError(
            f"{path}: contains {records.dtype} {records.shape}: expected training views of this "
            "version; delete it to make it again"
        )
    return records


def view_records(frames: Iterable[ClutterFrame]) -> NDArray[np.void]:
    """Convert images and their true masks to records of the size of a view.

    Images keep their aspect ratio; what they lack is black, without depth, and background.

    Raises:
        FrameError: an image has more than 254 objects.
    """
    return np.array([_record(x) for x in frames], dtype=_RECORD)


def _record(image: ClutterFrame) -> NDArray[np.void]:
    frame, ids = image.frame, image.ids
    height, width = VIEW_SIZE
    scale = min(height / ids.shape[0], width / ids.shape[1])
    rows, columns = (max(round(scale * x), 1) for x in ids.shape)
    colour, depth = reduced(frame.colour, frame.depth, columns, rows)
    _, numbers = np.unique(ids, return_inverse=True)
    numbers = numbers.reshape(ids.shape) + int(ids.min() > 0)
    if numbers.max() > _MOST_OBJECTS:
        raise FrameError(
            f"an image has {numbers.max()} objects: expected at most {_MOST_OBJECTS} in a training "
            "view; put fewer into a scene"
        )
    numbers = np.where(image.ignore, IGNORED, numbers)
    _, small = reduced(frame.colour, numbers.astype(np.float32), columns, rows)
    top, left = (height - rows) // 2, (width - columns) // 2
    record = np.zeros((), dtype=_RECORD)
    part = slice(top, top + rows), slice(left, left + columns)
    record["colour"][part] = colour
    record["depth"][part] = np.round(1000.0 * np.minimum(depth, 65.0))
    record["ids"][part] = small
    record["focal"] = scale * 0.5 * (frame.camera.fx + frame.camera.fy)
    return record


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
        with atomic_replace(self.path) as temporary, temporary.open("wb") as file:
            np.save(file, records, allow_pickle=False)
