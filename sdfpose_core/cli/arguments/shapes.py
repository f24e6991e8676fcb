"""`sdfpose shapes`: render the training shapes."""

from __future__ import annotations

from typing import Any

from sdfpose_core.cli.arguments.work import run_of
from sdfpose_core.cli.numbers import integer
from sdfpose_core.cli.paths import path_argument
from sdfpose_core.shapes.families import FAMILIES, HELD_OUT_SEED

__all__ = ["add_parser", "run"]

run = run_of("sdfpose_core.cli.shapes")

_MAX_COUNT = 1000


def add_parser(subparsers: Any) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "shapes",
        help="render the training shapes",
        description="Inspect the shapes on which the decoders are trained.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    render = actions.add_parser(
        "render",
        help="render a contact sheet of models",
        description=(
            "Render a contact sheet of procedural models, or of the meshes of a folder with "
            "--models, and write it as a PNG file."
        ),
        epilog="Example: sdfpose shapes render --category mug --out mugs.png",
    )
    render.add_argument(
        "--category",
        nargs="+",
        default=None,
        metavar="NAME",
        help=f"categories, of {', '.join(FAMILIES)} (default: all)",
    )
    render.add_argument(
        "--out", type=path_argument, required=True, metavar="PNG", help="output image"
    )
    render.add_argument(
        "--count",
        type=integer(1, _MAX_COUNT),
        default=24,
        help="procedural models per category (default: 24)",
    )
    render.add_argument(
        "--seed",
        type=integer(0, HELD_OUT_SEED - 1),
        default=0,
        help="seed of the first model (default: 0)",
    )
    render.add_argument(
        "--held-out", action="store_true", help="draw held-out shapes, never used for training"
    )
    render.add_argument(
        "--models",
        type=path_argument,
        metavar="DIR",
        help="draw the meshes of this folder instead of procedural models",
    )
    render.add_argument(
        "--reconstructions",
        action="store_true",
        help=(
            "draw each model (grey) next to its reconstruction by the decoder from points on the "
            "whole surface (coloured), with the Chamfer distance in per cent of the diagonal"
        ),
    )
    render.add_argument(
        "--columns", type=integer(1, 100), default=8, help="models per row (default: 8)"
    )
    render.add_argument(
        "--size", type=integer(32, 2000), default=200, help="pixels per model (default: 200)"
    )
