"""Messages of other packages as a bag holds them: serialised, and read with their definitions.

The packages are not on PyPI. Their fields are those of the official definitions:

- vision_msgs 4.1 (github.com/ros-perception/vision_msgs, branch ros2)
- yolo_msgs 4.6 (github.com/mgonzs13/yolo_ros, branch main)
- moveit_msgs 2.6 (github.com/moveit/moveit_msgs, branch ros2), with what it needs of
  object_recognition_msgs and octomap_msgs
- isaac_ros_tensor_list_interfaces 4.3 (Isaac ROS; as mirrored in github.com/nvcyc/rcl_buffer)
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

__all__ = ["made", "module_of", "recorded", "reread"]

DEFINITIONS = {
    "object_recognition_msgs": {"ObjectType": "string key\nstring db"},
    "octomap_msgs": {
        "Octomap": (
            "std_msgs/Header header\nbool binary\nstring id\nfloat64 resolution\nint8[] data"
        ),
        "OctomapWithPose": (
            "std_msgs/Header header\ngeometry_msgs/Pose origin\noctomap_msgs/Octomap octomap"
        ),
    },
    "moveit_msgs": {
        "CollisionObject": (
            "std_msgs/Header header\ngeometry_msgs/Pose pose\nstring id\n"
            "object_recognition_msgs/ObjectType type\n"
            "shape_msgs/SolidPrimitive[] primitives\ngeometry_msgs/Pose[] primitive_poses\n"
            "shape_msgs/Mesh[] meshes\ngeometry_msgs/Pose[] mesh_poses\n"
            "shape_msgs/Plane[] planes\ngeometry_msgs/Pose[] plane_poses\n"
            "string[] subframe_names\ngeometry_msgs/Pose[] subframe_poses\n"
            "byte ADD=0\nbyte REMOVE=1\nbyte APPEND=2\nbyte MOVE=3\nbyte operation"
        ),
        "AttachedCollisionObject": (
            "string link_name\nmoveit_msgs/CollisionObject object\nstring[] touch_links\n"
            "trajectory_msgs/JointTrajectory detach_posture\nfloat64 weight"
        ),
        "RobotState": (
            "sensor_msgs/JointState joint_state\n"
            "sensor_msgs/MultiDOFJointState multi_dof_joint_state\n"
            "moveit_msgs/AttachedCollisionObject[] attached_collision_objects\nbool is_diff"
        ),
        "AllowedCollisionEntry": "bool[] enabled",
        "AllowedCollisionMatrix": (
            "string[] entry_names\nmoveit_msgs/AllowedCollisionEntry[] entry_values\n"
            "string[] default_entry_names\nbool[] default_entry_values"
        ),
        "LinkPadding": "string link_name\nfloat64 padding",
        "LinkScale": "string link_name\nfloat64 scale",
        "ObjectColor": "string id\nstd_msgs/ColorRGBA color",
        "PlanningSceneWorld": (
            "moveit_msgs/CollisionObject[] collision_objects\noctomap_msgs/OctomapWithPose octomap"
        ),
        "PlanningScene": (
            "string name\nmoveit_msgs/RobotState robot_state\nstring robot_model_name\n"
            "geometry_msgs/TransformStamped[] fixed_frame_transforms\n"
            "moveit_msgs/AllowedCollisionMatrix allowed_collision_matrix\n"
            "moveit_msgs/LinkPadding[] link_padding\nmoveit_msgs/LinkScale[] link_scale\n"
            "moveit_msgs/ObjectColor[] object_colors\nmoveit_msgs/PlanningSceneWorld world\n"
            "bool is_diff"
        ),
    },
    "vision_msgs": {
        "Point2D": "float64 x\nfloat64 y",
        "Pose2D": "vision_msgs/Point2D position\nfloat64 theta",
        "BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y",
        "ObjectHypothesis": "string class_id\nfloat64 score",
        "ObjectHypothesisWithPose": (
            "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose"
        ),
        "Detection2D": (
            "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
            "vision_msgs/BoundingBox2D bbox\nstring id"
        ),
        "Detection2DArray": "std_msgs/Header header\nvision_msgs/Detection2D[] detections",
        "VisionClass": "uint16 class_id\nstring class_name",
        "LabelInfo": (
            "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold"
        ),
    },
    "yolo_msgs": {
        "Point2D": "float64 x\nfloat64 y",
        "Pose2D": "yolo_msgs/Point2D position\nfloat64 theta",
        "Vector2": "float64 x\nfloat64 y",
        "BoundingBox2D": "yolo_msgs/Pose2D center\nyolo_msgs/Vector2 size",
        "BoundingBox3D": ("geometry_msgs/Pose center\ngeometry_msgs/Vector3 size\nstring frame_id"),
        "Mask": "int32 height\nint32 width\nyolo_msgs/Point2D[] data",
        "KeyPoint2D": "int32 id\nyolo_msgs/Point2D point\nfloat64 score",
        "KeyPoint2DArray": "yolo_msgs/KeyPoint2D[] data",
        "KeyPoint3D": "int32 id\ngeometry_msgs/Point point\nfloat64 score",
        "KeyPoint3DArray": "yolo_msgs/KeyPoint3D[] data\nstring frame_id",
        "Detection": (
            "int32 class_id\nstring class_name\nfloat64 score\nstring id\n"
            "yolo_msgs/BoundingBox2D bbox\nyolo_msgs/BoundingBox3D bbox3d\nyolo_msgs/Mask mask\n"
            "yolo_msgs/KeyPoint2DArray keypoints\nyolo_msgs/KeyPoint3DArray keypoints3d"
        ),
        "DetectionArray": "std_msgs/Header header\nyolo_msgs/Detection[] detections",
    },
    "isaac_ros_tensor_list_interfaces": {
        "TensorShape": "uint8 rank\nuint32[] dims",
        "Tensor": (
            "string name\nisaac_ros_tensor_list_interfaces/TensorShape shape\nint32 data_type\n"
            "uint64[] strides\nuint8[] data"
        ),
        "TensorList": ("std_msgs/Header header\nisaac_ros_tensor_list_interfaces/Tensor[] tensors"),
    },
}

STORE = get_typestore(Stores.ROS2_HUMBLE)
for _package, _messages in DEFINITIONS.items():
    for _name, _text in _messages.items():
        STORE.register(get_types_from_msg(_text, f"{_package}/msg/{_name}"))


def recorded(kind: str, **fields: Any) -> Any:
    """A message as it is read from a bag; nested messages are mappings, missing fields are empty.

    Args:
        kind: package and name, e.g. ``yolo_msgs/DetectionArray``.
        fields: values of its fields.
    """
    name = kind.replace("/", "/msg/")
    return STORE.deserialize_cdr(STORE.serialize_cdr(_message(name, fields), name), name)


def made(kind: str, /, **fields: Any) -> Any:
    """A message as a factory makes it, of a type such as ``moveit_msgs/msg/RobotState``."""
    message = _message(kind, {})
    for name, value in fields.items():
        assert hasattr(message, name), f"{kind} has no field {name}"
        setattr(message, name, value)
    return message


def reread(message: Any) -> Any:
    """A message as a subscriber has it; fails if a field has the wrong type."""
    name = message.__msgtype__
    return STORE.deserialize_cdr(STORE.serialize_cdr(message, name), name)


def module_of(package: str) -> ModuleType:
    """Stand-in for the Python module of a package's messages."""
    module = ModuleType(f"{package}.msg")
    for name in DEFINITIONS[package]:
        setattr(module, name, STORE.types[f"{package}/msg/{name}"])
    return module


def _message(kind: str, fields: Mapping[str, Any]) -> Any:
    known = dict(STORE.fielddefs[kind][1])
    assert fields.keys() <= known.keys(), f"{kind} has the fields {', '.join(known)}"
    return STORE.types[kind](**{x: _value(known[x], fields.get(x)) for x in known})


def _value(kind: Any, value: Any) -> Any:
    node, detail = kind
    if node == Nodetype.NAME:
        return _message(detail, value or {})
    if node == Nodetype.BASE:
        return ("" if detail[0] == "string" else 0) if value is None else value
    element, length = detail
    items = ([0] * length if node == Nodetype.ARRAY else []) if value is None else value
    if element[0] == Nodetype.NAME:
        return [_value(element, x) for x in items]
    base = element[1][0]
    return list(items) if base == "string" else np.asarray(items, dtype=base)
