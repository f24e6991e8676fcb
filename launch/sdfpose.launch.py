"""Pose node for one camera: ``ros2 launch sdfpose sdfpose.launch.py --show-args``."""

from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription
from sdfpose_ros.graph.launch_actions import argument, declared, middleware, node, shared_file
from sdfpose_ros.pose.mask_names import MASKS

ARGUMENTS = {
    "name": ("sdfpose", "Name of the node."),
    "namespace": ("", "Namespace of the node; use one per camera."),
    "camera": ("/camera", "Namespace of the camera topics."),
    "colour_topic": ([LaunchConfiguration("camera"), "/colour"], "Rectified colour image."),
    "depth_topic": (
        [LaunchConfiguration("camera"), "/depth"],
        "Depth image, registered to colour.",
    ),
    "masks": (
        "topic",
        "Source of the masks: topic, or made by the node and published on mask_topic and "
        "labels_topic: tabletop (objects on a table), network (any objects) or torchvision (Mask "
        "R-CNN).",
    ),
    "mask_topic": (
        [LaunchConfiguration("camera"), "/mask"],
        "Mask image of instance ids; 0 is background.",
    ),
    "camera_info_topic": ([LaunchConfiguration("camera"), "/camera_info"], "Camera intrinsics."),
    "labels_topic": ([LaunchConfiguration("camera"), "/labels"], "Category of each mask id."),
    "imu_topic": ([LaunchConfiguration("camera"), "/imu"], "Accelerometer, for use_imu."),
    "params_file": (
        shared_file("config", "sdfpose.yaml"),
        "Parameter file (YAML) of the node.",
    ),
    "autostart": (
        "true",
        "Configure and activate the node at start; false leaves it to a lifecycle manager.",
    ),
    "wait_for_verification": (
        "false",
        "Wait for the verification of poses, so that results do not depend on the machine's "
        "speed; use it with bags in lockstep.",
    ),
    "device": ("auto", "Device of the networks: auto, cpu, cuda or cuda:N."),
    "planning_scene": (
        "false",
        "Start the planning scene node: the objects are collision objects of MoveIt.",
    ),
    "planning_frame": (
        "",
        "Frame of the collision objects, such as base_link; empty for that of the camera.",
    ),
    "use_sim_time": ("false", "Take the time from /clock (bags, simulators)."),
    "log_level": ("info", "Log level: debug, info, warn or error."),
    "one_machine": (
        "true",
        "Exchange images through shared memory on this machine only.",
    ),
}

CHOICES = {"masks": MASKS}


def generate_launch_description() -> LaunchDescription:
    """Arguments, middleware settings, pose node, planning scene node."""
    inputs = ("colour", "depth", "mask", "camera_info", "labels", "imu")
    pose_node = node(
        "pose_node",
        name=LaunchConfiguration("name"),
        parameters=[
            LaunchConfiguration("params_file"),
            {
                "autostart": argument("autostart", bool),
                "wait_for_verification": argument("wait_for_verification", bool),
                "masks": argument("masks"),
                "device": argument("device"),
                "use_sim_time": argument("use_sim_time", bool),
            },
        ],
        topics={name: LaunchConfiguration(f"{name}_topic") for name in inputs},
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
    )
    planning_scene_node = node(
        "planning_scene_node",
        name=[LaunchConfiguration("name"), "_planning_scene"],
        parameters=[
            LaunchConfiguration("params_file"),
            {
                "planning_frame": argument("planning_frame"),
                "use_sim_time": argument("use_sim_time", bool),
            },
        ],
        topics={x: [LaunchConfiguration("name"), f"/{x}"] for x in ("objects", "meshes")},
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
        condition=IfCondition(LaunchConfiguration("planning_scene")),
    )
    return LaunchDescription(
        [*declared(ARGUMENTS, CHOICES), *middleware(), pose_node, planning_scene_node]
    )
