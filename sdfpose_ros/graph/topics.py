"""Names of the topics between the nodes, as remappings of their private names."""

from __future__ import annotations

__all__ = ["INPUTS", "RESULTS", "input_remaps", "result_remaps"]

INPUTS = ("colour", "depth", "mask", "camera_info", "labels", "ground_truth")
"""What the camera node publishes; the pose node subscribes to all but ground truth."""

RESULTS = ("objects", "meshes", "markers", "overlay")
"""What the pose node publishes beside /tf."""


def input_remaps(camera: str) -> list[str]:
    """ROS arguments by which a node takes its inputs from a camera node, e.g. ``/camera``."""
    return _remaps(INPUTS, camera)


def result_remaps(pose_node: str) -> list[str]:
    """ROS arguments by which a node takes its results from a pose node, e.g. ``/sdfpose``."""
    return _remaps(RESULTS, pose_node)


def _remaps(names: tuple[str, ...], source: str) -> list[str]:
    prefix = source.rstrip("/")
    return [part for name in names for part in ("-r", f"~/{name}:={prefix}/{name}")]
