"""Write the results of a replay to a bag, as the pose node would publish them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sdfpose_core.datasets.bag_writing import OBJECTS, BagWriter
from sdfpose_core.datasets.bags import RecordedFrame
from sdfpose_core.messages.factory import header_message
from sdfpose_core.messages.objects import child_frame_id, object_message, transform_message
from sdfpose_core.tracking.tracker import Track, TrackerResult

__all__ = ["ResultBag"]

_TF_TYPE = "tf2_msgs/msg/TFMessage"


class ResultBag:
    """Writes ``/tf``, ``<node>/objects`` and ``<node>/meshes`` for each frame.

    Args:
        path: folder of the bag; must not exist yet.
        node: name of the pose node.
        frame_prefix: prefix of the frame ids of the objects.

    Raises:
        BagError: the bag cannot be written.
    """

    def __init__(
        self, path: Path | str, node: str = "/sdfpose", frame_prefix: str = "sdfpose"
    ) -> None:
        self._objects, self._meshes = f"{node}/objects", f"{node}/meshes"
        self._prefix = frame_prefix
        self._bag = BagWriter(
            path,
            {"/tf": _TF_TYPE, self._objects: OBJECTS, self._meshes: OBJECTS},
            latched=[self._meshes],
        )
        self._revisions: dict[int, int] = {}
        self._with_mesh: dict[int, Any] = {}

    def add(self, recorded: RecordedFrame, result: TrackerResult) -> None:
        """Write the result of a frame with its time of arrival."""
        frame, new = recorded.frame, self._bag.new
        header = header_message(new, frame.stamp_ns, frame.frame_id)
        transforms = [
            transform_message(
                new,
                x.estimate.rotation,
                x.estimate.translation,
                header,
                child_frame_id(self._prefix, x.estimate.category, x.id),
            )
            for x in result.tracks
            if x.seen
        ]
        self._write("/tf", new(_TF_TYPE, transforms=transforms), recorded)
        changed = self._update_revisions(result.tracks)
        messages = {
            x.id: object_message(new, x, header, with_mesh=x.id in changed) for x in result.tracks
        }
        array = new(OBJECTS, header=header, objects=list(messages.values()))
        self._write(self._objects, array, recorded)
        gone = [x for x in result.removed if self._with_mesh.pop(x, None) is not None]
        self._with_mesh |= {x: messages[x] for x in changed}
        if changed or gone:
            meshes = new(OBJECTS, header=header, objects=list(self._with_mesh.values()))
            self._write(self._meshes, meshes, recorded)

    def __enter__(self) -> ResultBag:
        self._bag.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._bag.__exit__(*error)

    def _update_revisions(self, tracks: Sequence[Track]) -> set[int]:
        """Update the mesh revisions and return the ids of the objects with a new mesh."""
        changed = {
            x.id
            for x in tracks
            if len(x.estimate.vertices) and self._revisions.get(x.id) != x.mesh_revision
        }
        self._revisions |= {x.id: x.mesh_revision for x in tracks}
        return changed

    def _write(self, topic: str, message: Any, recorded: RecordedFrame) -> None:
        self._bag.write(topic, message, recorded.arrival_ns)
