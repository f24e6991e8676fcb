"""Conversion of objects to messages and back. Only this module uses quaternions (x, y, z, w)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from sdfpose_core.messages.factory import MessageFactory, time_message
from sdfpose_core.messages.interfaces import Header
from sdfpose_core.observation.frame import Alternative, GroundTruth, ObjectEstimate

__all__ = [
    "GraspPose",
    "Tracked",
    "child_frame_id",
    "detection_message",
    "detections_message",
    "estimate_from_message",
    "grasp_message",
    "ground_truth_message",
    "object_message",
    "pose_arrays",
    "pose_message",
    "transform_arrays",
    "transform_message",
    "truth_from_message",
]

_UNKNOWN = 0
"""State of an object that is not tracked, see ``SdfObject.msg``."""

_NO_MESH = {
    "mesh_vertices": np.zeros(0, dtype=np.float32),
    "mesh_triangles": np.zeros(0, dtype=np.uint32),
    "mesh_normals": np.zeros(0, dtype=np.float32),
    "mesh_colours": np.zeros(0, dtype=np.uint8),
}


class Tracked(Protocol):
    """A tracked object; `state` is a constant of ``SdfObject.msg``.

    `stamp_ns` is that of the last image that showed it.
    """

    @property
    def id(self) -> int: ...  # noqa: D102
    @property
    def state(self) -> int: ...  # noqa: D102
    @property
    def estimate(self) -> ObjectEstimate: ...  # noqa: D102
    @property
    def mesh_revision(self) -> int: ...  # noqa: D102
    @property
    def stamp_ns(self) -> int: ...  # noqa: D102


class GraspPose(Protocol):
    """A grasp of an object; see `sdfpose_core.grasping.candidates.Grasp`."""

    @property
    def object_id(self) -> int: ...  # noqa: D102
    @property
    def rotation(self) -> NDArray[np.float64]: ...  # noqa: D102
    @property
    def translation(self) -> NDArray[np.float64]: ...  # noqa: D102
    @property
    def width_m(self) -> float: ...  # noqa: D102
    @property
    def opening_m(self) -> float: ...  # noqa: D102
    @property
    def quality(self) -> float: ...  # noqa: D102
    @property
    def clearance_m(self) -> float: ...  # noqa: D102


def child_frame_id(prefix: str, category: str, object_id: int) -> str:
    """Return the frame id of an object, ``<prefix>/<category>_<id>``."""
    return f"{prefix}/{category}_{object_id}"


def pose_message(
    new: MessageFactory, rotation: NDArray[np.floating], translation: NDArray[np.floating]
) -> Any:
    """Create a pose from a rotation (3, 3) and a translation (3,), metres."""
    return new(
        "geometry_msgs/msg/Pose",
        position=_vector(new, "geometry_msgs/msg/Point", translation),
        orientation=_quaternion(new, rotation),
    )


def pose_arrays(pose: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rotation (3, 3) and translation (3,), metres, of a pose."""
    return _rotation(pose.orientation), _array(pose.position)


def transform_message(
    new: MessageFactory,
    rotation: NDArray[np.floating],
    translation: NDArray[np.floating],
    header: Header,
    child_frame: str,
) -> Any:
    """Create the transform from `child_frame` to the header's frame: (3, 3) and (3,), metres."""
    return new(
        "geometry_msgs/msg/TransformStamped",
        header=header,
        child_frame_id=child_frame,
        transform=new(
            "geometry_msgs/msg/Transform",
            translation=_vector(new, "geometry_msgs/msg/Vector3", translation),
            rotation=_quaternion(new, rotation),
        ),
    )


def transform_arrays(transform: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rotation (3, 3) and translation (3,), metres, of a transform."""
    return _rotation(transform.rotation), _array(transform.translation)


def grasp_message(new: MessageFactory, grasp: GraspPose, category: str) -> Any:
    """Create the message of a grasp candidate of an object of a category."""
    return new(
        "sdfpose/msg/GraspCandidate",
        object_id=grasp.object_id,
        category=category,
        pose=pose_message(new, grasp.rotation, grasp.translation),
        width=grasp.width_m,
        opening=grasp.opening_m,
        quality=grasp.quality,
        clearance=grasp.clearance_m,
    )


def object_message(
    new: MessageFactory,
    track: Tracked,
    header: Header,
    *,
    with_mesh: bool,
    colours: NDArray[np.uint8] | None = None,
) -> Any:
    """Create the message of a tracked object.

    Args:
        new: message factory.
        track: tracked object, with its pose in the header's frame.
        header: header of the image.
        with_mesh: whether the message contains the mesh or only its revision.
        colours: (V, 3) RGB of the mesh vertices, or None.
    """
    estimate = track.estimate
    mesh = dict(_NO_MESH)
    if with_mesh:
        mesh["mesh_vertices"] = _flat(estimate.vertices, np.float32)
        mesh["mesh_triangles"] = _flat(estimate.faces, np.uint32)
        mesh["mesh_normals"] = _flat(estimate.normals, np.float32)
        if colours is not None:
            mesh["mesh_colours"] = _flat(colours, np.uint8)
    return new(
        "sdfpose/msg/SdfObject",
        header=header,
        id=track.id,
        category=estimate.category,
        state=int(track.state),
        last_seen=time_message(new, track.stamp_ns),
        pose=_pose_with_covariance(
            new, estimate.rotation, estimate.translation, estimate.covariance
        ),
        symmetric_about_y=bool(estimate.symmetric_about_y),
        symmetries=[_quaternion(new, x) for x in estimate.symmetries],
        scale=float(estimate.scale),
        dimensions=_vector(new, "geometry_msgs/msg/Vector3", estimate.dimensions_m),
        confidence=float(estimate.confidence),
        probability=float(estimate.probability),
        alternatives=[_alternative(new, x) for x in estimate.alternatives],
        latent_code=_flat(estimate.code, np.float32),
        mesh_revision=track.mesh_revision,
        **mesh,
    )


def detection_message(new: MessageFactory, track: Tracked, header: Header) -> Any:
    """Create a ``vision_msgs/Detection3D`` of a tracked object.

    Args:
        new: message factory.
        track: tracked object, with its pose in the header's frame.
        header: header of the image.
    """
    estimate = track.estimate
    pose = _pose_with_covariance(new, estimate.rotation, estimate.translation, estimate.covariance)
    hypothesis = new(
        "vision_msgs/msg/ObjectHypothesis",
        class_id=estimate.category,
        score=float(estimate.confidence),
    )
    box = new(
        "vision_msgs/msg/BoundingBox3D",
        center=pose.pose,
        size=_vector(new, "geometry_msgs/msg/Vector3", estimate.dimensions_m),
    )
    return new(
        "vision_msgs/msg/Detection3D",
        header=header,
        results=[new("vision_msgs/msg/ObjectHypothesisWithPose", hypothesis=hypothesis, pose=pose)],
        bbox=box,
        id=str(track.id),
    )


def detections_message(new: MessageFactory, tracks: Iterable[Tracked], header: Header) -> Any:
    """Create a ``vision_msgs/Detection3DArray`` of the tracked objects of one image."""
    return new(
        "vision_msgs/msg/Detection3DArray",
        header=header,
        detections=[detection_message(new, track, header) for track in tracks],
    )


def ground_truth_message(new: MessageFactory, truth: GroundTruth, header: Header) -> Any:
    """Create the message of a true pose, with the mask id, zero covariance and no mesh.

    The position of an object whose pose is unknown is NaN.
    """
    return new(
        "sdfpose/msg/SdfObject",
        header=header,
        id=truth.mask_id,
        category=truth.category,
        state=_UNKNOWN,
        last_seen=header.stamp,
        pose=_pose_with_covariance(new, truth.rotation, truth.translation, np.zeros((6, 6))),
        symmetric_about_y=bool(truth.symmetric_about_y),
        symmetries=[],
        scale=float(truth.scale),
        dimensions=_vector(new, "geometry_msgs/msg/Vector3", truth.dimensions_m),
        confidence=1.0,
        probability=1.0,
        alternatives=[],
        latent_code=np.zeros(0, dtype=np.float32),
        mesh_revision=0,
        **_NO_MESH,
    )


def truth_from_message(message: Any) -> GroundTruth:
    """Read a true pose from a ``sdfpose/SdfObject`` message.

    If the pose is invalid (not finite, or a quaternion of length 0), the object has no pose.
    """
    try:
        rotation, translation = pose_arrays(message.pose.pose)
    except ValueError:  # a quaternion of length 0
        return GroundTruth.without_pose(int(message.id), message.category)
    truth = GroundTruth(
        mask_id=int(message.id),
        category=message.category,
        instance=f"{message.category}_{message.id}",
        rotation=rotation,
        translation=translation,
        dimensions_m=_array(message.dimensions),
        symmetric_about_y=bool(message.symmetric_about_y),
    )
    return truth if truth.has_pose else GroundTruth.without_pose(truth.mask_id, truth.category)


def estimate_from_message(message: Any) -> ObjectEstimate | None:
    """Read an estimate from a ``sdfpose/SdfObject`` message.

    A message without a mesh gives one without vertices. What messages do not tell has default
    values: the mask id is the object's id, and the decoder's frame is that of the object.

    Returns:
        The estimate; None if its pose is invalid (not finite, or a quaternion of length 0).
    """
    try:
        rotation, translation = pose_arrays(message.pose.pose)
        symmetries = [_rotation(x) for x in message.symmetries]
        alternatives = tuple(_alternative_from_message(x) for x in message.alternatives)
    except ValueError:  # a quaternion of length 0
        return None
    dimensions = _array(message.dimensions)
    if not all(np.all(np.isfinite(x)) for x in (rotation, translation, dimensions)):
        return None
    return ObjectEstimate(
        mask_id=int(message.id),
        category=message.category,
        rotation=rotation,
        translation=translation,
        scale=float(message.scale),
        dimensions_m=dimensions,
        confidence=float(message.confidence),
        covariance=np.array(message.pose.covariance, dtype=np.float64).reshape(6, 6),
        symmetric_about_y=bool(message.symmetric_about_y),
        code=np.array(message.latent_code, dtype=np.float32),
        decoder_translation=translation,
        decoder_scale=float(message.scale),
        vertices=np.array(message.mesh_vertices, dtype=np.float32).reshape(-1, 3),
        faces=np.array(message.mesh_triangles, dtype=np.int32).reshape(-1, 3),
        normals=np.array(message.mesh_normals, dtype=np.float32).reshape(-1, 3),
        probability=float(message.probability),
        alternatives=alternatives,
        symmetries=np.array(symmetries, dtype=np.float64).reshape(-1, 3, 3),
    )


def _alternative_from_message(message: Any) -> Alternative:
    rotation, translation = pose_arrays(message.pose)
    return Alternative(
        category=message.category,
        rotation=rotation,
        translation=translation,
        scale=float(message.scale),
        dimensions_m=_array(message.dimensions),
        probability=float(message.probability),
    )


def _pose_with_covariance(
    new: MessageFactory,
    rotation: NDArray[np.floating],
    translation: NDArray[np.floating],
    covariance: NDArray[np.floating],
) -> Any:
    return new(
        "geometry_msgs/msg/PoseWithCovariance",
        pose=pose_message(new, rotation, translation),
        covariance=_flat(covariance, np.float64),
    )


def _alternative(new: MessageFactory, x: Alternative) -> Any:
    return new(
        "sdfpose/msg/PoseAlternative",
        category=x.category,
        pose=pose_message(new, x.rotation, x.translation),
        scale=float(x.scale),
        dimensions=_vector(new, "geometry_msgs/msg/Vector3", x.dimensions_m),
        probability=float(x.probability),
    )


def _vector(new: MessageFactory, kind: str, values: NDArray[np.floating]) -> Any:
    x, y, z = (float(v) for v in values)
    return new(kind, x=x, y=y, z=z)


def _quaternion(new: MessageFactory, rotation: NDArray[np.floating]) -> Any:
    x, y, z, w = (float(v) for v in Rotation.from_matrix(rotation).as_quat(canonical=True))
    return new("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)


def _rotation(q: Any) -> NDArray[np.float64]:
    return np.asarray(Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix(), dtype=np.float64)


def _array(vector: Any) -> NDArray[np.float64]:
    return np.array([vector.x, vector.y, vector.z], dtype=np.float64)


def _flat(values: NDArray[np.generic], dtype: type) -> NDArray[Any]:
    return np.ascontiguousarray(values, dtype=dtype).reshape(-1)
