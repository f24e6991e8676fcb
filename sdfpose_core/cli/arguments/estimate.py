"""`sdfpose estimate`: estimate pose, size and shape of objects in frame folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sdfpose_core.cli.arguments.frames import add_frames_arguments
from sdfpose_core.cli.arguments.work import run_of
from sdfpose_core.cli.choices import (
    add_depth_unit_argument,
    add_estimator_arguments,
    add_threads_argument,
)
from sdfpose_core.cli.frame_masks import add_masks_argument
from sdfpose_core.cli.output import add_json_argument
from sdfpose_core.cli.paths import path_argument
from sdfpose_core.cli.viewing import add_view_argument
from sdfpose_core.estimation.options import EstimatorOptions

__all__ = ["add_parser", "run"]

run = run_of("sdfpose_core.cli.estimate")


def add_parser(subparsers: Any) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "estimate",
        help="estimate pose, size and shape of objects in frame folders",
        description=(
            "Estimate pose, size and shape of every labelled object in RGB-D frames. A frame is a "
            "folder with color.png, depth.png, mask.png and meta.json. Print a table, with errors "
            "if meta.json has ground truth, and write OUT/NAME/overlay.png and one mesh "
            "OUT/NAME/CATEGORY_ID.ply per object. With --masks, no mask.png is needed. Unusable "
            "frames are reported and skipped. The exit status is 0 if anything was estimated and "
            "every file was written, else 1."
        ),
        epilog="Example: sdfpose estimate frames/ --out results --json results/estimates.json",
    )
    add_frames_arguments(parser)
    parser.add_argument(
        "--out",
        type=path_argument,
        default=Path("out/estimate"),
        metavar="DIR",
        help="folder for overlays and meshes (default: %(default)s)",
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="draw overlays on a light background with mask outlines, not on the colour image",
    )
    add_masks_argument(parser, "mask.png", "OUT/NAME/mask.png")
    add_json_argument(parser, "estimates")
    add_threads_argument(parser)
    add_estimator_arguments(parser, device=EstimatorOptions().device)
    add_depth_unit_argument(parser)
    parser.add_argument(
        "--category",
        help=(
            "treat every mask as an object of this category and ignore its label; 'any' lets the "
            "estimator find the category"
        ),
    )
    add_view_argument(parser, "the frames with their estimates")
