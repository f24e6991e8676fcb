"""Views of one object from a recording: frame folders, or a rosbag2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sdfpose_core.datasets.bags import Pairing, bag_frames, is_bag
from sdfpose_core.datasets.folder import holds_frames, read_frames
from sdfpose_core.errors import ScanError
from sdfpose_core.masks.sources import MaskBackend
from sdfpose_core.messages.decoding import LabelRules
from sdfpose_core.messages.transform_tree import TransformError
from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.replay.transforms import RecordedWorld
from sdfpose_core.scanning.following import ObjectFollower
from sdfpose_core.scanning.views import ScanView, scan_view

__all__ = ["Recording", "read_views"]

_MOST_VIEWS = 48
"""Of a recording with more images than twice this, every second is left out, and so on."""

_LOST = 0.4
"""A recording is refused if the object is not found in more than this share of its images."""


@dataclass(frozen=True)
class Recording:
    """A recording of one object, and how it is read.

    Attributes:
        path: a folder of frame folders, or a rosbag2.
        masks: makes the masks; None for those of the recording.
        world: frame of the bag's transforms in which the object stands still; empty for none.
            Frame folders have the pose of the camera in ``meta.json``.
        depth_unit: metres per unit of depth; None for the recording's own.
    """

    path: Path
    masks: MaskBackend | None = None
    world: str = ""
    depth_unit: float | None = None


def read_views(recording: Recording, problems: list[str]) -> list[ScanView]:
    """Read the views of the object that is nearest to the middle of the first image.

    Args:
        recording: what to read.
        problems: receives a sentence for each reason for which images were left out.

    Raises:
        ScanError: there are no images or no masks, the camera poses are missing, or the object is
            lost.
        SdfposeError: the recording cannot be read.
    """
    views: list[ScanView] = []
    follower, lost, every, read = ObjectFollower(), [], 1, 0
    for number, (name, frame) in enumerate(_frames(recording, problems)):
        if number % every:
            continue
        read += 1
        if recording.masks is not None:
            frame = replace(frame, mask=recording.masks.segment(frame).ids)
        mask, reason = follower.choose(frame)
        if mask is None:
            lost.append(f"{name}: {reason}")
            continue
        views.append(scan_view(name, frame, mask))
        if len(views) >= 2 * _MOST_VIEWS:
            views, every = views[::2], 2 * every
    path = recording.path
    if not read:
        reason = f": {problems[0]}" if problems else ""
        raise ScanError(f"{path}: holds no image that can be used{reason}")
    if len(lost) == read:
        raise ScanError(
            f"{path}: no image has a mask of the object ({lost[0]}): record masks, or have them "
            "made with --masks network"
        )
    if len(lost) > _LOST * read:
        raise ScanError(
            f"{path}: the object is lost in {len(lost)} of {read} images ({lost[0]}): expected "
            "masks that stay on one object, which is in the middle of the first image; try another "
            "source of --masks"
        )
    if lost:
        problems.append(f"{path}: the object is lost in {len(lost)} images: {lost[0]}")
    return views


def _frames(recording: Recording, problems: list[str]) -> Iterator[tuple[str, RgbdFrame]]:
    """Name and content of each image."""
    path = recording.path
    if is_bag(path):
        yield from _bag_frames(recording, problems)
    elif holds_frames(path):
        if recording.world:
            raise ScanError(
                f"{path}: --world names a frame of a bag's transforms: expected a bag; frame "
                "folders have the pose of the camera in meta.json (camera_pose)"
            )
        for item in read_frames(path, problems, depth_unit=recording.depth_unit, needs_mask=False):
            yield item.name, item.frame
    else:
        raise ScanError(
            f"{path}: is no recording: expected a rosbag2, or a folder of frame folders with "
            "color.png, depth.png, mask.png and meta.json"
        )


def _bag_frames(recording: Recording, problems: list[str]) -> Iterator[tuple[str, RgbdFrame]]:
    world = RecordedWorld(recording.path, recording.world) if recording.world else None
    pairing = Pairing(
        with_masks=recording.masks is None, with_labels=False, depth_unit=recording.depth_unit
    )
    unplaced: list[str] = []
    placed = 0
    frames = bag_frames(recording.path, LabelRules({}), problems, pairing=pairing)
    for number, item in enumerate(frames):
        frame = item.frame
        if world is not None:
            try:
                frame = world.placed(frame)
            except TransformError as error:
                unplaced.append(str(error))
                continue
            placed += 1
        yield f"image {number}", frame
    if unplaced and not placed:
        raise ScanError(
            f"{recording.path}: no image has a pose of the camera in '{recording.world}': "
            f"{unplaced[0]}; leave out --world to have the images registered"
        )
    if unplaced:
        problems.append(
            f"{recording.path}: {len(unplaced)} images have no pose of the camera and were left "
            f"out: {unplaced[0]}"
        )
