"""`sdfpose node`: run the pose node."""

from __future__ import annotations

import argparse

from sdfpose_ros.cli.ros_arguments import add_ros_arguments, prepare_middleware

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "node",
        help="run the pose node",
        description="Run the ROS 2 pose node. It reads RGB-D images and instance masks and "
        "publishes poses and meshes.",
        epilog="Example: sdfpose node --camera /camera --ros-args -p device:=cpu",
    )
    parser.add_argument(
        "--camera",
        default="/camera",
        help="namespace of the topics colour, depth, mask, camera_info and labels (default: "
        "%(default)s); remap single topics with --ros-args -r '~/colour:=TOPIC'",
    )
    add_ros_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command and return the exit status."""
    prepare_middleware(args)
    from sdfpose_ros.graph.topics import input_remaps
    from sdfpose_ros.pose.pose_node import main

    # The first matching remap rule wins, so the user's rules come first.
    return main(["--ros-args", *args.ros_args, *input_remaps(args.camera)])
