"""Write frame folders, or their masks alone; see `sdfpose_core.datasets.folder` for the format."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.datasets.camera_pose_entry import CAMERA_POSE, camera_pose_entry
from sdfpose_core.datasets.folder import COLOUR, DEPTH, MASK, META
from sdfpose_core.errors import FrameError
from sdfpose_core.observation.depth_unit import MILLIMETRE
from sdfpose_core.observation.frame import GroundTruth, RgbdFrame
from sdfpose_core.storage.files import temporary_sibling, write_atomically

__all__ = ["write_frame", "write_masks"]


def write_frame(
    folder: Path | str,
    frame: RgbdFrame,
    ground_truth: Sequence[GroundTruth] = (),
    *,
    source: str = "simulated",
) -> None:
    """Write one frame folder atomically: complete or not at all.

    Args:
        folder: must not exist; missing parents are created.
        frame: frame to write. Depth is rounded to millimetres; label scores are not stored.
        ground_truth: true poses of some or all mask ids.
        source: origin of the poses.

    Raises:
        FrameError: the folder already exists or cannot be written.
    """
    folder = Path(folder)
    if folder.exists():
        raise FrameError(f"{folder}: already exists: remove it or choose another name")
    images: dict[str, NDArray[Any]] = {
        COLOUR: frame.colour[..., ::-1],
        DEPTH: np.rint(frame.depth / MILLIMETRE).astype(np.uint16),
        MASK: frame.mask.astype(np.uint16),
    }
    temporary = temporary_sibling(folder)
    try:
        temporary.mkdir(parents=True)
        for name, image in images.items():
            (temporary / name).write_bytes(_png(image))
        meta = _meta(folder.name, frame, ground_truth, source) | {"depth_unit": MILLIMETRE}
        (temporary / META).write_text(_text(meta), encoding="utf-8")
        temporary.rename(folder)
    except OSError as error:
        raise FrameError(f"{folder}: the frame cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_masks(folder: Path | str, frame: RgbdFrame) -> None:
    """Write the masks of a frame and their labels: ``mask.png`` and ``meta.json``, each atomically.

    Args:
        folder: created if it is missing; files of the same name are replaced.
        frame: frame whose masks are written; label scores are not stored.

    Raises:
        FrameError: a file cannot be written.
    """
    folder = Path(folder)
    try:
        write_atomically(folder / MASK, _png(frame.mask.astype(np.uint16)))
        write_atomically(folder / META, _text(_meta(folder.name, frame)).encode())
    except OSError as error:
        raise FrameError(f"{folder}: the masks cannot be written: {error.strerror}") from error


def _png(image: NDArray[Any]) -> bytes:
    return bytes(cv2.imencode(".png", image)[1].tobytes())


def _text(meta: Mapping[str, Any]) -> str:
    return json.dumps(meta, indent=1) + "\n"


def _meta(
    name: str, frame: RgbdFrame, ground_truth: Sequence[GroundTruth] = (), source: str = ""
) -> dict[str, Any]:
    truth = {x.mask_id: x for x in ground_truth}
    categories = {x.mask_id: x.category for x in ground_truth}
    categories.update({i: label.category for i, label in frame.labels.items()})
    objects: list[dict[str, Any]] = []
    for mask_id, category in sorted(categories.items()):
        entry: dict[str, Any] = {"mask_id": int(mask_id), "category": category, "gt": None}
        if mask_id in truth:
            true = truth[mask_id]
            entry.update(
                instance=true.instance,
                symmetric_about_y=bool(true.symmetric_about_y),
                gt=source,
                R=np.asarray(true.rotation).tolist(),
                t=np.asarray(true.translation).tolist(),
                extents_m=np.asarray(true.dimensions_m).tolist(),
            )
        objects.append(entry)
    pose = frame.camera_pose
    return {
        "name": name,
        **({} if pose is None else {CAMERA_POSE: camera_pose_entry(pose)}),
        "K": frame.camera.matrix.tolist(),
        "width": frame.camera.width,
        "height": frame.camera.height,
        "mask": "id = object.mask_id, 0 = background",
        "pose": "x_cam = R x_obj + t, metres; object frame: centre of the box, y up, front +x",
        "objects": objects,
    }
