"""Bag player, pose node and evaluator: ``ros2 launch sdfpose replay.launch.py --show-args``."""

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
POSE_NODE = "/sdfpose"

ARGUMENTS = {
    "bag": ("", "Folder of a rosbag2, or its .mcap or .db3 file."),
    "camera": ("/camera", "Namespace of the camera topics in the bag."),
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
    "ground_truth_topic": (
        [LaunchConfiguration("camera"), "/ground_truth"],
        "Ground-truth poses (sdfpose/SdfObjectArray), if the bag has them.",
    ),
    "rate": ("1.0", "Playback speed factor; 1 is the recorded speed."),
    "lockstep": ("false", "Publish the next frame only after the result of the last one."),
    "output_dir": ("", "Folder for overlay, objects, meshes and recording; empty writes nothing."),
    "params_file": (
        PathJoinSubstitution([FindPackageShare(PACKAGE), "config", "sdfpose.yaml"]),
        "Parameter file (YAML) of the pose node.",
    ),
    "device": ("auto", "Device of the networks: auto, cpu, cuda or cuda:N."),
    "rviz": ("false", "Start RViz with images, frames and markers."),
    "one_machine": (
        "true",
        "Exchange images through shared memory on this machine only.",
    ),
}

TO_POSE_NODE = (
    "colour_topic",
    "depth_topic",
    "mask_topic",
    "camera_info_topic",
    "labels_topic",
    "params_file",
    "device",
    "one_machine",
)


def generate_launch_description() -> LaunchDescription:
    """Arguments, pose node, player, evaluator, RViz."""
    share = FindPackageShare(PACKAGE)
    pose_node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(PathJoinSubstitution([share, "launch", "sdfpose.launch.py"])),
        launch_arguments={
            "use_sim_time": "true",
            "wait_for_verification": LaunchConfiguration("lockstep"),
            **{name: LaunchConfiguration(name) for name in TO_POSE_NODE},
        }.items(),
    )
    player = Node(
        package=PACKAGE,
        executable="player_node",
        name="player",
        parameters=[
            {
                "bag": ParameterValue(LaunchConfiguration("bag"), value_type=str),
                "rate": ParameterValue(LaunchConfiguration("rate"), value_type=float),
                "lockstep": ParameterValue(LaunchConfiguration("lockstep"), value_type=bool),
                "clock": True,
                "wait_s": 60.0,
                "results": f"{POSE_NODE}/objects",
            }
        ],
        output="screen",
        on_exit=Shutdown(reason="the bag has ended"),
    )
    evaluator = Node(
        package=PACKAGE,
        executable="evaluator_node",
        name="evaluator",
        parameters=[
            {
                "use_sim_time": True,
                "output_dir": ParameterValue(LaunchConfiguration("output_dir"), value_type=str),
            }
        ],
        remappings=[
            *((f"~/{name}", LaunchConfiguration(f"{name}_topic")) for name in INPUTS),
            *((f"~/{name}", f"{POSE_NODE}/{name}") for name in RESULTS),
        ],
        output="screen",
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
    return LaunchDescription([*arguments, pose_node, player, evaluator, rviz])
