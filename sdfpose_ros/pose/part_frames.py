"""Frames of the parts of objects, such as sdfpose/mug_3/handle, for /tf."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from geometry_msgs.msg import TransformStamped
from std_msgs.msg import Header

from sdfpose_core.categories import Categories
from sdfpose_core.grasping.frames import PartFrame, parts_of
from sdfpose_ros.graph.object_messages import transform_message

if TYPE_CHECKING:
    from sdfpose_core.tracking.track import Track

__all__ = ["PartFrames"]

_HANDLE = "handle"


class PartFrames:
    """Measures the parts of objects once for each mesh.

    Args:
        categories: tell which parts an object has.
        object_frame: frame id of an object.
    """

    def __init__(self, categories: Categories, object_frame: Callable[[Track], str]) -> None:
        self._categories = categories
        self._object_frame = object_frame
        self._known: dict[int, tuple[int, list[PartFrame]]] = {}

    def __call__(self, tracks: Iterable[Track], header: Header) -> list[TransformStamped]:
        """Transforms from the parts to the frames of their objects, with the stamp of a header.

        A mug whose handle is hidden has no frame of it: its direction is unknown.
        """
        shown = []
        for track in tracks:
            parent = self._object_frame(track)
            for part in self._parts(track):
                if part.name == _HANDLE and track.estimate.symmetric_about_y:
                    continue
                shown.append(
                    transform_message(
                        part.rotation,
                        part.translation,
                        Header(stamp=header.stamp, frame_id=parent),
                        f"{parent}/{part.name}",
                    )
                )
        return shown

    def forget(self, ids: Iterable[int]) -> None:
        """Drop the parts of objects that are gone."""
        for i in ids:
            self._known.pop(i, None)

    def _parts(self, track: Track) -> list[PartFrame]:
        revision, parts = self._known.get(track.id, (0, []))
        if revision != track.mesh_revision:
            names = self._categories[track.estimate.category].frames
            parts = parts_of(track.estimate, names)
            self._known[track.id] = track.mesh_revision, parts
        return parts
