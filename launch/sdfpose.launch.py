"""Pose node for one camera: ``ros2 launch sdfpose sdfpose.launch.py --show-args``."""

from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription
from sdfpose_ros.graph.middleware import one_machine_environment

PACKAGE = "sdfpose"

ARGUMENTS = {
    "name": ("sdfpose", "Name of the node."),
    "namespace": ("", "Namespace of the node; use one per camera."),
    "camera": ("/camera", "Namespace of the camera topics."),
    "colour_topic": ([LaunchConfiguration("camera"), "/colour"], "Rectified colour image."),
    "depth_topic": (
        [LaunchConfiguration("camera"), "/depth"],
        "Depth image, registered to colour.",
    ),
    "mask_topic": (
        [LaunchConfiguration("camera"), "/mask"],
        "Mask image of instance ids; 0 is background.",
    ),
    "camera_info_topic": ([LaunchConfiguration("camera"), "/camera_info"], "Camera intrinsics."),
    "labels_topic": ([LaunchConfiguration("camera"), "/labels"], "Category of each mask id."),
    "params_file": (
        PathJoinSubstitution([FindPackageShare(PACKAGE), "config", "sdfpose.yaml"]),
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
    "use_sim_time": ("false", "Take the time from /clock (bags, simulators)."),
    "log_level": ("info", "Log level: debug, info, warn or error."),
    "one_machine": (
        "true",
        "Exchange images through shared memory on this machine only.",
    ),
}


def generate_launch_description() -> LaunchDescription:
    """Arguments, middleware settings, node."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    middleware = [
        SetEnvironmentVariable(
            name, value, condition=IfCondition(LaunchConfiguration("one_machine"))
        )
        for name, value in one_machine_environment().items()
    ]
    inputs = ("colour", "depth", "mask", "camera_info", "labels")
    node = Node(
        package=PACKAGE,
        executable="pose_node",
        name=LaunchConfiguration("name"),
        namespace=LaunchConfiguration("namespace"),
        parameters=[
            LaunchConfiguration("params_file"),
            {
                "autostart": ParameterValue(LaunchConfiguration("autostart"), value_type=bool),
                "wait_for_verification": ParameterValue(
                    LaunchConfiguration("wait_for_verification"), value_type=bool
                ),
                "device": ParameterValue(LaunchConfiguration("device"), value_type=str),
                "use_sim_time": ParameterValue(
                    LaunchConfiguration("use_sim_time"), value_type=bool
                ),
            },
        ],
        remappings=[(f"~/{name}", LaunchConfiguration(f"{name}_topic")) for name in inputs],
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
        output="screen",
    )
    return LaunchDescription([*arguments, *middleware, node])
