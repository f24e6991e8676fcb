"""`sdfpose camera`: publish the images of a camera on a port of this machine."""

from __future__ import annotations

import argparse

from sdfpose_core.cameras.camera import FILTERS
from sdfpose_core.cameras.makers import MAKERS, require_package
from sdfpose_core.cli.numbers import integer, positive, real
from sdfpose_core.cli.paths import path_argument
from sdfpose_core.errors import ConfigurationError
from sdfpose_ros.cli.ros_arguments import add_ros_arguments, run_node_command
from sdfpose_ros.graph.arguments import parameter_arguments

__all__ = ["add_parser", "run"]

_MAX_PIXELS = 8192
_MAX_EXPOSURE_US = 1_000_000


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "camera",
        help="publish the images of an RGB-D camera",
        description="Publish colour, registered depth, camera info and frames of an RGB-D camera, "
        "with the topics of realsense2_camera: /camera/camera/color/image_raw and so on. No "
        "driver of ROS 2 is needed, but the Python package of the camera's maker. A camera that is "
        "unplugged is waited for.",
        epilog="Example: sdfpose camera realsense --width 848 --height 480 --rate 30",
    )
    parser.add_argument("kind", choices=tuple(MAKERS), metavar="NAME", help="kind of camera")
    parser.add_argument(
        "--serial", default="", metavar="NUMBER", help="serial number of the camera (default: any)"
    )
    parser.add_argument(
        "--bag",
        type=path_argument,
        metavar="FILE",
        help="play a recording of librealsense (.bag, .db3) in place of a device; only realsense",
    )
    parser.add_argument("--loop", action="store_true", help="with --bag: start again after its end")
    parser.add_argument(
        "--width",
        type=integer(1, _MAX_PIXELS),
        help="width of the images, pixels (default: that of the camera, mostly 640)",
    )
    parser.add_argument(
        "--height",
        type=integer(1, _MAX_PIXELS),
        help="height of the images, pixels (default: that of the camera, mostly 480)",
    )
    parser.add_argument(
        "--rate",
        type=positive,
        metavar="HZ",
        help="images per second (default: that of the camera, mostly 30)",
    )
    parser.add_argument(
        "--exposure",
        type=integer(1, _MAX_EXPOSURE_US),
        metavar="US",
        help="exposure of colour, microseconds (default: automatic)",
    )
    parser.add_argument(
        "--laser-power",
        type=real(0.0, 1.0),
        metavar="SHARE",
        help="power of the infrared projector, 0 to 1 (default: that of the camera)",
    )
    parser.add_argument(
        "--filters",
        nargs="+",
        choices=FILTERS,
        default=[],
        help="filters of depth; each costs time and changes what was measured (default: none)",
    )
    parser.add_argument(
        "--wait", action="store_true", help="wait for a camera that is not there or is busy"
    )
    add_ros_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command and return the exit status.

    Raises:
        ConfigurationError: the package of the camera's maker is not installed, or an option has no
            effect.
    """
    require_package(args.kind)
    if args.loop and args.bag is None:
        raise ConfigurationError("--loop has no effect without --bag")
    given = {
        "bag": None if args.bag is None else str(args.bag),
        "loop": args.loop or None,
        "width": args.width,
        "height": args.height,
        "rate_hz": args.rate,
        "exposure_us": args.exposure,
        "laser_power": args.laser_power,
    }
    parameters = parameter_arguments(
        camera=args.kind,
        serial_number=args.serial,
        wait_for_camera=args.wait,
        **{name: value for name, value in given.items() if value is not None},
        **{f"{x}_filter": True for x in args.filters},
    )
    arguments = [*parameters, *args.ros_args]
    return run_node_command(args, "sdfpose_ros.cameras.camera_driver_node", arguments)
