"""Bag player, pose node and evaluator: ``ros2 launch sdfpose replay.launch.py --show-args``."""

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
    shared_file,
)
from sdfpose_ros.graph.startup import STARTUP_S
from sdfpose_ros.graph.topics import INPUTS, RESULTS

POSE_NODE = "sdfpose"
"""Relative name, which resolves in the namespace that the nodes share."""

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
    "lockstep": (
        "false",
        "Publish the next frame only after the result of the last one, so that none is dropped; "
        "recommended without a GPU.",
    ),
    "output_dir": ("", "Folder for overlay, objects, meshes and recording; empty writes nothing."),
    "params_file": (
        shared_file("config", "sdfpose.yaml"),
        "Parameter file (YAML) of the pose node.",
    ),
    "namespace": ("", "Namespace of the nodes; the topics of the bag keep their names."),
    "device": ("auto", "Device of the networks: auto, cpu, cuda or cuda:N."),
    "rviz": ("false", "Start RViz with images, frames and markers."),
    "one_machine": (
        "true",
        "Exchange images through shared memory on this machine only.",
    ),
}


def generate_launch_description() -> LaunchDescription:
    """Arguments, pose node, player, evaluator, RViz."""
    topics = {name: LaunchConfiguration(f"{name}_topic") for name in INPUTS}
    pose_node = node(
        "pose_node",
        name=POSE_NODE,
        parameters=[
            LaunchConfiguration("params_file"),
            {
                "use_sim_time": True,
                "wait_for_verification": argument("lockstep", bool),
                "device": argument("device"),
            },
        ],
        topics={name: topic for name, topic in topics.items() if name != "ground_truth"},
        ends_all="the pose node has ended",
    )
    player = node(
        "player_node",
        name="player",
        parameters=[
            {
                "bag": argument("bag"),
                "rate": argument("rate", float),
                "lockstep": argument("lockstep", bool),
                "clock": True,
                "wait_s": STARTUP_S,
                "results": f"{POSE_NODE}/objects",
            }
        ],
        topics={},
        ends_all="the bag has ended",
    )
    evaluator = node(
        "evaluator_node",
        name="evaluator",
        parameters=[{"use_sim_time": True, "output_dir": argument("output_dir")}],
        topics={**topics, **{name: f"{POSE_NODE}/{name}" for name in RESULTS}},
    )
    shown = rviz(
        POSE_NODE, topics={f"/camera/{name}": topics[name] for name in ("colour", "depth")}
    )
    return LaunchDescription(
        [
            *declared(ARGUMENTS),
            required_package("rviz2", "rviz:=false", IfCondition(LaunchConfiguration("rviz"))),
            *middleware(),
            pose_node,
            player,
            evaluator,
            shown,
        ]
    )
