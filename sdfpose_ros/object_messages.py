"""Objects as messages, and back. Quaternions (x, y, z, w) exist only here."""

from __future__ import annotations

import array
from typing import TYPE_CHECKING, Any

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion, Transform, TransformStamped, Vector3
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from sdfpose.msg import SdfObject
from std_msgs.msg import Header

from sdfpose_core.frame import GroundTruth

if TYPE_CHECKING:
    from sdfpose_core.tracker import Track

__all__ = [
    "child_frame_id",
    "ground_truth_message",
    "object_message",
    "pose_arrays",
    "pose_message",
    "transform_arrays",
    "transform_message",
]


def child_frame_id(prefix: str, category: str, object_id: int) -> str:
    """Name of an object's frame, ``<prefix>/<category>_<id>``."""
    return f"{prefix}/{category}_{object_id}"


def pose_message(rotation: NDArray[np.floating], translation: NDArray[np.floating]) -> Pose:
    """Pose of a rotation (3, 3) and a translation (3,), metres."""
    x, y, z = (float(v) for v in translation)
    return Pose(position=Point(x=x, y=y, z=z), orientation=_quaternion(rotation))


def pose_arrays(pose: Pose) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotation (3, 3) and translation (3,), metres, of a pose."""
    return _rotation(pose.orientation), np.array(
        [pose.position.x, pose.position.y, pose.position.z]
    )


def transform_message(
    rotation: NDArray[np.floating],
    translation: NDArray[np.floating],
    header: Header,
    child_frame: str,
) -> TransformStamped:
    """Transform from `child_frame` to the header's frame: rotation (3, 3), translation (3,)."""
    x, y, z = (float(v) for v in translation)
    return TransformStamped(
        header=header,
        child_frame_id=child_frame,
        transform=Transform(translation=Vector3(x=x, y=y, z=z), rotation=_quaternion(rotation)),
    )


def transform_arrays(transform: Transform) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotation (3, 3) and translation (3,), metres, of a transform."""
    t = transform.translation
    return _rotation(transform.rotation), np.array([t.x, t.y, t.z])


def object_message(
    track: Track,
    header: Header,
    *,
    with_mesh: bool,
    colours: NDArray[np.uint8] | None = None,
) -> SdfObject:
    """Message of a tracked object.

    Args:
        track: its estimate's pose is in the header's frame.
        header: of the image.
        with_mesh: whether the message carries the mesh, or its revision alone.
        colours: (V, 3) RGB of the mesh's vertices, None for none.
    """
    estimate = track.estimate
    x, y, z = (float(v) for v in estimate.dimensions_m)
    message = SdfObject(
        header=header,
        id=track.id,
        category=estimate.category,
        state=getattr(SdfObject, track.state.name),
        symmetric_about_y=bool(estimate.symmetric_about_y),
        scale=float(estimate.scale),
        dimensions=Vector3(x=x, y=y, z=z),
        confidence=float(estimate.confidence),
        latent_code=_flat("f", estimate.code, np.float32),
        mesh_revision=track.mesh_revision,
    )
    message.pose.pose = pose_message(estimate.rotation, estimate.translation)
    message.pose.covariance = np.asarray(estimate.covariance, dtype=np.float64).reshape(-1)
    if with_mesh:
        message.mesh_vertices = _flat("f", estimate.vertices, np.float32)
        message.mesh_triangles = _flat("I", estimate.faces, np.uint32)
        message.mesh_normals = _flat("f", estimate.normals, np.float32)
        if colours is not None:
            message.mesh_colours = _flat("B", colours, np.uint8)
    return message


def ground_truth_message(truth: GroundTruth, header: Header) -> SdfObject:
    """Message of a true pose: its id is the mask's, it is certain, and it has no mesh."""
    x, y, z = (float(v) for v in truth.dimensions_m)
    message = SdfObject(
        header=header,
        id=truth.mask_id,
        category=truth.category,
        symmetric_about_y=bool(truth.symmetric_about_y),
        scale=truth.scale,
        dimensions=Vector3(x=x, y=y, z=z),
        confidence=1.0,
    )
    message.pose.pose = pose_message(truth.rotation, truth.translation)
    return message


def _quaternion(rotation: NDArray[np.floating]) -> Quaternion:
    x, y, z, w = (float(v) for v in Rotation.from_matrix(rotation).as_quat(canonical=True))
    return Quaternion(x=x, y=y, z=z, w=w)


def _rotation(q: Quaternion) -> NDArray[np.float64]:
    return np.asarray(Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix(), dtype=np.float64)


def _flat(typecode: str, values: NDArray[np.generic], dtype: type) -> array.array[Any]:
    """Flat array of a message; anything but array.array is checked item by item."""
    flat: array.array[Any] = array.array(typecode)
    flat.frombytes(np.ascontiguousarray(values, dtype=dtype).tobytes())
    return flat
