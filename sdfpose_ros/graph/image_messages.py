"""Conversion of frames to rclpy messages; see `sdfpose_core.messages.encoding`."""

from __future__ import annotations

from functools import partial

from sdfpose_core.messages import encoding
from sdfpose_ros.graph.message_factory import ros_message

__all__ = ["camera_info_message", "frame_messages", "image_message", "labels_message"]

camera_info_message = partial(encoding.camera_info_message, ros_message)
frame_messages = partial(encoding.frame_messages, ros_message)
image_message = partial(encoding.image_message, ros_message)
labels_message = partial(encoding.labels_message, ros_message)
