"""`sdfpose mask`: run the mask node."""

from __future__ import annotations

import argparse

from sdfpose_ros.cli.ros_arguments import add_ros_arguments, prepare_middleware

__all__ = ["add_parser", "run"]

_BACKENDS = ("tabletop", "torchvision", "label_image", "detections")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "mask",
        help="run the ROS 2 node that makes instance masks",
        description="Run the ROS 2 mask node: the images of an RGB-D camera in, instance masks and "
        "labels out, where the pose node looks for them.",
    )
    parser.add_argument(
        "--camera",
        default="/camera",
        help="take colour, depth and camera_info from the topics below this name, and publish mask "
        "and labels there (default: %(default)s); -r '~/colour:=TOPIC' after --ros-args names "
        "single ones",
    )
    parser.add_argument(
        "--backend",
        choices=_BACKENDS,
        help="where masks come from: what stands on a table, Mask R-CNN, an image of class ids "
        "(~/label_image), or boxes of a detector (~/detections); default: tabletop",
    )
    add_ros_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command; gives the exit status."""
    prepare_middleware(args)
    from sdfpose_ros.graph.topics import input_remaps
    from sdfpose_ros.masks.mask_node import main

    backend = ["-p", f"backend:={args.backend}"] if args.backend else []
    # The first rule that fits wins: the user's own come first.
    return main(["--ros-args", *backend, *args.ros_args, *input_remaps(args.camera)])
