"""`sdfpose replay`: run estimator and tracker on a recorded bag and evaluate them."""

from __future__ import annotations

from typing import Any

from sdfpose_core.cli.arguments.work import run_of
from sdfpose_core.cli.choices import (
    add_depth_unit_argument,
    add_estimator_arguments,
    add_labelling_arguments,
    add_threads_argument,
    add_topic_argument,
)
from sdfpose_core.cli.frame_masks import add_masks_argument
from sdfpose_core.cli.numbers import integer, positive, real
from sdfpose_core.cli.output import add_json_argument
from sdfpose_core.cli.paths import path_argument
from sdfpose_core.cli.viewing import add_view_argument
from sdfpose_core.datasets.bags import Pairing

__all__ = ["add_parser", "run"]

run = run_of("sdfpose_core.cli.replay")


def add_parser(subparsers: Any) -> None:
    """Declare the command's arguments."""
    defaults = Pairing()
    parser = subparsers.add_parser(
        "replay",
        help="run estimator and tracker on a recorded bag and evaluate them",
        description=(
            "Synchronise the messages of a rosbag2 like the pose node, estimate and track the "
            "objects in every frame, and compare them with the ground truth if there is any. Does "
            "not need ROS 2 and gives the same result in every run. The exit status is 0 if an "
            "object was estimated, else 1."
        ),
        epilog="Example: sdfpose replay my_bag --category any --report report.html",
    )
    parser.add_argument(
        "bag", type=path_argument, metavar="BAG", help="bag folder, .mcap or .db3 file"
    )
    parser.add_argument(
        "--gt",
        metavar="SOURCE",
        help=(
            "ground truth: a topic of type sdfpose/SdfObjectArray, tf:PREFIX for the tf frames "
            "PREFIX/CATEGORY_ID, or a JSON file written by --json (default: the topic of that "
            "type with 'truth' in its name)"
        ),
    )
    parser.add_argument(
        "--out", type=path_argument, metavar="BAG", help="write the results to a new bag"
    )
    add_json_argument(parser, "results and metrics")
    parser.add_argument("--report", type=path_argument, metavar="FILE", help="write an HTML report")
    parser.add_argument(
        "--busy-ms",
        type=positive,
        metavar="MS",
        help=(
            "simulate a processing time of MS milliseconds per frame: of the frames that arrive "
            "meanwhile, all but the newest are dropped (default: process every frame)"
        ),
    )
    parser.add_argument(
        "--hz",
        type=positive,
        help="with --busy-ms: frame rate, Hz (default: the recorded times)",
    )
    add_topic_argument(parser)
    add_depth_unit_argument(parser)
    add_masks_argument(
        parser,
        "the bag's mask topic",
        "FILE_masks/NUMBER/mask.png beside --json FILE, else --report FILE or --out FILE",
    )
    add_labelling_arguments(parser)
    parser.add_argument(
        "--slop",
        type=real(),
        default=defaults.slop_s,
        metavar="S",
        help="maximum stamp difference within a frame, seconds (default: %(default)s)",
    )
    parser.add_argument(
        "--queue-size",
        type=integer(),
        default=defaults.queue_size,
        metavar="N",
        help="synchroniser queue size, messages per topic (default: %(default)s)",
    )
    parser.add_argument(
        "--world",
        metavar="FRAME",
        help=(
            "track the objects in this frame of the bag's /tf, such as base_link or odom, in which "
            "they stand still while the camera moves (default: in the camera frame)"
        ),
    )
    add_threads_argument(parser, "all cores but one, like the node")
    add_estimator_arguments(parser, device="auto")
    add_view_argument(parser, "the results while they are made, and then the last ones,")
