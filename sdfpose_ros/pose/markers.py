"""Markers of an object: surface, box, axes and label, each in its own namespace."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import Point, Pose, Vector3
from numpy.typing import NDArray
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker

from sdfpose_core.grasping.gripper import Gripper
from sdfpose_core.messages.objects import GraspPose
from sdfpose_core.observation.frame import ObjectEstimate
from sdfpose_ros.graph.object_messages import pose_message

__all__ = [
    "NAMESPACES",
    "axes_marker",
    "box_marker",
    "delete_all_marker",
    "delete_markers",
    "grasp_marker",
    "label_marker",
    "mesh_marker",
]

NAMESPACES = ("mesh", "box", "axes", "label")
"""Namespaces of the markers. The id of a marker is the id of its object."""

_BOX_LINE_M = 0.002
_AXIS_LINE_M = 0.003
_TEXT_HEIGHT_M = 0.025
_AXIS_COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))

Rgb = tuple[int, int, int]


def mesh_marker(
    estimate: ObjectEstimate,
    colours: NDArray[np.uint8],
    object_id: int,
    header: Header,
    object_frame: str,
) -> Marker:
    """Create a TRIANGLE_LIST of the reconstructed surface with a colour per vertex.

    The marker is in the object's own frame and locked to it. It follows /tf and is sent again only
    when the shape changes.

    Args:
        estimate: estimate with a mesh.
        colours: (V, 3) RGB of the vertices.
        object_id: id of the marker.
        header: provides the stamp.
        object_frame: frame id of the object.
    """
    marker = _marker(
        "mesh", Marker.TRIANGLE_LIST, object_id, Header(stamp=header.stamp, frame_id=object_frame)
    )
    marker.frame_locked = True
    marker.scale = Vector3(x=1.0, y=1.0, z=1.0)
    marker.color = _colour((255, 255, 255))
    # Creating message objects dominates the run time, so the triangles share one object per vertex.
    points, shades = _points(estimate.vertices), [_colour(c) for c in colours.tolist()]
    corners = estimate.faces.reshape(-1).tolist()
    marker.points = [points[i] for i in corners]
    marker.colors = [shades[i] for i in corners]
    return marker


def box_marker(
    estimate: ObjectEstimate, colour: Rgb, object_id: int, header: Header, alpha: float = 1.0
) -> Marker:
    """Create a LINE_LIST of the bounding box in the colour of the category."""
    marker = _marker("box", Marker.LINE_LIST, object_id, header)
    marker.pose = pose_message(estimate.rotation, estimate.translation)
    marker.scale.x = _BOX_LINE_M
    marker.color = _colour(colour, alpha)
    corners = np.array(list(itertools.product((-0.5, 0.5), repeat=3))) * estimate.dimensions_m
    edges = [
        index
        for a, b in itertools.combinations(range(8), 2)
        if (a ^ b).bit_count() == 1  # corners that differ along exactly one axis
        for index in (a, b)
    ]
    marker.points = _points(corners[edges])
    return marker


def axes_marker(
    estimate: ObjectEstimate, object_id: int, header: Header, alpha: float = 1.0
) -> Marker:
    """Create a LINE_LIST of the axes: x red, y green, z blue, half a diagonal long."""
    marker = _marker("axes", Marker.LINE_LIST, object_id, header)
    marker.pose = pose_message(estimate.rotation, estimate.translation)
    marker.scale.x = _AXIS_LINE_M
    marker.color = _colour((255, 255, 255), alpha)
    ends = np.zeros((6, 3))
    ends[1::2] = 0.5 * estimate.scale * np.eye(3)
    marker.points = _points(ends)
    marker.colors = [_colour(c, alpha) for c in _AXIS_COLOURS for _ in range(2)]
    return marker


def label_marker(
    estimate: ObjectEstimate, object_id: int, header: Header, alpha: float = 1.0
) -> Marker:
    """Create a text above the object (camera y points down): category, id and confidence."""
    marker = _marker("label", Marker.TEXT_VIEW_FACING, object_id, header)
    x, y, z = (float(v) for v in estimate.translation)
    half_height = 0.5 * float(np.abs(estimate.rotation[1]) @ estimate.dimensions_m)
    marker.pose = Pose(position=Point(x=x, y=y - half_height - _TEXT_HEIGHT_M, z=z))
    marker.scale.z = _TEXT_HEIGHT_M
    marker.color = _colour((255, 255, 255), alpha)
    marker.text = f"{estimate.category} {object_id} ({estimate.confidence:.2f})"
    return marker


def grasp_marker(grasp: GraspPose, gripper: Gripper, number: int, header: Header) -> Marker:
    """Create a LINE_LIST of an open gripper: fingers, palm and wrist; green is the best quality."""
    marker = _marker("grasp", Marker.LINE_LIST, number, header)
    marker.pose = pose_message(grasp.rotation, grasp.translation)
    marker.scale.x = _BOX_LINE_M
    share = min(max(grasp.quality, 0.0), 1.0)
    marker.color = _colour((round(255 * (1.0 - share)), round(255 * share), 40))
    half, tip, back = 0.5 * grasp.opening_m, gripper.overlap_m, -gripper.finger_length_m
    corners = np.array(
        [
            *((-half, 0.0, tip), (-half, 0.0, back), (half, 0.0, tip), (half, 0.0, back)),
            *((-half, 0.0, back), (half, 0.0, back), (0.0, 0.0, back), (0.0, 0.0, 2.0 * back)),
        ]
    )
    marker.points = _points(corners)
    return marker


def delete_markers(object_id: int, header: Header) -> list[Marker]:
    """Create the markers that delete all markers of an object."""
    markers = [_marker(namespace, Marker.CUBE, object_id, header) for namespace in NAMESPACES]
    for marker in markers:
        marker.action = Marker.DELETE
    return markers


def delete_all_marker(header: Header) -> Marker:
    """Create a marker that deletes all markers of the topic."""
    return Marker(header=header, action=Marker.DELETEALL)


def _marker(namespace: str, kind: int, object_id: int, header: Header) -> Marker:
    # Marker ids are signed; ids of the tracker are unsigned.
    signed = object_id - (1 << 32) if object_id >= 1 << 31 else object_id
    return Marker(header=header, ns=namespace, id=signed, type=kind, action=Marker.ADD)


def _points(points: NDArray[np.floating]) -> list[Point]:
    return [Point(x=x, y=y, z=z) for x, y, z in np.asarray(points, dtype=np.float64).tolist()]


def _colour(rgb: Sequence[int], alpha: float = 1.0) -> ColorRGBA:
    return ColorRGBA(r=rgb[0] / 255.0, g=rgb[1] / 255.0, b=rgb[2] / 255.0, a=alpha)
