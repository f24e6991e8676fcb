"""Executables of the nodes for ``ros2 run`` and launch files."""

from __future__ import annotations

from sdfpose_ros.graph.startup import run_executable

__all__ = [
    "camera_driver_node",
    "camera_node",
    "evaluator_node",
    "mask_node",
    "planning_scene_node",
    "player_node",
    "pose_node",
    "recorder_node",
    "viewer_node",
]


def camera_driver_node() -> int:
    """Run the camera driver."""
    return run_executable("sdfpose_ros.cameras.camera_driver_node")


def camera_node() -> int:
    """Run the camera node."""
    return run_executable("sdfpose_ros.playback.camera_node")


def evaluator_node() -> int:
    """Run the evaluator node."""
    return run_executable("sdfpose_ros.evaluation.evaluator_node")


def mask_node() -> int:
    """Run the mask node."""
    return run_executable("sdfpose_ros.masks.mask_node")


def planning_scene_node() -> int:
    """Run the planning scene node."""
    return run_executable("sdfpose_ros.planning_scene.planning_scene_node")


def player_node() -> int:
    """Run the player node."""
    return run_executable("sdfpose_ros.playback.player_node")


def pose_node() -> int:
    """Run the pose node."""
    return run_executable("sdfpose_ros.pose.pose_node")


def recorder_node() -> int:
    """Run the recorder node."""
    return run_executable("sdfpose_ros.recording.recorder_node")


def viewer_node() -> int:
    """Run the viewer node."""
    return run_executable("sdfpose_ros.viewer.viewer_node")
