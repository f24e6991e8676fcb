"""`sdfpose play`: publish frame folders or a bag as ROS 2 topics."""

from __future__ import annotations

import argparse

from sdfpose_core.cli.numbers import positive, real
from sdfpose_core.cli.paths import path_argument
from sdfpose_core.datasets.bags import is_bag
from sdfpose_core.errors import ConfigurationError
from sdfpose_ros.cli.ros_arguments import add_ros_arguments, run_node_command
from sdfpose_ros.graph.arguments import parameter_arguments
from sdfpose_ros.graph.topics import topic_of

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "play",
        help="publish frame folders or a bag as ROS 2 topics",
        description="Publish frame folders as a camera in the namespace /camera, or a rosbag2 on "
        "its recorded topics with its recorded stamps.",
        epilog="Example: sdfpose play my_bag --clock --lockstep --wait 60",
    )
    parser.add_argument(
        "path",
        type=path_argument,
        nargs="+",
        metavar="DIR|BAG",
        help="frame folders, folders of frame folders, or one bag",
    )
    parser.add_argument(
        "--rate",
        type=positive,
        help="frame folders: frame rate, Hz (default: 2); bag: playback speed factor (default: 1)",
    )
    parser.add_argument("--loop", action="store_true", help="repeat from the start")
    parser.add_argument(
        "--topics",
        nargs="+",
        default=[],
        metavar="TOPIC",
        help="bag: publish only these topics (default: all)",
    )
    parser.add_argument(
        "--raw",
        action="store_true",
        help="bag: publish compressed images, as 'sdfpose record' writes them, as raw ones",
    )
    parser.add_argument("--clock", action="store_true", help="bag: publish its time on /clock")
    parser.add_argument(
        "--lockstep",
        action="store_true",
        help="bag: publish each frame after the result of the last one, so that none is dropped",
    )
    parser.add_argument(
        "--wait",
        type=real(),
        default=0.0,
        metavar="S",
        help="bag: maximum time to wait for the pose node, seconds (default: %(default)s)",
    )
    parser.add_argument(
        "--node",
        default="/sdfpose",
        help="with --lockstep or --wait: name of the pose node (default: %(default)s)",
    )
    add_ros_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command and return the exit status."""
    for path in args.path:
        if not path.exists():
            raise ConfigurationError(f"{path}: no such path: expected frame folders or one bag")
    if len(args.path) == 1 and is_bag(args.path[0]):
        module = "sdfpose_ros.playback.player_node"
        parameters = parameter_arguments(
            bag=str(args.path[0]),
            rate=float(args.rate or 1.0),
            clock=args.clock,
            lockstep=args.lockstep,
            wait_s=float(args.wait),
            results=topic_of(args.node, "objects"),
            loop=args.loop,
            raw=args.raw,
            topics=args.topics,
        )
    else:
        module = "sdfpose_ros.playback.camera_node"
        parameters = parameter_arguments(
            folders=[str(x) for x in args.path],
            rate_hz=float(args.rate or 2.0),
            loop=args.loop,
        )
    return run_node_command(args, module, [*parameters, *args.ros_args])
