"""`sdfpose doctor`: check the environment and a camera, and say what to do.

Other packages add checks as entry points of the group `sdfpose.diagnosis`: ``environment``, a
module with ``environment_findings() -> list[Finding]``, and ``camera``, a module with ``observe``
for live cameras.
"""

from __future__ import annotations

import argparse
from typing import Any

from sdfpose_core.cli.arguments.work import run_of
from sdfpose_core.cli.category_choice import add_weights_argument
from sdfpose_core.cli.choices import add_depth_unit_argument, add_topic_argument
from sdfpose_core.cli.numbers import positive
from sdfpose_core.cli.output import add_json_argument

__all__ = ["LIVE_S", "add_parser", "run"]

run = run_of("sdfpose_core.cli.doctor")

LIVE_S = 5.0
"""Time for which a live camera is observed, seconds."""


_KINDS = ("topic", "bag", "frames")


def add_parser(subparsers: Any) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "doctor",
        help="check the environment and a camera, and say what to do",
        description=(
            "Check the environment (Python, packages, threads, memory, disk, GPU, weights, and ROS "
            "2 with its shared memory and the messages) and a live or recorded camera: rate, "
            "stamps, alignment of depth to colour, unit of depth, intrinsics, missing depth, "
            "table, exposure, sharpness and masks. Each line is ok, a warning (results may "
            "suffer) or a fault (no results, or wrong ones), with what was found and what to do. "
            "The exit status is 0 without a fault, else 1."
        ),
        epilog="Example: sdfpose doctor --camera topic:/camera",
    )
    parser.add_argument(
        "--camera",
        type=_camera,
        metavar="SOURCE",
        help=(
            "topic:NAMESPACE observes the topics of a running driver, bag:FILE those of a "
            "rosbag2, and frames:DIR frame folders (default: check the environment only)"
        ),
    )
    parser.add_argument(
        "--seconds",
        type=positive,
        metavar="N",
        help=f"look for N seconds (default: {LIVE_S:g} live, a bag to its end)",
    )
    add_topic_argument(parser)
    add_depth_unit_argument(parser)
    add_weights_argument(parser)
    parser.add_argument(
        "--network",
        action="store_true",
        help="keep the middleware settings of the environment, to reach a camera on another "
        "machine (default: this machine only)",
    )
    add_json_argument(parser, "findings")


def _camera(text: str) -> tuple[str, str]:
    kind, _, place = text.partition(":")
    if kind not in _KINDS or not place:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected topic:NAMESPACE, bag:FILE or frames:DIR (start a camera first, "
            "for example with 'sdfpose camera realsense', and check topic:/camera)"
        )
    return kind, place
