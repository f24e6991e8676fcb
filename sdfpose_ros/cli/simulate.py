"""`sdfpose simulate`: run a simulated RGB-D camera."""

from __future__ import annotations

import argparse

from sdfpose_ros.cli.ros_arguments import add_ros_arguments, prepare_middleware

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "simulate",
        help="run a simulated RGB-D camera as a ROS 2 node",
        description="Run a simulated RGB-D camera that goes round a table with one instance of "
        "each category; publishes images, masks, labels and ground truth below /camera.",
    )
    parser.add_argument("--rate", type=float, default=10.0, help="frames per second (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of the scene (default: 0)")
    parser.add_argument("--once", action="store_true", help="end after one turn round the table")
    add_ros_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command; gives the exit status."""
    prepare_middleware(args)
    from sdfpose_ros.playback.camera_node import main

    parameters = [
        "-p", f"rate_hz:={float(args.rate)}",
        "-p", f"seed:={args.seed}",
        "-p", f"loop:={str(not args.once).lower()}",
    ]  # fmt: skip
    return main(["--ros-args", *parameters, *args.ros_args])
