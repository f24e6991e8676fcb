"""The work of `sdfpose shapes`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import default_categories
from sdfpose_core.cli.output import write_file
from sdfpose_core.cli.paths import check_input_folder, check_output_file
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.shapes.contact_sheet import contact_sheet
from sdfpose_core.shapes.families import FAMILIES, HELD_OUT_SEED, sample_model
from sdfpose_core.shapes.imports import load_collection, load_surface
from sdfpose_core.shapes.mesh_files import mesh_files
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.visualisation.reconstructions import reconstruction_sheet, soft_colour
from sdfpose_core.weights import weights_file

__all__ = ["run"]


_GREY = (225, 225, 225)


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
