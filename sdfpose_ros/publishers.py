"""Results as messages: /tf, objects, meshes, markers and the overlay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile
from sdfpose.msg import SdfObject, SdfObjectArray
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import Marker, MarkerArray

from sdfpose_core.categories import Categories
from sdfpose_core.drawing import draw_overlay
from sdfpose_core.frame import RgbdFrame
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_core.messages.objects import child_frame_id
from sdfpose_ros.image_messages import image_message
from sdfpose_ros.markers import (
    axes_marker,
    box_marker,
    delete_all_marker,
    delete_markers,
    label_marker,
    mesh_marker,
)
from sdfpose_ros.mesh_colours import sample_colours
from sdfpose_ros.object_messages import object_message, transform_message
from sdfpose_ros.parameters import PoseNodeParameters
from sdfpose_ros.target_frame import TargetFrame, TransformMissingError
from sdfpose_ros.throttle import ThrottledLog

if TYPE_CHECKING:
    from sdfpose_core.tracker import Track, TrackerResult

__all__ = ["ResultPublisher"]

_TF_QOS = QoSProfile(depth=100)
_RESULT_QOS = QoSProfile(depth=10)
_LATCHED_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)

_SURFACE_PERIOD_NS = 2_000_000_000
"""A new shape moves from image to image; its marker (a megabyte) is sent no more often."""

_LOST_ALPHA = 0.3
"""Opacity of the markers of objects that the image does not show."""


class ResultPublisher:
    """Publishes the tracker's results with the stamp and frame id of their image.

    - ``/tf``: one transform for each object that the image shows.
    - ``~/objects``: all objects; an object carries its mesh in the message in which that changed.
    - ``~/meshes``: all objects that have a mesh, with it; latched, sent when one of them changed.
    - ``~/markers``: boxes, axes and labels with every image, surfaces when they changed or a new
      subscriber came; only while somebody listens.
    - ``~/overlay``: the colour image with the results drawn in; only while somebody listens.

    Args:
        node: publishes.
        parameters: say what is published.
        categories: give colours.
        frame_prefix: first part of the objects' frame names.
        target_frame: moves the transforms of /tf, None to leave them in the camera's frame.
        log: where it is told that a transform is missing.
    """

    def __init__(
        self,
        node: Node,
        parameters: PoseNodeParameters,
        categories: Categories,
        frame_prefix: str,
        target_frame: TargetFrame | None,
        log: ThrottledLog,
    ) -> None:
        self._categories = categories
        self._frame_prefix = frame_prefix
        self._target_frame = target_frame
        self._log = log
        # By the id of the object: its mesh's revision, its colours, and the message with it.
        self._revisions: dict[int, int] = {}
        self._colours: dict[int, NDArray[np.uint8]] = {}
        self._meshes: dict[int, SdfObject] = {}
        self._marker_listeners = 0
        # By the id of the object: the revision of its surface's marker, and when that was sent.
        self._surfaces_sent: dict[int, tuple[int, int]] = {}

        def publisher(message: type, topic: str, qos: QoSProfile, wanted: bool = True) -> Any:
            return node.create_publisher(message, topic, qos) if wanted else None

        self._transforms: Publisher[Any] = publisher(TFMessage, "/tf", _TF_QOS)
        self._objects: Publisher[Any] = publisher(SdfObjectArray, "~/objects", _RESULT_QOS)
        self._latched: Publisher[Any] | None = publisher(
            SdfObjectArray, "~/meshes", _LATCHED_QOS, parameters.publish_meshes
        )
        self._markers: Publisher[Any] | None = publisher(
            MarkerArray, "~/markers", _RESULT_QOS, parameters.publish_markers
        )
        self._overlay: Publisher[Any] | None = publisher(
            Image, "~/overlay", _RESULT_QOS, parameters.publish_overlay
        )

    def publish(self, frame: RgbdFrame, header: Header, result: TrackerResult) -> None:
        """Publish one frame's results.

        Args:
            frame: what they were made from.
            header: of its colour image.
            result: the tracker's, poses in the frame of the header.
        """
        shown = [track for track in result.tracks if track.state.name != "LOST"]
        self._publish_transforms(header, shown)
        self._forget(result.removed)
        self._publish_objects(header, result, self._take_meshes(frame, result.tracks))
        self._publish_markers(header, result)
        if self._overlay is not None and self._overlay.get_subscription_count():
            drawn = draw_overlay(
                frame,
                [track.estimate for track in shown],
                self._categories,
                ids=[track.id for track in shown],
            )
            self._overlay.publish(image_message(drawn, "rgb8", header))

    def clear(self, header: Header) -> None:
        """Forget all objects: receivers get empty lists, and the markers are deleted."""
        self._revisions.clear()
        self._colours.clear()
        self._surfaces_sent.clear()
        self._objects.publish(SdfObjectArray(header=header))
        if self._latched is not None:
            self._meshes.clear()
            self._latched.publish(SdfObjectArray(header=header))
        if self._markers is not None:
            self._markers.publish(MarkerArray(markers=[delete_all_marker(header)]))

    def _object_frame(self, track: Track) -> str:
        return child_frame_id(self._frame_prefix, track.estimate.category, track.id)

    def _publish_transforms(self, header: Header, tracks: list[Track]) -> None:
        transforms = [
            transform_message(
                track.estimate.rotation,
                track.estimate.translation,
                header,
                self._object_frame(track),
            )
            for track in tracks
        ]
        if self._target_frame is not None:
            try:
                transforms = self._target_frame(transforms)
            except TransformMissingError as error:
                self._log.warning(TransformMissingError, str(error))
                return
        self._transforms.publish(TFMessage(transforms=transforms))

    def _forget(self, removed: list[int]) -> None:
        for object_id in removed:
            self._revisions.pop(object_id, None)
            self._colours.pop(object_id, None)

    def _take_meshes(self, frame: RgbdFrame, tracks: list[Track]) -> set[int]:
        """Ids of the objects whose mesh is new; their colours are taken from the frame."""
        new = set()
        for track in tracks:
            changed = self._revisions.get(track.id) != track.mesh_revision
            if changed and len(track.estimate.vertices):
                colour = self._categories[track.estimate.category].colour
                self._colours[track.id] = sample_colours(track.estimate, frame, colour)
                self._revisions[track.id] = track.mesh_revision
                new.add(track.id)
        return new

    def _publish_objects(self, header: Header, result: TrackerResult, new_meshes: set[int]) -> None:
        if self._latched is None:
            new_meshes = set()
        messages = {
            track.id: object_message(
                track,
                header,
                with_mesh=track.id in new_meshes,
                colours=self._colours.get(track.id),
            )
            for track in result.tracks
        }
        self._objects.publish(SdfObjectArray(header=header, objects=list(messages.values())))
        gone = [object_id for object_id in result.removed if object_id in self._meshes]
        for object_id in gone:
            del self._meshes[object_id]
        self._meshes.update({object_id: messages[object_id] for object_id in new_meshes})
        if self._latched is not None and (gone or new_meshes):
            self._latched.publish(
                SdfObjectArray(header=header, objects=list(self._meshes.values()))
            )

    def _publish_markers(self, header: Header, result: TrackerResult) -> None:
        if self._markers is None:
            return
        listeners = self._markers.get_subscription_count()
        if listeners > self._marker_listeners:
            self._surfaces_sent.clear()
        self._marker_listeners = listeners
        if not listeners:
            return
        markers: list[Marker] = []
        for track in result.tracks:
            markers += self._markers_of(track, header)
        for removed in result.removed:
            markers += delete_markers(removed, header)
            self._surfaces_sent.pop(removed, None)
        if markers:
            self._markers.publish(MarkerArray(markers=markers))

    def _markers_of(self, track: Track, header: Header) -> list[Marker]:
        estimate = track.estimate
        alpha = _LOST_ALPHA if track.state.name == "LOST" else 1.0
        colour = self._categories[estimate.category].colour
        markers = [
            box_marker(estimate, colour, track.id, header, alpha),
            axes_marker(estimate, track.id, header, alpha),
            label_marker(estimate, track.id, header, alpha),
        ]
        colours = self._colours.get(track.id)
        if colours is not None and self._surface_due(track, header):
            markers.append(
                mesh_marker(estimate, colours, track.id, header, self._object_frame(track))
            )
        return markers

    def _surface_due(self, track: Track, header: Header) -> bool:
        """Whether the marker of a surface is to be sent; if so, counts it as sent."""
        now_ns = stamp_ns(header)
        revision, sent_ns = self._surfaces_sent.get(track.id, (0, -_SURFACE_PERIOD_NS))
        if revision == track.mesh_revision or now_ns - sent_ns < _SURFACE_PERIOD_NS:
            return False
        self._surfaces_sent[track.id] = (track.mesh_revision, now_ns)
        return True
