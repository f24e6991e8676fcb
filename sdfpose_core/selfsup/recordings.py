"""Recordings of one's own camera as unlabelled instances."""

from __future__ import annotations

from pathlib import Path

from sdfpose_core.categories import default_categories
from sdfpose_core.datasets import frame_folders, read_frame
from sdfpose_core.errors import FrameError
from sdfpose_core.frame import Instance
from sdfpose_core.segmentation import segment

__all__ = ["recorded_instances"]


def recorded_instances(path: Path | str, category: str, problems: list[str]) -> list[Instance]:
    """The instances of a category in frame folders; poses that these may have are not looked at.

    Args:
        path: a frame folder, or a folder of such.
        category: name of the category.
        problems: is told of each frame and instance that was left out.

    Raises:
        FrameError: nothing is left.
    """
    path = Path(path)
    if not path.is_dir():
        raise FrameError(f"{path}: no such folder: expected one with frame folders")
    categories = default_categories()
    found: list[Instance] = []
    for folder in frame_folders(path):
        try:
            frame = read_frame(folder)
        except FrameError as error:
            problems.append(f"{error}; frame left out")
            continue
        problems += frame.problems
        instances, skipped = segment(frame.frame, categories)
        found += [x for x in instances if x.category == category]
        problems += [
            f"{folder}: instance {x.mask_id} ({x.category}): {x.reason}; left out" for x in skipped
        ]
    if not found:
        raise FrameError(
            f"{path}: holds no instance of '{category}' that can be used: expected frames with "
            "masks of that category"
        )
    return found
