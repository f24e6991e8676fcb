"""`sdfpose shapes`: render the training shapes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import default_categories
from sdfpose_core.cli.numbers import integer
from sdfpose_core.cli.output import write_file
from sdfpose_core.cli.paths import check_input_folder, check_output_file, path_argument
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.shapes.contact_sheet import contact_sheet
from sdfpose_core.shapes.families import FAMILIES, HELD_OUT_SEED, sample_model
from sdfpose_core.shapes.imports import load_collection, load_surface
from sdfpose_core.shapes.mesh_files import mesh_files
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.visualisation.reconstructions import reconstruction_sheet, soft_colour
from sdfpose_core.weights import weights_file

__all__ = ["add_parser", "run"]

_MAX_COUNT = 1000

_GREY = (225, 225, 225)


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


def run(args: argparse.Namespace) -> int:
    """Render and write the contact sheet."""
    _check(args)
    names = args.category or (FAMILIES if args.models is None else ("imported",))
    sheets = [_sheet(args, name, _models(args, name)) for name in names]
    image = np.concatenate(sheets)
    _, content = cv2.imencode(".png", image[..., ::-1])
    write_file(args.out, content.tobytes())
    print(f"wrote {args.out} ({image.shape[1]}x{image.shape[0]} pixels)")
    return 0


def _models(args: argparse.Namespace, category: str) -> Sequence[CadModel]:
    if args.models is not None:
        if args.reconstructions:
            return [load_surface(path, category) for path in mesh_files(args.models)]
        collection = load_collection(args.models, category)
        print(collection.report())
        return collection.models
    first = args.seed + (HELD_OUT_SEED if args.held_out or args.reconstructions else 0)
    return [sample_model(category, seed) for seed in range(first, first + args.count)]


def _sheet(
    args: argparse.Namespace, category: str, models: Sequence[CadModel]
) -> NDArray[np.uint8]:
    """Render the contact sheet of one category; all sheets have the same width."""
    table = default_categories()
    if args.reconstructions:
        decoder = SdfDecoder.load(weights_file(category, "decoder"))
        return reconstruction_sheet(decoder, models, table[category], args.columns, args.size)
    colour = soft_colour(table[category]) if category in table else _GREY
    captions = None if args.models is not None else [model.name for model in models]
    return contact_sheet(models, args.columns, args.size, captions, [colour])


def _check(args: argparse.Namespace) -> None:
    for name in args.category or ():
        if args.models is None and name not in FAMILIES:
            default_categories()[name]  # raises an error that suggests the nearest name
            raise ConfigurationError(
                f"--category {name}: no procedural models: expected one of "
                f"{', '.join(FAMILIES)}, or a folder of meshes with --models"
            )
    if args.reconstructions and args.models is not None and len(args.category or ()) != 1:
        raise ConfigurationError(
            "--reconstructions with --models needs the category of the meshes: expected "
            "--category with one name"
        )
    if args.out.suffix.lower() != ".png":
        raise ConfigurationError(f"--out is {args.out}: expected a file name ending in .png")
    check_output_file("--out", args.out)
    check_input_folder("--models", args.models, "meshes")
