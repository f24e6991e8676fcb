"""`sdfpose adapt`: adapt a category's network to your camera without labels."""

from __future__ import annotations

from typing import Any, get_args

from sdfpose_core.cli.arguments.work import run_of
from sdfpose_core.cli.category_choice import add_pack_out_argument, add_weights_argument
from sdfpose_core.cli.choices import (
    add_device_argument,
    add_recording_arguments,
    add_threads_argument,
)
from sdfpose_core.cli.numbers import integer, seed
from sdfpose_core.cli.paths import path_argument
from sdfpose_core.selfsup.losses_name import LossesName

__all__ = ["add_parser", "run"]

run = run_of("sdfpose_core.cli.adapt")


def add_parser(subparsers: Any) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "adapt",
        help="adapt a category's network to your camera without labels",
        description=(
            "Train a category's network on RGB-D frames with instance masks; no pose labels are "
            "needed. Every fourth instance is held out. The network is evaluated on the held-out "
            "and on simulated instances before and after training; if it got worse, no weights are "
            "written and the exit status is 1. The result is a pack, OUT/CATEGORY, for '--weights' "
            "or the node parameter weights_dirs."
        ),
        epilog="Example: sdfpose adapt my_bag --category mug --out my_weights",
    )
    parser.add_argument(
        "data", type=path_argument, metavar="DIR|BAG", help="folder of frame folders, or a rosbag2"
    )
    parser.add_argument("--category", required=True, help="category to adapt")
    add_pack_out_argument(parser)
    add_recording_arguments(parser)
    add_weights_argument(parser)
    parser.add_argument(
        "--losses",
        choices=get_args(LossesName),
        default="certified",
        help=(
            "certified: refined estimates that pass a check serve as labels; paper: the losses of "
            "SSC-6D (default: %(default)s)"
        ),
    )
    parser.add_argument(
        "--steps", type=integer(), default=300, help="training steps (default: 300)"
    )
    parser.add_argument("--seed", type=seed, default=0, help="random seed (default: 0)")
    add_device_argument(parser, "auto")
    add_threads_argument(parser)
    parser.add_argument(
        "--report",
        type=path_argument,
        metavar="DIR",
        help="write the metrics and pictures of both networks to this folder",
    )
