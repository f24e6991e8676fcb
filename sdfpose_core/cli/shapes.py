"""`sdfpose shapes`: look at the training shapes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sdfpose_core.categories import default_categories
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.files import write_atomically
from sdfpose_core.shapes.contact_sheet import contact_sheet
from sdfpose_core.shapes.families import FAMILIES, HELD_OUT_SEED, sample_model
from sdfpose_core.shapes.imports import load_collection

__all__ = ["add_parser", "run"]

_MAX_COUNT = 1000


def add_parser(subparsers: Any) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "shapes",
        help="look at the training shapes",
        description="Look at the shapes that the decoders are trained on.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    render = actions.add_parser(
        "render",
        help="draw a contact sheet of models",
        description=(
            "Draw a contact sheet of procedural models, or with --models of the meshes of a "
            "folder, and write it as PNG. Exit status 0."
        ),
    )
    render.add_argument(
        "--category",
        nargs="+",
        default=None,
        metavar="NAME",
        help=f"one or more of {', '.join(FAMILIES)} (default: all)",
    )
    render.add_argument("--out", type=Path, required=True, metavar="PNG", help="file to write")
    render.add_argument(
        "--count", type=int, default=24, help="procedural models per category (default: 24)"
    )
    render.add_argument("--seed", type=int, default=0, help="seed of the first (default: 0)")
    render.add_argument(
        "--held-out", action="store_true", help="draw the shapes that never serve training"
    )
    render.add_argument(
        "--models",
        type=Path,
        metavar="DIR",
        help="draw the meshes of this folder in place of procedural ones",
    )
    render.add_argument("--columns", type=int, default=8, help="models per row (default: 8)")
    render.add_argument("--size", type=int, default=200, help="pixels per model (default: 200)")


def run(args: argparse.Namespace) -> int:
    """Draw the sheet and write it."""
    _check(args)
    if args.models is not None:
        category = args.category[0] if args.category else "imported"
        collection = load_collection(args.models, category)
        print(collection.report())
        sheets = [contact_sheet(collection.models, args.columns, args.size)]
    else:
        first = args.seed + (HELD_OUT_SEED if args.held_out else 0)
        sheets = [_family(args, name, first) for name in args.category or FAMILIES]
    image = np.concatenate(sheets)
    _, content = cv2.imencode(".png", image[..., ::-1])
    try:
        write_atomically(args.out, content.tobytes())
    except OSError as error:
        raise ConfigurationError(f"{args.out}: cannot be written: {error.strerror}") from error
    print(f"wrote {args.out} ({image.shape[1]}x{image.shape[0]} pixels)")
    return 0


def _family(args: argparse.Namespace, category: str, first: int) -> Any:
    """Sheet of one category, as wide as the others."""
    models = [sample_model(category, seed) for seed in range(first, first + args.count)]
    colour = default_categories()[category].colour
    soft = (
        (colour[0] + 510) // 3,
        (colour[1] + 510) // 3,
        (colour[2] + 510) // 3,
    )
    captions = [model.name for model in models]
    return contact_sheet(models, args.columns, args.size, captions, soft)


def _check(args: argparse.Namespace) -> None:
    for name in args.category or ():
        if args.models is None and name not in FAMILIES:
            default_categories()[name]  # names the nearest category
            raise ConfigurationError(
                f"--category {name}: has no procedural family: expected one of "
                f"{', '.join(FAMILIES)}, or a folder of meshes with --models"
            )
    for name, value, low, high in (
        ("--count", args.count, 1, _MAX_COUNT),
        ("--columns", args.columns, 1, 100),
        ("--size", args.size, 32, 2000),
        ("--seed", args.seed, 0, HELD_OUT_SEED - 1),
    ):
        if not low <= value <= high:
            raise ConfigurationError(f"{name} is {value}: expected {low} to {high}")
    if args.out.suffix.lower() != ".png":
        raise ConfigurationError(f"--out is {args.out}: expected a name that ends in .png")
