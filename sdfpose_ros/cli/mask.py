"""`sdfpose mask`: run the mask node."""

from __future__ import annotations

import argparse

from sdfpose_ros.cli.ros_arguments import add_ros_arguments, run_node_command
from sdfpose_ros.graph.arguments import parameter_arguments
from sdfpose_ros.graph.topics import input_remaps
from sdfpose_ros.masks.backend_names import BACKENDS

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "mask",
        help="run the mask node",
        description="Run the ROS 2 mask node. It segments the images of an RGB-D camera and "
        "publishes instance masks and labels on the topics that the pose node reads.",
        epilog="Example: sdfpose mask --camera /camera --backend torchvision",
    )
    parser.add_argument(
        "--camera",
        default="/camera",
        help="namespace of the topics colour, depth and camera_info, and of the published mask and "
        "labels (default: %(default)s); remap single topics with --ros-args -r '~/colour:=TOPIC'",
    )
    parser.add_argument(
        "--backend",
        choices=BACKENDS,
        help="source of the masks: tabletop segments objects on a table, network any objects, "
        "torchvision runs Mask R-CNN, label_image reads class ids (~/label_image), instance_image "
        "reads instance ids (~/instance_image), detections reads the boxes of a detector "
        "(~/detections), yolo reads the outlines of yolo_ros (~/detections), mask_tensor reads the "
        "masks of Isaac ROS Segment Anything (~/mask_tensor) (default: tabletop)",
    )
    add_ros_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command and return the exit status."""
    backend = parameter_arguments(backend=args.backend) if args.backend else []
    # The first matching remap rule wins, so the user's rules come first.
    arguments = [*backend, *args.ros_args, *input_remaps(args.camera)]
    return run_node_command(args, "sdfpose_ros.masks.mask_node", arguments)
