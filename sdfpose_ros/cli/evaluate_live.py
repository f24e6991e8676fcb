"""`sdfpose evaluate-live`: compare the poses of a running node with ground truth."""

from __future__ import annotations

import argparse
from pathlib import Path

from sdfpose_core.cli.numbers import real
from sdfpose_core.cli.paths import check_output_folder
from sdfpose_ros.cli.ros_arguments import add_ros_arguments, run_node_command
from sdfpose_ros.graph.arguments import parameter_arguments
from sdfpose_ros.graph.topics import input_remaps, result_remaps

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "evaluate-live",
        help="compare the poses of a running node with ground truth",
        description="Compare the objects of a running pose node with the ground truth of the "
        "camera and show the errors in a live table.",
        epilog="Example: sdfpose evaluate-live --seconds 30 --out out/live",
    )
    parser.add_argument(
        "--camera", default="/camera", help="namespace of the camera (default: %(default)s)"
    )
    parser.add_argument(
        "--node", default="/sdfpose", help="name of the pose node (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds",
        type=real(),
        default=0.0,
        metavar="S",
        help="stop this long after the first result; 0 runs until interrupted (default: 0)",
    )
    parser.add_argument(
        "--out",
        default="",
        metavar="DIR",
        help="folder for overlay, objects, meshes and recording (default: write nothing)",
    )
    add_ros_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command and return the exit status."""
    check_output_folder("--out", Path(args.out) if args.out else None)
    parameters = parameter_arguments(duration_s=float(args.seconds), output_dir=args.out)
    remaps = [*input_remaps(args.camera), *result_remaps(args.node)]
    arguments = [*parameters, *args.ros_args, *remaps]
    return run_node_command(args, "sdfpose_ros.evaluation.evaluator_node", arguments)
