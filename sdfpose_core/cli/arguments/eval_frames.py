"""`sdfpose eval frames`: evaluate the estimator on frame folders with ground truth."""

from __future__ import annotations

from typing import Any

from sdfpose_core.cli.arguments.work import run_of
from sdfpose_core.cli.choices import (
    add_depth_unit_argument,
    add_estimator_arguments,
    add_threads_argument,
)
from sdfpose_core.cli.frame_masks import add_masks_argument
from sdfpose_core.cli.output import add_json_argument
from sdfpose_core.cli.paths import path_argument

__all__ = ["add_parser"]


def add_parser(evaluations: Any) -> None:
    """Declare the evaluation's arguments."""
    parser = evaluations.add_parser(
        "frames",
        help="evaluate the estimator on frame folders with ground truth",
        description=(
            "Estimate the objects in frame folders, each image independently, and compare them "
            "with the ground truth. Print the errors of every instance, and averages with the "
            "number of instances behind them. Objects of made masks (--masks) are compared with "
            "the true object whose mask theirs overlaps most, or without mask.png with the "
            "nearest one of their category."
        ),
        epilog="Example: sdfpose eval frames frames/ --report report.html",
    )
    parser.add_argument(
        "frames",
        type=path_argument,
        nargs="+",
        metavar="DIR",
        help="frame folder, or folder of frame folders",
    )
    add_masks_argument(
        parser, "mask.png", "FILE_masks/NAME/mask.png beside --json FILE, else --report FILE"
    )
    add_json_argument(parser)
    parser.add_argument("--report", type=path_argument, metavar="FILE", help="write an HTML report")
    add_threads_argument(parser)
    add_estimator_arguments(parser, device="auto")
    add_depth_unit_argument(parser)
    parser.set_defaults(evaluation=run_of("sdfpose_core.cli.eval_frames"))
