"""Arguments shared by the commands that run a node."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from sdfpose_ros.graph.middleware import prepare_middleware
from sdfpose_ros.graph.startup import start_node

__all__ = ["add_ros_arguments", "run_node_command"]


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


def run_node_command(args: argparse.Namespace, module: str, arguments: Sequence[str]) -> int:
    """Run the node of a module with the middleware settings that the command line selects.

    Args:
        args: parsed arguments.
        module: module with the node's ``main``.
        arguments: arguments of the node after ``--ros-args``.

    Returns:
        The exit status.

    Raises:
        ConfigurationError: ROS 2 cannot be used in this environment.
    """
    prepare_middleware(network=args.network)
    return start_node(module, ["--ros-args", *arguments])
