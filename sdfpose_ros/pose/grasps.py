"""Grasp candidates of the visible objects, found in a thread of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rclpy.node import Node
from rclpy.publisher import Publisher
from sdfpose.msg import GraspCandidateArray
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from sdfpose_core.grasping.gripper import Gripper
from sdfpose_core.observation.support_plane import SupportPlane
from sdfpose_ros.graph.object_messages import grasp_message
from sdfpose_ros.graph.worker import NewestWorker
from sdfpose_ros.pose.distance_queries import SceneSource
from sdfpose_ros.pose.markers import delete_all_marker, grasp_marker
from sdfpose_ros.pose.parameters import PoseNodeParameters

if TYPE_CHECKING:
    from sdfpose_core.grasping.candidates import Grasp
    from sdfpose_core.tracking.track import Track
    from sdfpose_core.tracking.tracker import TrackerResult

__all__ = ["Grasps"]

_STOP_S = 3.0


@dataclass(frozen=True)
class _Work:
    """The objects of an image; planes by mask id."""

    header: Header
    tracks: list[Track]
    supports: dict[int, SupportPlane]


class Grasps:
    """Publishes the grasp candidates of an image as they are found; images in between are left out.

    Args:
        node: node that publishes.
        source: makes scenes of the objects.
        parameters: returns the current parameters.
        on_error: called with an error in the search, which goes on with the next image.
    """

    def __init__(
        self,
        node: Node,
        source: SceneSource,
        parameters: Callable[[], PoseNodeParameters],
        on_error: Callable[[Exception], None],
    ) -> None:
        values = parameters()
        self._node = node
        self._source = source
        self._parameters = parameters
        self._count = values.grasps
        self._gripper = Gripper(
            max_width_m=values.gripper_width_m,
            friction=values.gripper_friction,
            finger_width_m=values.finger_width_m,
            finger_thickness_m=values.finger_thickness_m,
            finger_length_m=values.finger_length_m,
        )
        self._grasps: Publisher[Any] = node.create_publisher(GraspCandidateArray, "~/grasps", 10)
        self._markers: Publisher[Any] = node.create_publisher(MarkerArray, "~/grasp_markers", 10)
        self._worker: NewestWorker[_Work] = NewestWorker(self._process, on_error, "grasps")

    def submit(self, header: Header, result: TrackerResult) -> None:
        """Look for grasps of the visible objects, if anybody asks for them. Returns at once."""
        asked = self._grasps.get_subscription_count() or self._markers.get_subscription_count()
        if asked:
            seen = [x for x in result.tracks if x.state.name != "LOST"]
            self._worker.submit(_Work(header, seen, dict(result.supports)))

    def close(self) -> None:
        """Stop the search and destroy the publishers."""
        self._worker.stop(_STOP_S)
        for publisher in (self._grasps, self._markers):
            self._node.destroy_publisher(publisher)

    def _process(self, work: _Work) -> None:
        from sdfpose_core.grasping.candidates import grasp_candidates  # loads torch

        scene = self._source(work.tracks)
        found = [
            (track.estimate.category, grasp)
            for track in work.tracks
            for grasp in grasp_candidates(
                track.estimate,
                scene,
                track.id,
                gripper=self._gripper,
                support=work.supports.get(track.estimate.mask_id),
                eye=np.zeros(3),
                count=self._count,
            )
        ]
        self._grasps.publish(
            GraspCandidateArray(
                header=work.header, grasps=[grasp_message(grasp, name) for name, grasp in found]
            )
        )
        if self._parameters().grasp_markers and self._markers.get_subscription_count():
            self._publish_markers(work.header, [grasp for _, grasp in found])

    def _publish_markers(self, header: Header, grasps: list[Grasp]) -> None:
        shown = [
            grasp_marker(grasp, self._gripper, number, header)
            for number, grasp in enumerate(grasps)
        ]
        self._markers.publish(MarkerArray(markers=[delete_all_marker(header), *shown]))
