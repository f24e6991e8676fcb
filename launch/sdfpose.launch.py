"""Pose node on the topics of a camera: ``ros2 launch sdfpose sdfpose.launch.py --show-args``."""

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
    "namespace": ("", "Namespace of the node; one for each camera."),
    "camera": ("/camera", "Name below which the topics of the camera lie."),
    "colour_topic": ([LaunchConfiguration("camera"), "/colour"], "Colour image, rectified."),
    "depth_topic": ([LaunchConfiguration("camera"), "/depth"], "Depth, registered to colour."),
    "mask_topic": ([LaunchConfiguration("camera"), "/mask"], "Instance ids, 0 = background."),
    "camera_info_topic": ([LaunchConfiguration("camera"), "/camera_info"], "Intrinsics."),
    "labels_topic": ([LaunchConfiguration("camera"), "/labels"], "Category of each mask id."),
    "params_file": (
        PathJoinSubstitution([FindPackageShare(PACKAGE), "config", "sdfpose.yaml"]),
        "Parameters of the node (YAML).",
    ),
    "autostart": (
        "true",
        "Whether the node configures and activates itself, or a lifecycle manager does.",
    ),
    "wait_for_verification": (
        "false",
        "Whether results must not depend on the machine's speed: for bags in lockstep.",
    ),
    "device": ("auto", "Where networks run: auto, cpu, cuda or cuda:N."),
    "use_sim_time": ("false", "Whether time comes from /clock (bags, simulators)."),
    "log_level": ("info", "debug, info, warn or error."),
    "one_machine": (
        "true",
        "Whether images go through large shared memory, and other machines do not take part.",
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
