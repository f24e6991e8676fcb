"""`sdfpose play`: play frame folders or a bag into a ROS 2 graph."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from sdfpose_ros.cli.ros_arguments import add_ros_arguments, prepare_middleware

__all__ = ["add_parser", "run"]

_BAG_SUFFIXES = (".mcap", ".db3")


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
    add_ros_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command; gives the exit status."""
    prepare_middleware(args)
    loop = f"loop:={str(args.loop).lower()}"
    if len(args.path) == 1 and _is_bag(Path(args.path[0])):
        from sdfpose_ros.player_node import main

        parameters = [
            "-p", f"bag:={json.dumps(args.path[0])}",
            "-p", f"rate:={float(args.rate or 1.0)}",
            "-p", f"clock:={str(args.clock).lower()}",
            "-p", loop,
        ]  # fmt: skip
        if args.topics:
            parameters += ["-p", f"topics:={json.dumps(args.topics)}"]
    else:
        from sdfpose_ros.camera_node import main

        parameters = [
            "-p", f"folders:={json.dumps(args.path)}",
            "-p", f"rate_hz:={float(args.rate or 2.0)}",
            "-p", loop,
        ]  # fmt: skip
    return main(["--ros-args", *parameters, *args.ros_args])


def _is_bag(path: Path) -> bool:
    return path.suffix in _BAG_SUFFIXES or (path / "metadata.yaml").is_file()
