"""Conversion of objects to rclpy messages; see `sdfpose_core.messages.objects`."""

from __future__ import annotations

from functools import partial

from sdfpose_core.messages import objects
from sdfpose_ros.graph.message_factory import ros_message

__all__ = [
    "detection_message",
    "detections_message",
    "grasp_message",
    "ground_truth_message",
    "object_message",
    "pose_message",
    "transform_message",
]

detection_message = partial(objects.detection_message, ros_message)
detections_message = partial(objects.detections_message, ros_message)
grasp_message = partial(objects.grasp_message, ros_message)
ground_truth_message = partial(objects.ground_truth_message, ros_message)
object_message = partial(objects.object_message, ros_message)
pose_message = partial(objects.pose_message, ros_message)
transform_message = partial(objects.transform_message, ros_message)
