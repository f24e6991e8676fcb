"""`sdfpose simulate`: run a simulated RGB-D camera."""

from __future__ import annotations

import argparse

from sdfpose_core.cli.numbers import integer, positive, seed
from sdfpose_ros.cli.ros_arguments import add_ros_arguments, run_node_command
from sdfpose_ros.graph.arguments import parameter_arguments

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "simulate",
        help="run a simulated RGB-D camera",
        description="Run a simulated RGB-D camera that circles a table with one object of each "
        "category. It publishes images, masks, labels and ground truth in the namespace /camera. "
        "With --cameras, so many stand round the table, neighbours 90 degrees apart; their topics "
        "are below /camera/view_0 and so on, and their poses in the frame world on /tf_static.",
        epilog="Example: sdfpose simulate --rate 5 --seed 3",
    )
    parser.add_argument(
        "--rate", type=positive, default=10.0, metavar="HZ", help="camera rate, Hz (default: 10)"
    )
    parser.add_argument(
        "--seed", type=seed, default=0, help="random seed of the scene (default: 0)"
    )
    parser.add_argument(
        "--cameras",
        type=integer(0, 16),
        default=0,
        metavar="N",
        help="number of standing cameras; 0 for one that circles (default: 0)",
    )
    parser.add_argument(
        "--once", action="store_true", help="stop after one circle around the table"
    )
    add_ros_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command and return the exit status."""
    rig = {"cameras": args.cameras} if args.cameras else {}
    parameters = parameter_arguments(
        rate_hz=float(args.rate), seed=args.seed, loop=not args.once, **rig
    )
    arguments = [*parameters, *args.ros_args]
    return run_node_command(args, "sdfpose_ros.playback.camera_node", arguments)
