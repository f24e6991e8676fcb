"""`sdfpose node`: run the pose node."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from sdfpose_ros.cli.ros_arguments import add_ros_arguments, run_node_command
from sdfpose_ros.graph.arguments import parameter_arguments
from sdfpose_ros.graph.topics import input_remaps, topic_of
from sdfpose_ros.pose.mask_names import MASKS

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "node",
        help="run the pose node",
        description="Run the ROS 2 pose node. It reads RGB-D images and instance masks, or makes "
        "the masks itself, and publishes poses and meshes.",
        epilog="Example: sdfpose node --camera /camera --ros-args -p device:=cpu",
    )
    parser.add_argument(
        "--camera",
        nargs="+",
        default=["/camera"],
        metavar="NAMESPACE",
        help="namespace of the topics colour, depth, mask, camera_info, labels and imu (default: "
        "/camera); remap single topics with --ros-args -r '~/colour:=TOPIC'. Several cameras that "
        "see the same objects need --ros-args -p world_frame:=FRAME; they have the last parts of "
        "their namespaces as names",
    )
    parser.add_argument(
        "--masks",
        choices=MASKS,
        help="source of the masks: topic reads ~/mask and ~/labels; the others make them in this "
        "node, and publish them there: tabletop segments objects on a table, network any objects, "
        "torchvision runs Mask R-CNN (default: topic)",
    )
    add_ros_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command and return the exit status."""
    masks = parameter_arguments(masks=args.masks) if args.masks else []
    # The first matching remap rule wins, so the user's rules come first.
    arguments = [*masks, *args.ros_args, *_camera_arguments(args.camera)]
    return run_node_command(args, "sdfpose_ros.pose.pose_node", arguments)


def _camera_arguments(namespaces: Sequence[str]) -> list[str]:
    """ROS arguments that connect the node to cameras."""
    imu = ["-r", f"~/imu:={topic_of(namespaces[0], 'imu')}"]
    if len(namespaces) == 1:
        return [*input_remaps(namespaces[0]), *imu]
    names = [x.rstrip("/").rpartition("/")[2] for x in namespaces]
    remaps = [y for n, x in zip(names, namespaces, strict=True) for y in input_remaps(x, n)]
    return [*parameter_arguments(cameras=names), *remaps, *imu]
