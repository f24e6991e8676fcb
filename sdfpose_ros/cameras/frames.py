"""Static transforms of a camera, with the frames of realsense2_camera."""

from __future__ import annotations

from typing import Any

import numpy as np

from sdfpose_core.cameras.camera import CameraDescription
from sdfpose_core.messages.factory import header_message
from sdfpose_core.messages.objects import transform_message
from sdfpose_ros.graph.message_factory import ros_message

__all__ = ["colour_frame", "static_transforms"]

_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""From an optical frame (z forward, x right) to that of the body (x forward, z up), REP-103."""


def colour_frame(prefix: str) -> str:
    """Name of the optical frame of colour, and of the depth that is registered to it."""
    return f"{prefix}_color_optical_frame"


def static_transforms(prefix: str, camera: CameraDescription) -> list[Any]:
    """Create the transforms from ``PREFIX_link``, at the depth camera, to both optical frames.

    Args:
        prefix: of the names of the frames.
        camera: has the place of the colour in the depth camera.
    """
    rotation = _OPTICAL @ camera.colour_rotation @ _OPTICAL.T
    edges = (
        ("link", "depth_frame", np.eye(3), np.zeros(3)),
        ("depth_frame", "depth_optical_frame", _OPTICAL, np.zeros(3)),
        ("link", "color_frame", rotation, _OPTICAL @ camera.colour_translation),
        ("color_frame", "color_optical_frame", _OPTICAL, np.zeros(3)),
    )
    return [
        transform_message(
            ros_message,
            turn,
            shift,
            header_message(ros_message, 0, f"{prefix}_{parent}"),  # they hold at all times
            f"{prefix}_{child}",
        )
        for parent, child, turn, shift in edges
    ]
