"""Arguments that the commands which run a node have in common."""

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
        help="leave the middleware as the environment sets it, so that other machines take part; "
        "by default images go through shared memory on this machine",
    )
    parser.add_argument(
        "--ros-args",
        nargs=argparse.REMAINDER,
        default=[],
        help="what follows goes to ROS 2: -p NAME:=VALUE, -r FROM:=TO, --params-file FILE, ...",
    )


def prepare_middleware(args: argparse.Namespace) -> None:
    """Set the environment of this process before ROS 2 is initialised in it."""
    if not args.network:
        stay_on_one_machine()


def stay_on_one_machine() -> None:
    """Set what the user has not set so that images go through shared memory."""
    for name, value in one_machine_environment().items():
        os.environ.setdefault(name, value)
