"""`sdfpose play`: play frame folders or a bag into a ROS 2 graph."""

from __future__ import annotations

import argparse
import json

from sdfpose_core.datasets.bags import is_bag
from sdfpose_ros.cli.ros_arguments import add_ros_arguments, prepare_middleware

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "play",
        help="play frame folders or a rosbag2 as a ROS 2 node",
        description="Play frame folders as a camera below /camera, or a rosbag2 on its own "
        "topics with its own stamps.",
    )
    parser.add_argument("path", nargs="+", help="frame folders, folders of them, or one bag")
    parser.add_argument(
        "--rate",
        type=float,
        help="frames per second (default: 2); for a bag, its speed (default: 1)",
    )
    parser.add_argument("--loop", action="store_true", help="start again after the end")
    parser.add_argument("--topics", nargs="+", default=[], help="of a bag: play only these")
    parser.add_argument("--clock", action="store_true", help="publish a bag's time on /clock")
    parser.add_argument(
        "--lockstep",
        action="store_true",
        help="of a bag: the next frame waits for the result of the last one, so that none is lost",
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=0.0,
        metavar="S",
        help="of a bag: wait so long for the pose node, seconds (default: %(default)s)",
    )
    parser.add_argument(
        "--node",
        default="/sdfpose",
        help="with --lockstep or --wait, the pose node (default: %(default)s)",
    )
    add_ros_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command; gives the exit status."""
    prepare_middleware(args)
    loop = f"loop:={str(args.loop).lower()}"
    if len(args.path) == 1 and is_bag(args.path[0]):
        from sdfpose_ros.playback.player_node import main

        parameters = [
            "-p", f"bag:={json.dumps(args.path[0])}",
            "-p", f"rate:={float(args.rate or 1.0)}",
            "-p", f"clock:={str(args.clock).lower()}",
            "-p", f"lockstep:={str(args.lockstep).lower()}",
            "-p", f"wait_s:={float(args.wait)}",
            "-p", f"results:={args.node.rstrip('/')}/objects",
            "-p", loop,
        ]  # fmt: skip
        if args.topics:
            parameters += ["-p", f"topics:={json.dumps(args.topics)}"]
    else:
        from sdfpose_ros.playback.camera_node import main

        parameters = [
            "-p", f"folders:={json.dumps(args.path)}",
            "-p", f"rate_hz:={float(args.rate or 2.0)}",
            "-p", loop,
        ]  # fmt: skip
    return main(["--ros-args", *parameters, *args.ros_args])
