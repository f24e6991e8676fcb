"""`sdfpose evaluate-live`: compare the poses of a running graph with ground truth."""

from __future__ import annotations

import argparse
import json

from sdfpose_ros.cli.ros_arguments import add_ros_arguments, prepare_middleware

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "evaluate-live",
        help="show the errors of a running ROS 2 graph in a live table",
        description="Compare the pose node's objects with the camera's ground truth and show "
        "them in a live table.",
    )
    parser.add_argument("--camera", default="/camera", help="camera node (default: %(default)s)")
    parser.add_argument("--node", default="/sdfpose", help="pose node (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=0.0, help="end so long after the first result"
    )
    parser.add_argument("--out", default="", help="folder for overlay, objects, meshes, recording")
    add_ros_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command; gives the exit status."""
    prepare_middleware(args)
    from sdfpose_ros.evaluation.evaluator_node import main
    from sdfpose_ros.graph.topics import input_remaps, result_remaps

    parameters = [
        "-p", f"duration_s:={float(args.seconds)}",
        "-p", f"output_dir:={json.dumps(args.out)}",
    ]  # fmt: skip
    remaps = [*input_remaps(args.camera), *result_remaps(args.node)]
    return main(["--ros-args", *parameters, *args.ros_args, *remaps])
