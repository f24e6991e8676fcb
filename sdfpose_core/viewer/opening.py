"""Open what the user names: a bag, frame folders, or results."""

from __future__ import annotations

from pathlib import Path

from sdfpose_core.categories import Categories
from sdfpose_core.datasets.bag_files import is_bag
from sdfpose_core.datasets.folder import holds_frames
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.viewer.bag_recording import BagRecording
from sdfpose_core.viewer.recording import FolderRecording, Recording
from sdfpose_core.viewer.result_files import ResultFile

__all__ = ["open_recording"]

_EXPECTED = (
    "expected a bag (folder, .mcap or .db3 file), frame folders, a JSON file of 'sdfpose "
    "estimate', 'replay' or 'eval frames', or a folder with one of these"
)


def open_recording(
    path: Path,
    categories: Categories,
    images: Path | None = None,
    depth_unit: float | None = None,
) -> Recording:
    """Open a recording or results.

    Args:
        path: a bag, a frame folder or a folder of them, a JSON file of results, or a folder with
            one bag or JSON file, such as that of `sdfpose demo`.
        categories: provide the colours.
        images: bag or frame folders with the images, if they are elsewhere.
        depth_unit: metres per unit of depth; None for the default of the images.

    Raises:
        SdfposeError: it cannot be read, or is none of these.
    """
    if not path.exists():
        raise ConfigurationError(f"{path}: no such file or folder: {_EXPECTED}")
    if path.is_file() and path.suffix == ".json":
        return ResultFile(path, categories, images, depth_unit)
    if is_bag(path) or path.is_file():
        return BagRecording(path, images, depth_unit)
    inner = sorted(x for x in path.iterdir() if x.suffix == ".mcap") or sorted(path.glob("*.json"))
    if holds_frames(path) and not inner:
        return FolderRecording(path, depth_unit)
    if len(inner) == 1:
        return open_recording(inner[0], categories, images, depth_unit)
    if inner:
        names = ", ".join(x.name for x in inner)
        raise ConfigurationError(
            f"{path}: holds several recordings or results: name one of {names}"
        )
    hint = ""
    if any(path.glob("*/overlay.png")):
        hint = (
            "; it holds overlays and surfaces of 'sdfpose estimate' without their poses: run it "
            f"again with --json {path / 'estimates.json'}"
        )
    raise ConfigurationError(f"{path}: holds nothing to show: {_EXPECTED}{hint}")
