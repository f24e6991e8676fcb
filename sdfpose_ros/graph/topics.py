"""Topic names between the nodes, as remappings of their private names."""

from __future__ import annotations

import re

from sdfpose_core.errors import ConfigurationError

__all__ = [
    "CAMERA_DRIVER",
    "DRIVER_TOPICS",
    "INPUTS",
    "RESULTS",
    "input_remaps",
    "result_remaps",
    "topic_of",
]

CAMERA_DRIVER = "/camera/camera"
"""Name of the camera driver, as of the node of realsense2_camera."""

DRIVER_TOPICS = {
    "colour": "color/image_raw",
    "camera_info": "color/camera_info",
    "depth": "aligned_depth_to_color/image_raw",
    "depth_info": "aligned_depth_to_color/camera_info",
}
"""Topics of the camera driver by role, as realsense2_camera names them."""

INPUTS = ("colour", "depth", "mask", "camera_info", "labels", "ground_truth")
"""Outputs of the camera node. The pose node subscribes to all but ``ground_truth``."""

_NAME = re.compile(r"~?/?|(?:~/|/)?[A-Za-z_]\w*(?:/[A-Za-z_]\w*)*/?", re.ASCII)
"""Names of nodes and namespaces."""

RESULTS = ("objects", "meshes", "markers", "overlay")
"""Outputs of the pose node besides /tf."""


def input_remaps(camera: str, name: str = "") -> list[str]:
    """Return ROS arguments that connect a node to the outputs of a camera, e.g. ``/camera``.

    Args:
        camera: namespace of the topics.
        name: of the camera for a node with several ones.

    Raises:
        ConfigurationError: the namespace is invalid.
    """
    return _remaps(INPUTS, camera, f"{name}/" if name else "")


def result_remaps(pose_node: str) -> list[str]:
    """Return ROS arguments that connect a node to a pose node's outputs, e.g. ``/sdfpose``.

    Raises:
        ConfigurationError: the name is invalid.
    """
    return _remaps(RESULTS, pose_node)


def topic_of(source: str, name: str) -> str:
    """Return the topic of a camera or pose node.

    Raises:
        ConfigurationError: the name of the source is invalid.
    """
    if not _NAME.fullmatch(source):
        raise ConfigurationError(
            f"'{source}': is no name of a node or namespace: expected letters, digits, '_' and "
            "'/', e.g. /camera"
        )
    return f"{source.rstrip('/')}/{name}"


def _remaps(names: tuple[str, ...], source: str, below: str = "") -> list[str]:
    return [part for name in names for part in ("-r", f"~/{below}{name}:={topic_of(source, name)}")]
