"""Sources of frames for the camera node: a simulated camera, or frame folders."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sdfpose_core.datasets.folder import FolderFrame, frame_folders, read_frame
from sdfpose_core.errors import FrameError
from sdfpose_core.observation.frame import GroundTruth, RgbdFrame

__all__ = [
    "back_and_forth",
    "folder_frames",
    "only_categories",
    "several_cameras",
    "simulated_frames",
]


def folder_frames(
    folders: Sequence[str],
    *,
    loop: bool,
    warn: Callable[[str], object],
    masks: bool = True,
) -> Iterator[tuple[RgbdFrame, list[GroundTruth]]]:
    """Read frame folders in the given order.

    Args:
        folders: frame folders, or folders of frame folders.
        loop: start again after the last frame.
        masks: whether a frame needs a mask.
        warn: called with a message for everything that cannot be read and is skipped.

    Raises:
        FrameError: a name is empty, or no frame can be read.
    """
    if "" in folders:
        raise FrameError("the name of a frame folder is empty: expected frame folders")
    frames: list[FolderFrame] = []
    for folder in folders:
        for path in frame_folders(Path(folder)):
            try:
                frames.append(read_frame(path, needs_mask=masks))
            except FrameError as error:
                warn(str(error))
                continue
            for problem in (*frames[-1].problems, *(x.text for x in frames[-1].warnings)):
                warn(problem)
    if not frames:
        named = ", ".join(x if Path(x).name else str(Path(x).absolute()) for x in folders)
        raise FrameError(f"{named}: no frame can be read: expected frame folders")
    return _repeat(frames, loop)


def _repeat(
    frames: Sequence[FolderFrame], loop: bool
) -> Iterator[tuple[RgbdFrame, list[GroundTruth]]]:
    while True:
        for item in frames:
            yield item.frame, item.ground_truth
        if not loop:
            return


def simulated_frames(
    *, seed: int, width: int, rate_hz: float, turn_s: float, loop: bool
) -> Iterator[tuple[RgbdFrame, list[GroundTruth]]]:
    """Render a camera that circles a table with one unseen instance of every category.

    Frame k is deterministic: it does not depend on when it is requested.

    Args:
        seed: seed of the scene and the sensor noise.
        width: image width, pixels; the height is 3/4 of the width.
        rate_hz: frames per second.
        turn_s: duration of one turn round the table, seconds.
        loop: continue after the first turn.
    """
    # Imported here because Open3D takes seconds to load and frame folders do not need it.
    from sdfpose_core.simulation.tabletop import table_frames

    frames = table_frames(seed=seed, width=width, rate_hz=rate_hz, turn_s=turn_s)
    yield from frames if loop else itertools.islice(frames, math.ceil(turn_s * rate_hz))


def several_cameras(
    cameras: int, *, seed: int, width: int, rate_hz: float
) -> Iterator[tuple[RgbdFrame, list[GroundTruth]]]:
    """Render cameras that stand round the same table, one after the other, without end.

    Args:
        cameras: number of cameras.
        seed: see `simulated_frames`.
        width: see `simulated_frames`.
        rate_hz: frames per second of each camera.
    """
    from sdfpose_core.simulation.rig import rig_frames

    return rig_frames(cameras=cameras, seed=seed, width=width, rate_hz=rate_hz)


def only_categories(
    frames: Iterable[tuple[RgbdFrame, Sequence[GroundTruth]]], categories: Sequence[str]
) -> Iterator[tuple[RgbdFrame, list[GroundTruth]]]:
    """Remove masks, labels and ground truth of all other categories from the frames."""
    for frame, truths in frames:
        kept = [x for x in truths if x.category in categories]
        ids = [x.mask_id for x in kept]
        yield (
            replace(
                frame,
                mask=np.where(np.isin(frame.mask, ids), frame.mask, 0).astype(frame.mask.dtype),
                labels={i: label for i, label in frame.labels.items() if i in ids},
            ),
            kept,
        )


def back_and_forth(
    frames: Iterator[tuple[RgbdFrame, Sequence[GroundTruth]]], count: int
) -> Iterator[tuple[RgbdFrame, Sequence[GroundTruth]]]:
    """Read the first `count` frames at once, then yield them back and forth forever."""
    cached = list(itertools.islice(frames, count))
    return itertools.cycle([*cached, *cached[-2:0:-1]])
