"""The service ~/distance: signed distances from points to the objects of the last image."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from std_msgs.msg import Header

from sdfpose_core.errors import ShapeError
from sdfpose_ros.graph.message_factory import as_sequence
from sdfpose_ros.pose.transforms import TransformBuffer, TransformMissingError

if TYPE_CHECKING:
    from sdfpose_core.scene.distance_volume import DistanceVolumes
    from sdfpose_core.scene.scene import Scene
    from sdfpose_core.tracking.track import Track
    from sdfpose_ros.pose.estimation import FrameTracker

__all__ = ["SceneSource", "answer_distances"]


class SceneSource:
    """Makes scenes of tracked objects. Threads may share it.

    Args:
        tracker: has the decoders of the categories.
    """

    def __init__(self, tracker: FrameTracker) -> None:
        self._tracker = tracker
        self._volumes: DistanceVolumes | None = None
        self._lock = Lock()

    def __call__(self, tracks: Sequence[Track]) -> Scene:
        """The scene of objects with their ids, camera frame.

        The volume of a new shape is made first.

        Raises:
            MeshError: a shape has no surface.
        """
        # Imported here because torch takes seconds to load.
        from sdfpose_core.scene.distance_volume import DistanceVolumes
        from sdfpose_core.scene.scene import Scene

        with self._lock:
            volumes = self._volumes = self._volumes or DistanceVolumes()
        return Scene.of(
            [x.estimate for x in tracks], self._tracker.decoder, volumes, [x.id for x in tracks]
        )


def answer_distances(
    request: Any,
    response: Any,
    source: SceneSource,
    header: Header,
    tracks: Sequence[Track],
    transforms: TransformBuffer | None,
) -> str:
    """Fill in the response to a request; return a sentence.

    Args:
        request: sdfpose/srv/Distance request.
        response: its response.
        source: makes the scene.
        header: of the last image.
        tracks: objects of that image.
        transforms: those of /tf; None if nobody listens to them.

    Raises:
        ShapeError: the points are no triples of finite numbers.
        TransformMissingError: the frame of the points is unknown.
        MeshError: the shape of an object has no surface.
    """
    if not header.frame_id:
        raise TransformMissingError(
            "no image was processed yet: expected one, as its objects are asked for"
        )
    points = _points(request.points)
    frame_id = request.frame_id.lstrip("/") or header.frame_id
    rotation, translation = np.eye(3), np.zeros(3)
    if frame_id != header.frame_id:
        if transforms is None:
            raise TransformMissingError(
                f"the points are in frame '{frame_id}', the objects in '{header.frame_id}': set "
                "the parameter listen_to_tf, or give points in the objects' frame"
            )
        rotation, translation = transforms.lookup(header.frame_id, frame_id, header.stamp)
    kept = [x for x in tracks if x.id not in set(request.ignored_ids)]
    found = source(kept).signed_distance(points @ rotation.T + translation)
    response.header = Header(stamp=header.stamp, frame_id=frame_id)
    response.distances = as_sequence(found.distance)
    response.gradients = as_sequence(np.ascontiguousarray(found.gradient @ rotation))
    response.ids = as_sequence(found.ids.astype(np.uint32))
    return f"{len(points)} points, {len(kept)} objects"


def _points(flat: Any) -> NDArray[np.float64]:
    """Points (N, 3) of a flat array."""
    values = np.asarray(flat, dtype=np.float64)
    if len(values) % 3:
        raise ShapeError(f"points has {len(values)} numbers: expected x, y, z of each point")
    if not np.isfinite(values).all():
        raise ShapeError("points has numbers that are not finite: expected metres")
    return values.reshape(-1, 3)
