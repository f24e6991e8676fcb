"""Recordings and results that the viewer opens: what they have in common, and folders of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sdfpose_core.categories import Categories
from sdfpose_core.datasets.folder import frame_folders, read_frame
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.observation.frame import ObjectEstimate, RgbdFrame
from sdfpose_core.observation.support_plane import SupportPlane
from sdfpose_core.viewer.views import FrameView, ObjectView, support_plane, truth_view
from sdfpose_core.visualisation.mesh_colours import sample_colours

__all__ = ["EstimatedFrames", "FolderRecording", "Recording"]


class Recording(Protocol):
    """Images with their objects, in order."""

    @property
    def times_s(self) -> Sequence[float]:
        """Time of each image since the first one, seconds; it never falls."""
        ...

    def view(self, number: int) -> FrameView:
        """Read an image and its objects; numbers count from 0.

        Raises:
            SdfposeError: it cannot be read.
        """
        ...

    def close(self) -> None:
        """Close the files."""
        ...


_FOLDER_PERIOD_S = 1.0
"""Time between the frames of folders, which have no time of their own."""


class FolderRecording:
    """Frame folders, with the true poses if `meta.json` has them.

    Args:
        path: a frame folder, or a folder of frame folders.
        depth_unit: metres per unit of depth; None for the unit of `meta.json`.
    """

    def __init__(self, path: Path, depth_unit: float | None = None) -> None:
        self._folders = frame_folders(path)
        self._depth_unit = depth_unit
        if not self._folders:
            raise ConfigurationError(f"{path}: has no frame folder: expected one with depth.png")

    @property
    def times_s(self) -> Sequence[float]:
        """See `Recording`."""
        return [_FOLDER_PERIOD_S * i for i in range(len(self._folders))]

    def view(self, number: int) -> FrameView:
        """See `Recording`."""
        item = read_frame(self._folders[number], depth_unit=self._depth_unit, needs_mask=False)
        objects = [truth_view(x) for x in item.ground_truth if x.has_pose]
        return FrameView(item.name, objects, item.frame, support_plane(item.frame))

    def close(self) -> None:
        """See `Recording`."""


@dataclass(frozen=True)
class _Estimated:
    name: str
    folder: Path
    objects: Sequence[ObjectView]
    plane: SupportPlane | None


class EstimatedFrames:
    """Frame folders with estimates, which are added one after the other.

    The images are read again when they are shown, so that many frames fit into memory.

    Args:
        categories: provide the colours of surfaces that are not seen.
        depth_unit: metres per unit of depth; None for the unit of `meta.json`.
    """

    def __init__(self, categories: Categories, depth_unit: float | None = None) -> None:
        self._categories = categories
        self._depth_unit = depth_unit
        self._frames: list[_Estimated] = []

    @property
    def times_s(self) -> Sequence[float]:
        """See `Recording`."""
        return [_FOLDER_PERIOD_S * i for i in range(len(self._frames))]

    def add(
        self, name: str, folder: Path, frame: RgbdFrame, estimates: Sequence[ObjectEstimate]
    ) -> FrameView:
        """Add a frame with its estimates, and return what is shown of it."""
        revision = 1 + len(self._frames)
        objects = [
            ObjectView(
                x.mask_id,
                x,
                revision=revision,
                colours=sample_colours(x, frame, self._categories[x.category].colour),
            )
            for x in estimates
        ]
        self._frames.append(_Estimated(name, folder, objects, support_plane(frame)))
        return FrameView(name, objects, frame, self._frames[-1].plane)

    def view(self, number: int) -> FrameView:
        """See `Recording`."""
        x = self._frames[number]
        item = read_frame(x.folder, depth_unit=self._depth_unit, needs_mask=False)
        return FrameView(x.name, x.objects, item.frame, x.plane)

    def close(self) -> None:
        """See `Recording`."""
