"""Simulated camera, pose node and evaluator: ``ros2 launch sdfpose demo.launch.py --show-args``."""

from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription
from sdfpose_ros.graph.launch_actions import (
    argument,
    declared,
    middleware,
    node,
    required_package,
    rviz,
)
from sdfpose_ros.graph.topics import INPUTS, RESULTS

CAMERA, POSE_NODE = "camera", "sdfpose"
"""Relative names, which resolve in the namespace that the nodes share."""

ARGUMENTS = {
    "rate": ("5.0", "Rate of the simulated camera, Hz."),
    "seed": ("0", "Random seed of the simulated scene."),
    "seconds": ("0.0", "Stop this long after the first result, seconds; 0 runs until interrupted."),
    "output_dir": ("", "Folder for overlay, objects, meshes and recording; empty writes nothing."),
    "namespace": ("", "Namespace of the nodes."),
    "device": ("auto", "Device of the networks: auto, cpu, cuda or cuda:N."),
    "rviz": ("false", "Start RViz with images, frames and markers."),
    "one_machine": (
        "true",
        "Exchange images through shared memory on this machine only.",
    ),
}


def generate_launch_description() -> LaunchDescription:
    """Arguments, pose node, camera, evaluator, RViz."""
    inputs = {name: f"{CAMERA}/{name}" for name in INPUTS}
    pose_node = node(
        "pose_node",
        name=POSE_NODE,
        parameters=[{"device": argument("device")}],
        topics=inputs,
        ends_all="the pose node has ended",
    )
    camera = node(
        "camera_node",
        name=CAMERA,
        parameters=[{"rate_hz": argument("rate", float), "seed": argument("seed", int)}],
        topics={},
        ends_all="the camera has ended",
    )
    evaluator = node(
        "evaluator_node",
        name="evaluator",
        parameters=[
            {"duration_s": argument("seconds", float), "output_dir": argument("output_dir")}
        ],
        topics={**inputs, **{name: f"{POSE_NODE}/{name}" for name in RESULTS}},
        ends_all="the evaluator has finished",
    )
    shown = rviz(
        POSE_NODE, topics={f"/camera/{name}": inputs[name] for name in ("colour", "depth")}
    )
    return LaunchDescription(
        [
            *declared(ARGUMENTS),
            required_package("rviz2", "rviz:=false", IfCondition(LaunchConfiguration("rviz"))),
            *middleware(),
            pose_node,
            camera,
            evaluator,
            shown,
        ]
    )
