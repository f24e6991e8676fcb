"""`sdfpose grasps`: grasp candidates of the objects in frame folders."""

from __future__ import annotations

import argparse
from typing import Any

from sdfpose_core.cli.arguments.frames import add_frames_arguments
from sdfpose_core.cli.arguments.work import run_of
from sdfpose_core.cli.choices import (
    add_depth_unit_argument,
    add_estimator_arguments,
    add_threads_argument,
)
from sdfpose_core.cli.numbers import integer, real
from sdfpose_core.cli.output import add_json_argument
from sdfpose_core.estimation.options import EstimatorOptions
from sdfpose_core.grasping.gripper import Gripper

__all__ = ["add_gripper_arguments", "add_parser", "gripper_of", "run"]

run = run_of("sdfpose_core.cli.grasps")

_COUNT = 10


def add_parser(subparsers: Any) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "grasps",
        help="find grasp candidates of the objects in frame folders",
        description=(
            "Estimate every labelled object in RGB-D frames, and print the best grasp candidate of "
            "each for a parallel gripper, in the camera's frame. With --json, write all candidates "
            "and the frames of the objects' parts. The exit status is 0 if there is any candidate, "
            "else 1."
        ),
        epilog="Example: sdfpose grasps --sample --json - | jq '.frames.tabletop[0].grasps[0]'",
    )
    add_frames_arguments(parser)
    parser.add_argument(
        "--count",
        type=integer(),
        default=_COUNT,
        help="largest number of candidates of each object (default: %(default)s)",
    )
    add_gripper_arguments(parser)
    add_json_argument(parser, "candidates")
    add_threads_argument(parser)
    add_estimator_arguments(parser, device=EstimatorOptions().device)
    add_depth_unit_argument(parser)


def add_gripper_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the gripper, which `gripper_of` reads."""
    parser.add_argument(
        "--gripper-width",
        type=real(0.0, 1.0),
        default=Gripper().max_width_m,
        metavar="M",
        help="largest distance between the fingers, metres (default: %(default)s)",
    )
    parser.add_argument(
        "--friction",
        type=real(0.0, 5.0),
        default=Gripper().friction,
        help="coefficient of friction of fingers and objects (default: %(default)s)",
    )


def gripper_of(args: argparse.Namespace) -> Gripper:
    """The gripper of `add_gripper_arguments`.

    Raises:
        ConfigurationError: it cannot grasp anything.
    """
    return Gripper(max_width_m=args.gripper_width, friction=args.friction)
