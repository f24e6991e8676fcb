"""`sdfpose learn`: learn a category from meshes, or from scans of objects."""

from __future__ import annotations

import os
from argparse import ArgumentTypeError
from typing import Any, get_args

from sdfpose_core.categories import Resting, Symmetry
from sdfpose_core.category_learning.orientation_names import ALIGNMENT_FILE, ALIGNMENT_SHEET, Front
from sdfpose_core.category_learning.sizes import SizeRange
from sdfpose_core.cli.arguments.work import run_of
from sdfpose_core.cli.choices import add_device_argument, add_threads_argument
from sdfpose_core.cli.numbers import integer, positive, real
from sdfpose_core.cli.paths import path_argument
from sdfpose_core.cli.scans import SCANS, add_scan_arguments
from sdfpose_core.errors import ConfigurationError

__all__ = ["add_parser", "run"]

run = run_of("sdfpose_core.cli.learn")


def add_parser(subparsers: Any) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "learn",
        help="learn a category from a folder of meshes, or from scans of objects",
        description=(
            "Learn a category of your own from a folder of meshes, one object per file, or from "
            "recordings of single objects, and write its pack: decoder, encoder, card. A recording "
            f"becomes a mesh first, in WORK/{SCANS}, with a picture of its six sides. The command "
            f"writes the orientation of each model to WORK/{ALIGNMENT_FILE} and a picture of them "
            f"to WORK/{ALIGNMENT_SHEET}: look at it, edit the file if a model is turned wrongly, "
            "and run the command again. An interrupted run goes on when it is repeated."
        ),
        epilog="Example: sdfpose learn kettle --meshes kettles/ --out packs/kettle",
    )
    parser.add_argument("name", help="name: lower-case letters, digits and underscores")
    parser.add_argument("--meshes", type=path_argument, metavar="DIR", help="folder of the meshes")
    add_scan_arguments(parser)
    parser.add_argument(
        "--out", type=path_argument, required=True, metavar="PACK", help="folder of the new pack"
    )
    parser.add_argument(
        "--work",
        type=path_argument,
        metavar="DIR",
        help="folder for orientations and intermediate files (default: PACK with .work at its end)",
    )
    parser.add_argument(
        "--front",
        choices=get_args(Front),
        default="auto",
        help=(
            "where files have the front: at x or at z of all of them; auto turns the models about "
            "y until they agree; none for objects without a front (default: auto)"
        ),
    )
    parser.add_argument(
        "--symmetry",
        choices=("auto", *get_args(Symmetry)),
        default="auto",
        help=(
            "symmetry of the category: y is rotationally symmetric about y; auto finds it from "
            "the shapes (default: auto)"
        ),
    )
    parser.add_argument(
        "--size",
        type=_size_range,
        metavar="LOW..HIGH",
        help=(
            "plausible diagonals of the objects' bounding boxes in metres, such as 0.2..0.4; "
            "models without a size, or of another one, are rescaled"
        ),
    )
    parser.add_argument(
        "--unit-m", type=positive, help="unit of the meshes in metres (default: guessed)"
    )
    parser.add_argument(
        "--labels",
        nargs="+",
        default=[],
        metavar="LABEL",
        help="further names under which detectors report the category",
    )
    parser.add_argument(
        "--vessel",
        action="store_true",
        help="both sides of the walls are the surface, as of bowls and mugs",
    )
    usual = Resting()
    parser.add_argument(
        "--resting",
        nargs=3,
        type=real(0.0, 1.0),
        default=(usual.standing, usual.upside_down, usual.lying),
        metavar=("STANDING", "UPSIDE_DOWN", "LYING"),
        help=(
            "shares of the objects that stand on a table, are upside down, and lie on a side "
            f"(default: {usual.standing} {usual.upside_down} {usual.lying})"
        ),
    )
    parser.add_argument(
        "--align-only",
        action="store_true",
        help="only import meshes and scans, and write their orientations and the pictures",
    )
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument(
        "--quick", action="store_true", help="fewer shapes, views and steps, for a look"
    )
    extent.add_argument(
        "--config", type=path_argument, metavar="YAML", help="settings, see LearningSettings"
    )
    parser.add_argument(
        "--workers",
        type=integer(),
        default=os.cpu_count() or 1,
        help="processes that simulate views (default: number of cores)",
    )
    add_device_argument(parser, "auto")
    add_threads_argument(parser)


def _size_range(text: str) -> SizeRange:
    try:
        return SizeRange.parse(text)
    except ConfigurationError as error:
        raise ArgumentTypeError(str(error)) from error
