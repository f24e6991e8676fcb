"""Files of segmented instances, the input of training and evaluation."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import FrameError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.colour_crop import ColourCrop
from sdfpose_core.observation.frame import GroundTruth, Instance
from sdfpose_core.observation.free_space import FreeSpace
from sdfpose_core.observation.support_plane import SupportPlane
from sdfpose_core.storage.files import atomic_replace

__all__ = ["StoredInstance", "read_instances", "read_truths", "write_instances"]

_FORMAT = "sdfpose-instances/4"

_MAX_POINTS = 1024
"""Points stored per instance, in random order."""


@dataclass(frozen=True)
class StoredInstance:
    """An instance with its ground truth.

    Attributes:
        image: name of the image that shows the instance.
        instance: the segmented instance; its colour is a `ColourCrop`, None if it was not stored.
        truth: ground truth, None if unknown.
    """

    image: str
    instance: Instance
    truth: GroundTruth | None = None


def write_instances(path: Path | str, items: Sequence[StoredInstance]) -> None:
    """Write an ``.npz`` file atomically.

    Args:
        path: path of the file.
        items: instances to write; at most 1024 points of each are stored. Of a whole colour image,
            the crop around all points is stored without loss.
    """
    rng = np.random.default_rng(0)
    chosen = [rng.permutation(len(x.instance.points))[:_MAX_POINTS] for x in items]
    instances = [x.instance for x in items]
    cameras = [x.free.camera for x in instances]
    crops = [_crop(x) for x in instances]
    arrays: dict[str, Any] = {
        "format": np.array(_FORMAT),
        "image": np.array([x.image for x in items], dtype=str),
        "category": np.array([x.category for x in instances], dtype=str),
        "mask_id": np.array([x.mask_id for x in instances], dtype=np.int64),
        "score": np.array([x.score for x in instances], dtype=np.float64),
        "mask_pixels": np.array([x.mask_pixels for x in instances], dtype=np.int64),
        "every": np.array([x.every for x in instances], dtype=np.int64),
        "count": np.array([len(x) for x in chosen], dtype=np.int64),
        "points": _joined([x.points[i] for x, i in zip(instances, chosen, strict=True)], 3, "f4"),
        "pixels": _joined([x.pixels[i] for x, i in zip(instances, chosen, strict=True)], 2, "i4"),
        "support": np.array([_plane(x.support) for x in instances], dtype=np.float32).reshape(
            -1, 5
        ),
        "up": np.array(
            [np.zeros(3) if x.up is None else x.up for x in instances], dtype=np.float32
        ).reshape(-1, 3),
        "free_depth": _stacked([x.free.depth for x in instances]),
        "free_outside": _stacked([x.free.outside for x in instances]),
        "free_hidden": np.array([x.free.hidden for x in instances], dtype=np.float64),
        "free_camera": np.array(
            [(x.width, x.height, x.fx, x.fy, x.cx, x.cy) for x in cameras], dtype=np.float64
        ).reshape(-1, 6),
        "crop_window": np.array(
            [(0, 0, 0) if x is None else (x.left, x.top, x.side) for x in crops], dtype=np.int32
        ).reshape(-1, 3),
        "crop_bytes": np.array([0 if x is None else len(x.encoded) for x in crops], np.int64),
        "crops": np.frombuffer(b"".join(x.encoded for x in crops if x is not None), np.uint8),
        "known": np.array([x.truth is not None for x in items], dtype=bool),
    }
    truths = [x.truth for x in items if x.truth is not None]
    arrays |= {
        "truth_name": np.array([x.instance for x in truths], dtype=str),
        "truth_rotation": np.array([x.rotation for x in truths], np.float64).reshape(-1, 3, 3),
        "truth_translation": np.array([x.translation for x in truths], np.float64).reshape(-1, 3),
        "truth_dimensions": np.array([x.dimensions_m for x in truths], np.float64).reshape(-1, 3),
        "truth_symmetric": np.array([x.symmetric_about_y for x in truths], dtype=bool),
    }
    with atomic_replace(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_instances(
    path: Path | str,
    rows: Iterable[int] | None = None,
    *,
    free_space: bool = True,
    colour: bool = True,
) -> list[StoredInstance]:
    """Read a file written by `write_instances`.

    Args:
        path: path of the file.
        rows: numbers of the instances to return; all by default.
        free_space: whether to read the free space, which is half of the file; `FreeSpace.unknown`
            without.
        colour: whether to read the colour crops.

    Raises:
        FrameError: the file is missing, damaged, or not a file of instances.
    """
    wanted = {"free_depth": free_space, "free_outside": free_space, "crops": colour}
    a = _arrays(path, lambda name: wanted.get(name, True))
    try:
        return _unpacked(a, range(len(a["count"])) if rows is None else rows)
    except (ValueError, KeyError, IndexError) as error:
        raise _unreadable(path, error) from error


def read_truths(path: Path | str) -> tuple[list[GroundTruth | None], NDArray[np.bool_]]:
    """Read only the ground truth of a file's instances, and whether each has colour.

    Raises:
        FrameError: the file is missing, damaged, or not a file of instances.
    """
    small = ("format", "category", "mask_id", "known", "crop_bytes")
    a = _arrays(path, lambda name: name in small or name.startswith("truth_"))
    try:
        return [_truth(a, i) for i in range(len(a["known"]))], a["crop_bytes"] > 0
    except (ValueError, KeyError, IndexError) as error:
        raise _unreadable(path, error) from error


def _arrays(path: Path | str, wanted: Callable[[str], bool]) -> dict[str, NDArray[Any]]:
    """Read the arrays of a file whose names are wanted."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["format"]) != _FORMAT:
                raise FrameError(
                    f"{path}: has format {file['format']}: expected {_FORMAT}; delete the folder "
                    "and prepare the data again"
                )
            return {name: file[name] for name in file.files if wanted(name)}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path | str, error: Exception) -> FrameError:
    return FrameError(
        f"{path}: cannot be read as instances ({error!r}): delete it and prepare the data again"
    )


def _unpacked(a: dict[str, NDArray[Any]], rows: Iterable[int]) -> list[StoredInstance]:
    ends, crop_ends = np.cumsum(a["count"]), np.cumsum(a["crop_bytes"])
    items = []
    for i in rows:
        own = slice(ends[i] - a["count"][i], ends[i])
        normal = a["support"][i, :3]
        offset, noise = a["support"][i, 3:].tolist()
        crop = None
        if "crops" in a and a["crop_bytes"][i]:
            encoded = a["crops"][crop_ends[i] - a["crop_bytes"][i] : crop_ends[i]]
            left, top, side = a["crop_window"][i].tolist()
            crop = ColourCrop(left, top, side, encoded.tobytes())
        instance = Instance(
            mask_id=int(a["mask_id"][i]),
            category=str(a["category"][i]),
            score=float(a["score"][i]),
            points=a["points"][own],
            pixels=a["pixels"][own],
            free=_free_space(a, i),
            mask_pixels=int(a["mask_pixels"][i]),
            every=int(a["every"][i]),
            support=SupportPlane(normal, offset, noise) if normal.any() else None,
            up=a["up"][i] if a["up"][i].any() else None,
            colour=crop,
        )
        items.append(StoredInstance(str(a["image"][i]), instance, _truth(a, i)))
    return items


def _free_space(a: dict[str, NDArray[Any]], i: int) -> FreeSpace:
    if "free_depth" not in a:
        return FreeSpace.unknown()
    width, height, *intrinsics = a["free_camera"][i].tolist()
    return FreeSpace(
        a["free_depth"][i],
        a["free_outside"][i],
        PinholeCamera(int(width), int(height), *intrinsics),
        float(a["free_hidden"][i]),
    )


def _truth(a: dict[str, NDArray[Any]], i: int) -> GroundTruth | None:
    if not a["known"][i]:
        return None
    row = int(np.count_nonzero(a["known"][:i]))
    return GroundTruth(
        mask_id=int(a["mask_id"][i]),
        category=str(a["category"][i]),
        instance=str(a["truth_name"][row]),
        rotation=a["truth_rotation"][row],
        translation=a["truth_translation"][row],
        dimensions_m=a["truth_dimensions"][row],
        symmetric_about_y=bool(a["truth_symmetric"][row]),
    )


def _crop(instance: Instance) -> ColourCrop | None:
    colour = instance.colour
    if colour is None or isinstance(colour, ColourCrop):
        return colour
    return ColourCrop.around(colour, instance.pixels)


def _plane(plane: SupportPlane | None) -> NDArray[np.float32]:
    """Pack normal, offset and noise as (5,); zeros if there is no plane."""
    if plane is None:
        return np.zeros(5, dtype=np.float32)
    return np.array([*plane.normal, plane.offset, plane.noise], dtype=np.float32)


def _joined(parts: Sequence[NDArray[Any]], width: int, dtype: str) -> NDArray[Any]:
    return np.concatenate([np.zeros((0, width), dtype=dtype), *parts]).astype(dtype)


def _stacked(windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    side = windows[0].shape[0] if windows else 0
    return np.array(windows, dtype=np.float32).reshape(len(windows), side, side)
