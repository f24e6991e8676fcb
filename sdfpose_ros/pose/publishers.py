"""Publishers of the results: /tf, objects, meshes, markers and the overlay."""

from __future__ import annotations

from collections.abc import Callable
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
from sdfpose_core.errors import SdfposeError
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_core.messages.objects import child_frame_id
from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.visualisation.drawing import draw_overlay
from sdfpose_core.visualisation.mesh_colours import sample_colours
from sdfpose_ros.graph.image_messages import image_message
from sdfpose_ros.graph.object_messages import (
    detections_message,
    object_message,
    transform_message,
)
from sdfpose_ros.graph.throttle import ThrottledLog
from sdfpose_ros.pose.markers import (
    axes_marker,
    box_marker,
    delete_all_marker,
    delete_markers,
    label_marker,
    mesh_marker,
)
from sdfpose_ros.pose.parameters import PoseNodeParameters
from sdfpose_ros.pose.part_frames import PartFrames
from sdfpose_ros.pose.target_frame import TargetFrame
from sdfpose_ros.pose.transforms import TransformMissingError
from sdfpose_ros.stand_ins import vision_msgs

if TYPE_CHECKING:
    from sdfpose_core.tracking.tracker import Track, TrackerResult

__all__ = ["ResultPublisher", "UnknownObjectError"]

_TF_QOS = QoSProfile(depth=100)
_RESULT_QOS = QoSProfile(depth=10)
_LATCHED_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)

_SURFACE_PERIOD_NS = 2_000_000_000
"""Shortest time between surface markers (1 MB each): a new shape changes with every image."""

_LOST_ALPHA = 0.3
"""Opacity of the markers of objects that the image does not show."""


class UnknownObjectError(SdfposeError):
    """The requested object does not exist or has no mesh yet."""


class ResultPublisher:
    """Publishes the tracker's results with the stamp and frame id of their image.

    - ``/tf``: one transform per visible object, those of its parts if asked for, and one per object
      that stands where the image does not show it.
    - ``~/objects``: all objects. An object carries its mesh only in the message in which the mesh
      changed.
    - ``~/detections``: the visible objects without shapes, if vision_msgs is installed.
    - ``~/meshes``: all objects that have a mesh; latched, sent when a mesh changed.
    - ``~/markers``: boxes, axes and labels with every image; surfaces when they changed or there is
      a new subscriber. Only while there is a subscriber.
    - ``~/overlay``: colour image with the results drawn over it. Only while there is a subscriber.

    Args:
        node: node that publishes.
        parameters: returns the current parameters, which select the outputs.
        categories: provide the colours.
        frame_prefix: prefix of the objects' frame ids.
        target_frame: transforms /tf into another frame; None to keep the world or camera frame.
        log: receives a warning when a transform is missing.
        world_frame: frame in which the objects are tracked; empty for the camera frame.
    """

    def __init__(
        self,
        node: Node,
        parameters: Callable[[], PoseNodeParameters],
        categories: Categories,
        frame_prefix: str,
        target_frame: TargetFrame | None,
        log: ThrottledLog,
        world_frame: str = "",
    ) -> None:
        self._node = node
        self._world_frame = world_frame
        self._parameters = parameters
        self._categories = categories
        self._frame_prefix = frame_prefix
        self._target_frame = target_frame
        self._log = log
        self._parts = PartFrames(categories, self._object_frame)
        self._latest: tuple[Header, dict[int, Track]] = (Header(), {})
        # By object id: mesh revision and its vertex colours; mesh revision sent last; message that
        # carried it.
        self._colours: dict[int, tuple[int, NDArray[np.uint8]]] = {}
        self._sent: dict[int, int] = {}
        self._meshes: dict[int, SdfObject] = {}
        self._marker_subscribers = 0
        # By object id: mesh revision of the last surface marker, and its stamp.
        self._surfaces_sent: dict[int, tuple[int, int]] = {}
        self._publishers: list[Publisher[Any]] = []

        def publisher(message: type, topic: str, qos: QoSProfile) -> Publisher[Any]:
            made: Publisher[Any] = node.create_publisher(message, topic, qos)
            self._publishers.append(made)
            return made

        self._transforms = publisher(TFMessage, "/tf", _TF_QOS)
        self._objects = publisher(SdfObjectArray, "~/objects", _RESULT_QOS)
        self._latched = publisher(SdfObjectArray, "~/meshes", _LATCHED_QOS)
        self._markers = publisher(MarkerArray, "~/markers", _RESULT_QOS)
        self._overlay = publisher(Image, "~/overlay", _RESULT_QOS)
        self._detections: Publisher[Any] | None = None
        if vision_msgs is not None:
            self._detections = publisher(vision_msgs.Detection3DArray, "~/detections", _RESULT_QOS)

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)
        self._publishers.clear()

    def publish(self, frame: RgbdFrame, header: Header, result: TrackerResult) -> None:
        """Publish the results of one frame.

        Args:
            frame: the frame.
            header: header of its colour image.
            result: the tracker's result, poses in the frame of the header.
        """
        parameters = self._parameters()
        visible = [track for track in result.tracks if track.seen]
        self._publish_transforms(
            header,
            [x for x in result.tracks if x.seen or x.state.name == "UNOBSERVED"],
            with_parts=parameters.part_frames,
        )
        self._forget(result.removed)
        self._sample_colours(frame, result.tracks)
        self._publish_objects(header, result, parameters.publish_meshes)
        self._latest = header, {track.id: track for track in result.tracks}
        if self._detections is not None and self._detections.get_subscription_count():
            self._detections.publish(detections_message(visible, header))
        self._publish_markers(header, result, parameters.publish_markers)
        if parameters.publish_overlay and self._overlay.get_subscription_count():
            drawn = draw_overlay(
                frame,
                [track.estimate for track in visible],
                self._categories,
                ids=[track.id for track in visible],
            )
            self._overlay.publish(image_message(drawn, "rgb8", header))

    @property
    def latest(self) -> tuple[Header, list[Track]]:
        """Header of the last image, and all objects at its time. Safe to read from any thread."""
        header, tracks = self._latest
        return header, list(tracks.values())

    def object_with_mesh(self, object_id: int) -> SdfObject:
        """Return the latest message of an object with its mesh. Safe to call from any thread.

        Raises:
            UnknownObjectError: the object does not exist or has no mesh yet.
        """
        header, tracks = self._latest
        track = tracks.get(object_id)
        if track is None:
            known = ", ".join(f"{x} ({tracks[x].estimate.category})" for x in sorted(tracks))
            raise UnknownObjectError(
                f"there is no object {object_id}: "
                + (f"expected one of {known}" if known else "no object is tracked at present")
            )
        if not len(track.estimate.vertices):
            raise UnknownObjectError(
                f"object {object_id} has no mesh yet: try again after it was seen"
            )
        revision, colours = self._colours.get(object_id, (0, None))
        return object_message(
            track,
            header,
            with_mesh=True,
            colours=colours if revision == track.mesh_revision else None,
        )

    def clear(self, header: Header) -> None:
        """Forget all objects: publish empty lists and delete the markers."""
        self._latest = header, {}
        self._colours.clear()
        self._sent.clear()
        self._surfaces_sent.clear()
        self._objects.publish(SdfObjectArray(header=header))
        self._meshes.clear()
        self._latched.publish(SdfObjectArray(header=header))
        self._markers.publish(MarkerArray(markers=[delete_all_marker(header)]))

    def _object_frame(self, track: Track) -> str:
        return child_frame_id(self._frame_prefix, track.estimate.category, track.id)

    def _publish_transforms(self, header: Header, tracks: list[Track], *, with_parts: bool) -> None:
        world = Header(stamp=header.stamp, frame_id=self._world_frame)
        transforms = []
        for track in tracks:
            pose, parent = track.estimate, header
            if self._target_frame is None and track.world is not None:
                pose, parent = track.world, world
            transforms.append(
                transform_message(
                    pose.rotation, pose.translation, parent, self._object_frame(track)
                )
            )
        if self._target_frame is not None:
            try:
                transforms = self._target_frame(transforms)
            except TransformMissingError as error:
                self._log.warning(
                    TransformMissingError,
                    f"{error}; the objects of this image are not published on /tf",
                )
                return
        if with_parts:
            transforms = [*transforms, *self._parts(tracks, header)]
        self._transforms.publish(TFMessage(transforms=transforms))

    def _forget(self, removed: list[int]) -> None:
        self._parts.forget(removed)
        for object_id in removed:
            self._sent.pop(object_id, None)
            self._colours.pop(object_id, None)

    def _sample_colours(self, frame: RgbdFrame, tracks: list[Track]) -> None:
        """Sample the colours of new meshes from the frame."""
        for track in tracks:
            revision, _ = self._colours.get(track.id, (0, None))
            if revision != track.mesh_revision and len(track.estimate.vertices):
                fallback = self._categories[track.estimate.category].colour
                colours = sample_colours(track.estimate, frame, fallback)
                self._colours[track.id] = track.mesh_revision, colours

    def _publish_objects(self, header: Header, result: TrackerResult, with_meshes: bool) -> None:
        revisions = {x: revision for x, (revision, _) in self._colours.items()}
        changed = {x for x in revisions if with_meshes and self._sent.get(x) != revisions[x]}
        messages = {
            track.id: object_message(
                track,
                header,
                with_mesh=track.id in changed,
                colours=self._colours[track.id][1] if track.id in changed else None,
            )
            for track in result.tracks
        }
        self._objects.publish(SdfObjectArray(header=header, objects=list(messages.values())))
        removed = [x for x in result.removed if self._meshes.pop(x, None) is not None]
        changed &= messages.keys()
        self._sent.update({x: revisions[x] for x in changed})
        self._meshes.update({x: messages[x] for x in changed})
        if removed or changed:
            self._latched.publish(
                SdfObjectArray(header=header, objects=list(self._meshes.values()))
            )

    def _publish_markers(self, header: Header, result: TrackerResult, wanted: bool) -> None:
        subscribers = self._markers.get_subscription_count() if wanted else 0
        if self._marker_subscribers and not wanted:
            self._markers.publish(MarkerArray(markers=[delete_all_marker(header)]))
        if subscribers > self._marker_subscribers:
            self._surfaces_sent.clear()
        self._marker_subscribers = subscribers
        if not subscribers:
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
        alpha = 1.0 if track.seen else _LOST_ALPHA
        colour = self._categories[estimate.category].colour
        markers = [
            box_marker(estimate, colour, track.id, header, alpha),
            axes_marker(estimate, track.id, header, alpha),
            label_marker(estimate, track.id, header, alpha),
        ]
        if track.id in self._colours and self._surface_due(track, header):
            _, colours = self._colours[track.id]
            markers.append(
                mesh_marker(estimate, colours, track.id, header, self._object_frame(track))
            )
        return markers

    def _surface_due(self, track: Track, header: Header) -> bool:
        """Return whether to send the surface marker now. If so, count it as sent."""
        now_ns = stamp_ns(header)
        revision, sent_ns = self._surfaces_sent.get(track.id, (0, -_SURFACE_PERIOD_NS))
        if revision == track.mesh_revision or now_ns - sent_ns < _SURFACE_PERIOD_NS:
            return False
        self._surfaces_sent[track.id] = (track.mesh_revision, now_ns)
        return True
