"""Frame folders: one RGB-D frame per folder, as three PNG files and a `meta.json`.

- ``color.png``: RGB or grey, 8- or 16-bit. Without it, poses come from depth alone.
- ``depth.png``: 16-bit, registered to colour (0 = missing), millimetres unless ``meta.json`` has
  another ``depth_unit``.
- ``mask.png``: instance id per pixel (0 = background); not needed where masks are made.
- ``meta.json``: ``K`` (3x3), ``objects``, and optionally ``depth_unit``, metres per unit of depth,
  and ``camera_pose``, ``R`` and ``t`` of the camera in the world. Each object has ``mask_id`` and
  ``category``, optionally ``instance`` and ``symmetric_about_y``, and, if ``gt`` is not null, the
  true ``R``, ``t`` and ``extents_m``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import default_categories
from sdfpose_core.datasets.camera_pose_entry import camera_pose_of
from sdfpose_core.datasets.images import image_size, read_colour, read_image, read_text
from sdfpose_core.errors import ConfigurationError, FrameError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.camera_pose import MeasuredCameraPose
from sdfpose_core.observation.depth_unit import MILLIMETRE, depth_unit_problem, parse_depth_unit
from sdfpose_core.observation.frame import GroundTruth, InstanceLabel, RgbdFrame
from sdfpose_core.observation.input_warnings import InputWarning, WarningCounts
from sdfpose_core.observation.truth_checks import truth_problem

__all__ = [
    "COLOUR",
    "DEPTH",
    "MASK",
    "META",
    "FolderFrame",
    "frame_folders",
    "ground_truth_of",
    "holds_frames",
    "read_frame",
    "read_frames",
]

COLOUR, DEPTH, MASK, META = "color.png", "depth.png", "mask.png", "meta.json"
_FILES = (COLOUR, DEPTH, MASK, META)

_MAX_MASK_ID = 65535

_ROTATION_TOLERANCE = 1e-3
"""Largest absolute entry of R R^T - I that is accepted for a rotation matrix."""


@dataclass(frozen=True)
class FolderFrame:
    """The content of one frame folder.

    Attributes:
        name: name of the folder.
        frame: the images, with a label for every listed object that is visible in the mask, or for
            every listed object if there is no mask; the mask is empty then.
        ground_truth: true poses of the objects that have one.
        instances: name of the individual object by mask id.
        problems: one sentence for each skipped entry, naming the file.
        warnings: what is likely to be wrong with the depth or the ground truth, or is not there,
            naming the file.
        has_mask: whether the folder has a mask.
        depth_unit: metres per unit of depth.
    """

    name: str
    frame: RgbdFrame
    ground_truth: list[GroundTruth]
    instances: dict[int, str]
    problems: list[str]
    warnings: list[InputWarning] = field(default_factory=list)
    has_mask: bool = True
    depth_unit: float = MILLIMETRE


def frame_folders(folder: Path | str) -> list[Path]:
    """List the frame folders at a path: the folder itself, or its subfolders in order of name.

    A folder with any of the four files counts as a frame folder, even if it is incomplete, and so
    does a folder that cannot be read: `read_frame` gives the reason.
    """
    folder = Path(folder)
    try:
        if not folder.is_dir() or _has_frame_file(folder):
            return [folder]
        inner = sorted(folder.iterdir())
    except OSError:
        return [folder]
    return [x for x in inner if _may_be_frame(x)] or [folder]


def holds_frames(folder: Path | str) -> bool:
    """Whether a path is a frame folder or a folder of frame folders."""
    try:
        return any(x.is_dir() and _has_frame_file(x) for x in frame_folders(folder))
    except OSError:
        return False


def read_frames(
    folder: Path | str,
    problems: list[str],
    *,
    depth_unit: float | None = None,
    needs_mask: bool = True,
) -> Iterator[FolderFrame]:
    """Read the frames at a path (see `frame_folders`) and skip those that cannot be read.

    Args:
        folder: a frame folder, or a folder of frame folders.
        problems: receives one sentence for each dropped frame or skipped entry and, at the end,
            one for each kind of warning, with the number of frames.
        depth_unit: see `read_frame`.
        needs_mask: see `read_frame`.
    """
    warnings = WarningCounts()
    try:
        for path in frame_folders(folder):
            try:
                frame = read_frame(path, depth_unit=depth_unit, needs_mask=needs_mask)
            except FrameError as error:
                problems.append(f"{error}; frame dropped")
                continue
            problems += frame.problems
            warnings.add(frame.warnings)
            yield frame
    finally:  # also if the caller stops early
        problems += warnings.sentences(str(folder))


def read_frame(
    folder: Path | str,
    *,
    depth_unit: float | None = None,
    category: str | None = None,
    needs_mask: bool = True,
) -> FolderFrame:
    """Read one frame folder.

    Args:
        folder: the folder.
        depth_unit: metres per unit of depth, instead of the one in ``meta.json``.
        category: label of every mask id, instead of those in ``meta.json``.
        needs_mask: whether a frame without ``mask.png``, or without ``objects`` in ``meta.json``,
            is an error.

    Raises:
        FrameError: a file is missing, unreadable or does not match the others.
    """
    folder = Path(folder)
    missing = _missing(folder, [x for x in _FILES if needs_mask or x != MASK])
    depth = read_image(folder / DEPTH, "16-bit, one channel", (np.uint16,))
    colour = np.zeros((*depth.shape, 3), np.uint8) if missing else read_colour(folder / COLOUR)
    mask, has_mask = np.zeros(depth.shape, np.uint16), needs_mask or (folder / MASK).is_file()
    if has_mask:
        mask = read_image(folder / MASK, "8- or 16-bit, one channel", (np.uint8, np.uint16))
    sized = DEPTH if missing else COLOUR
    for name, image in ((DEPTH, depth), (MASK, mask)):
        if image.shape != colour.shape[:2]:
            raise FrameError(
                f"{folder / name}: is {image_size(image)}: expected {image_size(colour)}, "
                f"the size of {sized}"
            )
    meta = _read_meta(folder / META, needs_mask)
    camera = _camera(folder / META, meta, colour.shape[1], colour.shape[0])
    unit = _depth_unit(folder / META, meta) if depth_unit is None else depth_unit
    objects = _Objects(folder / META, mask if has_mask else None)
    objects.read(meta.get("objects", ()))
    labels = objects.labels
    if category is not None:
        labels = {int(i): InstanceLabel(category) for i in np.unique(mask) if i != 0}
    metres = depth * np.float32(unit)
    frame = RgbdFrame(
        colour=colour,
        depth=metres,
        mask=mask.astype(np.uint16),
        camera=camera,
        labels=labels,
        camera_pose=_camera_pose(folder / META, meta),
    )
    return FolderFrame(
        name=_name(folder),
        frame=frame,
        ground_truth=objects.ground_truth,
        instances=objects.instances,
        problems=objects.problems,
        warnings=[
            *(InputWarning(x, f"{folder}: has no {x}: colour is not used") for x in missing),
            *_warnings(folder, frame, metres, unit, objects.ground_truth),
        ],
        has_mask=has_mask,
        depth_unit=unit,
    )


def _missing(folder: Path, names: Sequence[str]) -> list[str]:
    """Check that a folder has the files of these names; return those missing that may be."""
    expected = ", ".join(names)
    try:
        if not folder.is_dir():
            raise FrameError(f"{folder}: no such folder: expected one with {expected}")
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            with os.scandir(folder):  # a folder that cannot be listed has another problem
                pass
    except OSError as error:
        raise FrameError(
            f"{folder}: cannot be read: {error.strerror}: expected a folder with {expected}"
        ) from error
    if missing not in ([], [COLOUR]):
        hint = "; to make masks, choose a source with --masks" if missing == [MASK] else ""
        raise FrameError(
            f"{folder}: lacks {', '.join(missing)}: expected the files {expected}{hint}"
        )
    return missing


def _may_be_frame(folder: Path) -> bool:
    try:
        return folder.is_dir() and _has_frame_file(folder)
    except OSError:
        return True


def _has_frame_file(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _FILES)


def _name(folder: Path) -> str:
    return folder.name if folder.name not in ("", "..") else folder.resolve().name


def _read_meta(path: Path, needs_objects: bool) -> dict[str, Any]:
    try:
        meta = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise FrameError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(meta, dict):
        raise FrameError(f"{path}: holds a {type(meta).__name__}: expected an object with K")
    if not isinstance(meta.get("objects", None if needs_objects else []), list):
        state = "has no key 'objects'" if "objects" not in meta else "'objects' is not a list"
        raise FrameError(f"{path}: {state}: expected a list of objects with mask_id and category")
    return meta


def _depth_unit(path: Path, meta: Mapping[str, Any]) -> float:
    if meta.get("depth_unit") is None:
        return MILLIMETRE
    try:
        return parse_depth_unit(meta["depth_unit"], f"{path}: depth_unit")
    except ConfigurationError as error:
        raise FrameError(str(error)) from error


def _warnings(
    folder: Path,
    frame: RgbdFrame,
    depth: NDArray[np.float32],
    unit: float,
    truths: Sequence[GroundTruth],
) -> list[InputWarning]:
    """Check depth (H, W), metres, not limited, and the true poses."""
    categories = default_categories()
    problem = depth_unit_problem(depth, frame.mask, frame.camera, frame.labels, categories, unit)
    if problem is not None:
        return [InputWarning("depth unit", f"{folder / DEPTH}: {problem}")]
    found = []
    for truth in truths:
        problem = truth_problem(truth, categories, frame)
        if problem is not None:
            text = f"{folder / META}: object {truth.mask_id}: {problem}"
            found.append(InputWarning(("ground truth", truth.mask_id, truth.category), text))
    return found


def _camera(path: Path, meta: Mapping[str, Any], width: int, height: int) -> PinholeCamera:
    matrix = _numbers(meta.get("K"), (3, 3))
    if matrix is None:
        state = f"K is {meta['K']!r}" if "K" in meta else "has no key 'K'"
        raise FrameError(f"{path}: {state}: expected the intrinsic matrix, 3x3 finite numbers")
    try:
        return PinholeCamera.from_matrix(matrix, width, height)
    except FrameError as error:
        raise FrameError(f"{path}: {error}") from error


def _camera_pose(path: Path, meta: Mapping[str, Any]) -> MeasuredCameraPose | None:
    try:
        return camera_pose_of(meta)
    except FrameError as error:
        raise FrameError(f"{path}: {error}") from error


def _numbers(value: Any, shape: tuple[int, ...]) -> NDArray[np.float64] | None:
    """Convert to an array of finite numbers of the given shape; None if that is not possible."""
    try:
        array = np.asarray(value)
    except ValueError:  # lists of unequal length
        return None
    if array.shape != shape or array.dtype.kind not in "iuf":
        return None
    return array.astype(np.float64) if np.all(np.isfinite(array)) else None


def _is_rotation(matrix: NDArray[np.float64]) -> bool:
    error = np.abs(matrix @ matrix.T - np.eye(3)).max()
    return bool(error <= _ROTATION_TOLERANCE and np.linalg.det(matrix) > 0.0)


class _Objects:
    """Parser of the `objects` of a `meta.json` that skips invalid entries."""

    def __init__(self, path: Path, mask: NDArray[np.integer] | None) -> None:
        self._path = path
        self._visible = None if mask is None else set(np.unique(mask).tolist())
        self.labels: dict[int, InstanceLabel] = {}
        self.ground_truth: list[GroundTruth] = []
        self.instances: dict[int, str] = {}
        self.problems: list[str] = []

    def read(self, entries: Sequence[Any]) -> None:
        for number, entry in enumerate(entries):
            if isinstance(entry, dict):
                self._read_entry(number, entry)
            else:
                self._skip(f"objects[{number}] is {entry!r}: expected a JSON object")

    def _read_entry(self, number: int, entry: Mapping[str, Any]) -> None:
        mask_id, category = entry.get("mask_id"), entry.get("category")
        if (
            isinstance(mask_id, bool)
            or not isinstance(mask_id, int)
            or not 1 <= mask_id <= _MAX_MASK_ID
        ):
            self._skip(
                f"objects[{number}].mask_id is {mask_id!r}: expected an integer from 1 to "
                f"{_MAX_MASK_ID}"
            )
        elif not isinstance(category, str) or not category or not category.isprintable():
            self._skip(f"objects[{number}].category is {category!r}: expected a name")
        elif mask_id in self.labels:
            self._skip(
                f"objects[{number}] repeats the mask_id {mask_id} of an earlier object: expected "
                "one object per id"
            )
        elif self._visible is not None and mask_id not in self._visible:
            self._skip(
                f"object {mask_id} ({category}) has no pixel in {MASK}: expected pixels of "
                f"value {mask_id}"
            )
        else:
            self.labels[mask_id] = InstanceLabel(category)
            name = str(entry.get("instance") or "")
            usable = name and name.isprintable()
            self.instances[mask_id] = name if usable else f"{category}_{mask_id}"
            if entry.get("gt") is not None:
                self._read_ground_truth(mask_id, category, entry)

    def _read_ground_truth(self, mask_id: int, category: str, entry: Mapping[str, Any]) -> None:
        try:
            self.ground_truth.append(
                ground_truth_of(entry, mask_id, category, instance=self.instances[mask_id])
            )
        except FrameError as error:
            self.problems.append(
                f"{self._path}: object {mask_id}: {error}; the object is kept without ground truth"
            )

    def _skip(self, sentence: str) -> None:
        self.problems.append(f"{self._path}: {sentence}; skipped")


def ground_truth_of(
    entry: Mapping[str, Any],
    mask_id: int,
    category: str,
    *,
    instance: str,
    symmetric_about_y: bool = False,
) -> GroundTruth:
    """Read a true pose from a JSON entry with ``R``, ``t`` and ``extents_m``.

    Args:
        entry: the JSON object; ``symmetric_about_y`` is optional.
        mask_id: mask id of the object.
        category: category of the object.
        instance: name of the individual object.
        symmetric_about_y: default for entries without this key.

    Raises:
        FrameError: a value is missing or invalid; the message names its key.
    """
    fields = {
        "R": ((3, 3), "a rotation matrix, 3x3 finite numbers"),
        "t": ((3,), "three finite numbers, metres"),
        "extents_m": ((3,), "three finite positive numbers, metres"),
    }
    arrays = {}
    for key, (shape, expected) in fields.items():
        array = _numbers(entry.get(key), shape)
        if (
            array is None
            or (key == "R" and not _is_rotation(array))
            or (key == "extents_m" and array.min() <= 0)
        ):
            raise FrameError(f"{key} is {entry.get(key)!r}: expected {expected}")
        arrays[key] = array
    symmetric = entry.get("symmetric_about_y", symmetric_about_y)
    if not isinstance(symmetric, bool):
        raise FrameError(f"symmetric_about_y is {symmetric!r}: expected true or false")
    return GroundTruth(
        mask_id=mask_id,
        category=category,
        instance=instance,
        rotation=arrays["R"],
        translation=arrays["t"],
        dimensions_m=arrays["extents_m"],
        symmetric_about_y=symmetric,
    )
