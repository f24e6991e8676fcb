"""Simulated camera, pose node and evaluator: ``ros2 launch sdfpose demo.launch.py --show-args``."""

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, Shutdown
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription
from sdfpose_ros.graph.topics import INPUTS, RESULTS

PACKAGE = "sdfpose"
CAMERA, POSE_NODE = "/camera", "/sdfpose"

ARGUMENTS = {
    "rate": ("5.0", "Rate of the simulated camera, Hz."),
    "seed": ("0", "Random seed of the simulated scene."),
    "seconds": ("0.0", "Stop this long after the first result, seconds; 0 runs until interrupted."),
    "output_dir": ("", "Folder for overlay, objects, meshes and recording; empty writes nothing."),
    "device": ("auto", "Device of the networks: auto, cpu, cuda or cuda:N."),
    "rviz": ("false", "Start RViz with images, frames and markers."),
    "one_machine": (
        "true",
        "Exchange images through shared memory on this machine only.",
    ),
}


def generate_launch_description() -> LaunchDescription:
    """Arguments, pose node, camera, evaluator, RViz."""
    share = FindPackageShare(PACKAGE)
    pose_node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(PathJoinSubstitution([share, "launch", "sdfpose.launch.py"])),
        launch_arguments={
            "camera": CAMERA,
            "device": LaunchConfiguration("device"),
            "one_machine": LaunchConfiguration("one_machine"),
        }.items(),
    )
    camera = Node(
        package=PACKAGE,
        executable="camera_node",
        name=CAMERA[1:],
        parameters=[
            {
                "rate_hz": ParameterValue(LaunchConfiguration("rate"), value_type=float),
                "seed": ParameterValue(LaunchConfiguration("seed"), value_type=int),
            }
        ],
        output="screen",
    )
    evaluator = Node(
        package=PACKAGE,
        executable="evaluator_node",
        name="evaluator",
        parameters=[
            {
                "duration_s": ParameterValue(LaunchConfiguration("seconds"), value_type=float),
                "output_dir": ParameterValue(LaunchConfiguration("output_dir"), value_type=str),
            }
        ],
        remappings=[
            *((f"~/{name}", f"{CAMERA}/{name}") for name in INPUTS),
            *((f"~/{name}", f"{POSE_NODE}/{name}") for name in RESULTS),
        ],
        output="screen",
        on_exit=Shutdown(reason="the evaluator has finished"),
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", PathJoinSubstitution([share, "rviz", "sdfpose.rviz"])],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    # Start the pose node first: its launch file sets the middleware environment of all nodes.
    return LaunchDescription([*arguments, pose_node, camera, evaluator, rviz])
