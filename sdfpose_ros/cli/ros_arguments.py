"""Arguments shared by the commands that run a node."""

from __future__ import annotations

import argparse
import os

from sdfpose_ros.graph.middleware import one_machine_environment

__all__ = ["add_ros_arguments", "prepare_middleware", "stay_on_one_machine"]


def add_ros_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--network`` and ``--ros-args`` to a command."""
    parser.add_argument(
        "--network",
        action="store_true",
        help="keep the middleware settings of the environment, to reach nodes on other machines "
        "(default: exchange images through shared memory on this machine only)",
    )
    parser.add_argument(
        "--ros-args",
        nargs=argparse.REMAINDER,
        default=[],
        help="pass all further arguments to ROS 2: -p NAME:=VALUE, -r FROM:=TO, --params-file FILE",
    )


def prepare_middleware(args: argparse.Namespace) -> None:
    """Set the middleware environment; call this before rclpy is initialised."""
    if not args.network:
        stay_on_one_machine()


def stay_on_one_machine() -> None:
    """Exchange images through shared memory, unless the user has set the variables."""
    for name, value in one_machine_environment().items():
        os.environ.setdefault(name, value)
