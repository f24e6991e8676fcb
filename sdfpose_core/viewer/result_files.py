"""The JSON files of `sdfpose estimate`, `replay` and `eval frames` as recordings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import trimesh
from numpy.typing import NDArray

from sdfpose_core.categories import Categories
from sdfpose_core.datasets.folder import MASK, frame_folders, read_frame
from sdfpose_core.datasets.images import read_image
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.observation.frame import Alternative, ObjectEstimate, RgbdFrame
from sdfpose_core.viewer.bag_recording import BagFrames
from sdfpose_core.viewer.views import FrameView, ObjectView, support_plane
from sdfpose_core.visualisation.mesh_colours import sample_colours

__all__ = ["ResultFile", "estimate_from_json"]

_FOLDER_PERIOD_S = 1.0
_NO_VERTICES = np.zeros((0, 3), dtype=np.float32)
_NO_FACES = np.zeros((0, 3), dtype=np.int32)


@dataclass(frozen=True)
class _Entry:
    """A frame of a result file."""

    name: str
    objects: Sequence[Mapping[str, Any]]
    stamp_ns: int = 0


class _Images(Protocol):
    """Where the images of a result are; None for an image that is not there."""

    def frame(self, entry: _Entry) -> RgbdFrame | None: ...


class ResultFile:
    """Results in a JSON file, with the images and surfaces that they were written beside.

    Args:
        path: of the JSON file.
        categories: provide the colours of surfaces that are not seen.
        images: frame folders or a bag with the images; None for those that the file names.
        depth_unit: metres per unit of depth; None for the default of the images.

    Raises:
        ConfigurationError: the file cannot be read, or holds no poses.
    """

    def __init__(
        self,
        path: Path,
        categories: Categories,
        images: Path | None = None,
        depth_unit: float | None = None,
    ) -> None:
        document = _read(path)
        self._categories = categories
        self._out = _found(document.get("out"), path)
        self._entries = _entries(document, path)
        source = images or _found(document.get("bag"), path)
        self._images: _Images
        if source is not None and not _holds_folders(source):
            self._images = _BagImages(BagFrames(source))
        else:
            folders = _folders(document, path) if source is None else _by_name(source)
            self._images = _FolderImages(folders, self._out, depth_unit)

    @property
    def times_s(self) -> Sequence[float]:
        """See `Recording`."""
        if any(x.stamp_ns for x in self._entries):
            return [1e-9 * (x.stamp_ns - self._entries[0].stamp_ns) for x in self._entries]
        return [_FOLDER_PERIOD_S * i for i in range(len(self._entries))]

    def view(self, number: int) -> FrameView:
        """See `Recording`."""
        entry = self._entries[number]
        frame = self._images.frame(entry)
        objects = [self._object(entry, x, frame) for x in entry.objects]
        plane = None if frame is None else support_plane(frame)
        return FrameView(entry.name, objects, frame, plane)

    def close(self) -> None:
        """See `Recording`."""

    def _object(self, entry: _Entry, x: Mapping[str, Any], frame: RgbdFrame | None) -> ObjectView:
        estimate = estimate_from_json(x)
        view = ObjectView(estimate.mask_id, estimate, str(x.get("state", "")).lower())
        if self._out is None:
            return view
        file = self._out / entry.name / f"{estimate.category}_{estimate.mask_id}.ply"
        if not file.is_file():
            return view
        # Each frame has its own surfaces, so the revision names the frame.
        estimate = _with_surface(estimate, file)
        revision = 1 + self._entries.index(entry)
        return replace(
            view, estimate=estimate, revision=revision, colours=self._colours(estimate, frame)
        )

    def _colours(
        self, estimate: ObjectEstimate, frame: RgbdFrame | None
    ) -> NDArray[np.uint8] | None:
        if frame is None or estimate.category not in self._categories:
            return None
        return sample_colours(estimate, frame, self._categories[estimate.category].colour)


def estimate_from_json(x: Mapping[str, Any]) -> ObjectEstimate:
    """Read an object of a JSON file (docs/json_files.md); what is missing has default values."""
    translation = np.array(x["t"], dtype=np.float64)
    covariance = x.get("covariance")
    return ObjectEstimate(
        mask_id=int(x["mask_id"] if "mask_id" in x else x["id"]),
        category=str(x["category"]),
        rotation=np.array(x["R"], dtype=np.float64),
        translation=translation,
        scale=float(x["scale"]),
        dimensions_m=np.array(x["dimensions_m"], dtype=np.float64),
        confidence=float(x["confidence"]),
        covariance=np.zeros((6, 6)) if covariance is None else np.array(covariance, np.float64),
        symmetric_about_y=bool(x.get("symmetric_about_y")),
        code=np.zeros(0, dtype=np.float32),
        decoder_translation=translation,
        decoder_scale=float(x["scale"]),
        vertices=_NO_VERTICES,
        faces=_NO_FACES,
        normals=_NO_VERTICES,
        diagnostics={k: float(v) for k, v in x.get("diagnostics", {}).items() if v is not None},
        probability=float(x.get("probability") or 1.0),
        alternatives=tuple(
            Alternative(
                category=str(y["category"]),
                rotation=np.array(y["R"], dtype=np.float64),
                translation=np.array(y["t"], dtype=np.float64),
                scale=float(y["scale"]),
                dimensions_m=np.array(y["dimensions_m"], dtype=np.float64),
                probability=float(y["probability"]),
            )
            for y in x.get("alternatives") or ()
        ),
    )


class _BagImages:
    """Images of a bag, by the stamps of the results."""

    def __init__(self, frames: BagFrames) -> None:
        self._frames = frames

    def frame(self, entry: _Entry) -> RgbdFrame | None:
        return self._frames.at(entry.stamp_ns, entry.stamp_ns)


class _FolderImages:
    """Images of frame folders, by the names of the frames; with the masks that were made."""

    def __init__(
        self, folders: Mapping[str, Path], out: Path | None, depth_unit: float | None
    ) -> None:
        self._folders = folders
        self._out = out
        self._depth_unit = depth_unit

    def frame(self, entry: _Entry) -> RgbdFrame | None:
        folder = self._folders.get(entry.name)
        if folder is None:
            return None
        item = read_frame(folder, depth_unit=self._depth_unit, needs_mask=False)
        made = None if self._out is None else self._out / entry.name / MASK
        if made is None or not made.is_file():
            return item.frame
        return replace(item.frame, mask=read_image(made, "instance ids", (np.uint8, np.uint16)))


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{path}: cannot be read as JSON: {error}: expected a file that --json of 'sdfpose "
            "estimate', 'replay' or 'eval frames' wrote"
        ) from error
    return document if isinstance(document, dict) else {}


def _entries(document: Mapping[str, Any], path: Path) -> list[_Entry]:
    """The frames of the file."""
    frames = document.get("frames")
    entries: list[_Entry] = []
    try:
        if isinstance(frames, dict):
            entries = [_Entry(name, objects) for name, objects in frames.items()]
        elif isinstance(frames, list):
            entries = [
                _Entry(
                    str(x["name"] if "name" in x else f"image {x['number']}"),
                    x["objects"],
                    int(x.get("stamp_ns") or 0),
                )
                for x in frames
            ]
        for entry in entries:
            for x in entry.objects:
                estimate_from_json(x)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{path}: has another format: {type(error).__name__}: {error}: expected the keys of "
            "docs/json_files.md"
        ) from error
    if not entries:
        beside = path.with_suffix(".html")
        hint = f"; its figures are in {beside}" if beside.is_file() else ""
        raise ConfigurationError(
            f"{path}: holds no poses: expected 'frames', as in the JSON files of 'sdfpose "
            f"estimate', 'replay' and 'eval frames'{hint}"
        )
    return entries


def _found(name: object, file: Path) -> Path | None:
    """A path that a file names, as it is or beside the file; None if there is nothing."""
    if not isinstance(name, str) or not name:
        return None
    return next((x for x in (Path(name), file.parent / name) if x.exists()), None)


def _folders(document: Mapping[str, Any], file: Path) -> dict[str, Path]:
    named = document.get("folders")
    found = {k: _found(v, file) for k, v in named.items()} if isinstance(named, dict) else {}
    return {name: folder for name, folder in found.items() if folder is not None}


def _holds_folders(path: Path) -> bool:
    return path.is_dir() and any((x / "depth.png").is_file() for x in frame_folders(path))


def _by_name(path: Path) -> dict[str, Path]:
    return {x.name: x for x in frame_folders(path)}


def _with_surface(estimate: ObjectEstimate, file: Path) -> ObjectEstimate:
    mesh = trimesh.load_mesh(file, process=False)
    return replace(
        estimate,
        vertices=np.asarray(mesh.vertices, dtype=np.float32),
        faces=np.asarray(mesh.faces, dtype=np.int32),
        normals=np.asarray(mesh.vertex_normals, dtype=np.float32),
    )
