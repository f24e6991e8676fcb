"""Topic names between the nodes, as remappings of their private names."""

from __future__ import annotations

__all__ = ["INPUTS", "RESULTS", "input_remaps", "result_remaps"]

INPUTS = ("colour", "depth", "mask", "camera_info", "labels", "ground_truth")
"""Outputs of the camera node. The pose node subscribes to all but ``ground_truth``."""

RESULTS = ("objects", "meshes", "markers", "overlay")
"""Outputs of the pose node besides /tf."""


def input_remaps(camera: str) -> list[str]:
    """Return ROS arguments that connect a node to the outputs of a camera, e.g. ``/camera``."""
    return _remaps(INPUTS, camera)


def result_remaps(pose_node: str) -> list[str]:
    """Return ROS arguments that connect a node to a pose node's outputs, e.g. ``/sdfpose``."""
    return _remaps(RESULTS, pose_node)


def _remaps(names: tuple[str, ...], source: str) -> list[str]:
    prefix = source.rstrip("/")
    return [part for name in names for part in ("-r", f"~/{name}:={prefix}/{name}")]
