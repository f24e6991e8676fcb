"""`sdfpose record`: record a camera and the results of a pose node."""

from __future__ import annotations

import argparse
from typing import get_args

from sdfpose_core.cli.numbers import integer, real
from sdfpose_core.cli.paths import check_new_bag, path_argument
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.messages.compression import Codecs, ColourCodec, DepthCodec
from sdfpose_ros.cli.ros_arguments import add_ros_arguments, run_node_command
from sdfpose_ros.graph.arguments import parameter_arguments
from sdfpose_ros.graph.topics import input_remaps, result_remaps, topic_of

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    defaults = Codecs()
    parser = subparsers.add_parser(
        "record",
        help="record a camera and the results of a pose node",
        description="Record images, camera info, masks, labels, ground truth and IMU of a camera, "
        "the results of a pose node, and the transforms into one MCAP file, which 'sdfpose "
        "replay', 'sdfpose play', 'ros2 bag', RViz and Foxglove read. Raw images are compressed, "
        "without loss by default. Ctrl-C ends the recording.",
        epilog="Example: sdfpose record table.mcap --camera /camera --seconds 30",
    )
    parser.add_argument("file", type=path_argument, metavar="FILE", help="new file, NAME.mcap")
    parser.add_argument(
        "--camera",
        default="/camera",
        help="namespace of the topics colour, depth, mask, camera_info, labels, ground_truth and "
        "imu (default: %(default)s); remap single topics with --ros-args -r '~/colour:=TOPIC'",
    )
    parser.add_argument(
        "--node", default="/sdfpose", help="name of the pose node (default: %(default)s)"
    )
    parser.add_argument(
        "--topics", nargs="+", default=[], metavar="TOPIC", help="further topics to record"
    )
    parser.add_argument(
        "--seconds",
        type=real(),
        default=0.0,
        metavar="S",
        help="stop this long after the first message, and with status 1 if none comes in as long "
        "(at least 5 s); 0 records until interrupted (default: 0)",
    )
    parser.add_argument(
        "--colour",
        choices=get_args(ColourCodec),
        default=defaults.colour,
        help="compression of colour images; jpeg is lossy (default: %(default)s)",
    )
    parser.add_argument(
        "--depth",
        choices=get_args(DepthCodec),
        default=defaults.depth,
        help="compression of 16-bit depth images (default: %(default)s)",
    )
    parser.add_argument(
        "--jpeg-quality",
        type=integer(1, 100),
        default=defaults.jpeg_quality,
        metavar="Q",
        help="quality of JPEG images, 1 to 100 (default: %(default)s)",
    )
    add_ros_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command and return the exit status.

    Raises:
        ConfigurationError: the file exists or cannot be written, or a name is invalid.
    """
    if args.file.suffix != ".mcap":
        raise ConfigurationError(f"{args.file}: expected a name that ends in .mcap")
    check_new_bag("FILE", args.file)
    parameters = parameter_arguments(
        path=str(args.file),
        duration_s=float(args.seconds),
        colour_codec=args.colour,
        depth_codec=args.depth,
        jpeg_quality=args.jpeg_quality,
        topics=args.topics,
    )
    imu = ("-r", f"~/imu:={topic_of(args.camera, 'imu')}")
    # The first matching remap rule wins, so the user's rules come first.
    arguments = [
        *(*parameters, *args.ros_args),
        *(*input_remaps(args.camera), *imu, *result_remaps(args.node)),
    ]
    return run_node_command(args, "sdfpose_ros.recording.recorder_node", arguments)
