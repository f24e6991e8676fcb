"""Messages of other packages as a bag holds them: serialised, and read with their definitions.

The packages are not on PyPI. Their fields are those of the official definitions:

- vision_msgs 4.1 (github.com/ros-perception/vision_msgs, branch ros2)
- yolo_msgs 4.6 (github.com/mgonzs13/yolo_ros, branch main)
- isaac_ros_tensor_list_interfaces 4.3 (Isaac ROS; as mirrored in github.com/nvcyc/rcl_buffer)
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

__all__ = ["module_of", "recorded"]

DEFINITIONS = {
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
    return np.asarray(items, dtype=element[1][0])
