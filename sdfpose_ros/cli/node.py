"""`sdfpose node`: run the pose node."""

from __future__ import annotations

import argparse

from sdfpose_ros.cli.ros_arguments import add_ros_arguments, prepare_middleware

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "node",
        help="run the ROS 2 pose node",
        description="Run the ROS 2 pose node: RGB-D images and masks in, poses and meshes out.",
    )
    parser.add_argument(
        "--camera",
        default="/camera",
        help="take colour, depth, mask, camera_info and labels from the topics below this name "
        "(default: %(default)s); -r '~/colour:=TOPIC' after --ros-args names single ones",
    )
    add_ros_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command; gives the exit status."""
    prepare_middleware(args)
    from sdfpose_ros.graph.topics import input_remaps
    from sdfpose_ros.pose.pose_node import main

    # The first rule that fits wins: the user's own come first.
    return main(["--ros-args", *args.ros_args, *input_remaps(args.camera)])
