"""`sdfpose export`: export the networks as ONNX files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from rich.text import Text

from sdfpose_core.cli.category_choice import (
    add_weights_argument,
    given_packs,
    usable_categories,
)
from sdfpose_core.cli.execution import describe_os_error
from sdfpose_core.cli.output import new_table, print_problems, wide_console
from sdfpose_core.cli.paths import check_output_folder, path_argument
from sdfpose_core.errors import SdfposeError
from sdfpose_core.estimation.category_model import EncoderName, load_networks
from sdfpose_core.export.onnx_files import (
    DEFAULT_OPSET,
    OPSETS,
    ExportedFile,
    export_decoder,
    export_encoder,
    export_masks,
)
from sdfpose_core.masks.network import MaskNetwork
from sdfpose_core.weights import MASKS_FILE

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "export",
        help="export the networks as ONNX files",
        description=(
            "Write DIR/CATEGORY_decoder.onnx, DIR/CATEGORY_decoder_jacobian.onnx and "
            "DIR/CATEGORY_encoder.onnx; without --category also DIR/masks.onnx, the mask network. "
            "The number of objects is dynamic, and so are the number of points of the decoders and "
            "the size of the mask network's images. Each file is run in onnxruntime and compared "
            "with PyTorch before it is kept. Requires 'pip install onnx onnxruntime'."
        ),
        epilog="Example: sdfpose export onnx/ --category mug",
    )
    parser.add_argument(
        "out", type=path_argument, metavar="DIR", help="folder to write the files to"
    )
    parser.add_argument(
        "--category",
        nargs="+",
        metavar="NAME",
        help="categories (default: all, and the mask network)",
    )
    add_weights_argument(parser)
    parser.add_argument(
        "--encoder",
        choices=get_args(EncoderName),
        default="fast",
        help="encoder to export; none exports only decoders (default: %(default)s)",
    )
    parser.add_argument(
        "--opset",
        type=int,
        default=DEFAULT_OPSET,
        metavar="N",
        help=f"ONNX operator set, {OPSETS[0]} to {OPSETS[-1]} (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Export the categories.

    Raises:
        SdfposeError: An argument is invalid, the weights cannot be used, a file cannot be
            written, or its graph differs from the network.
    """
    check_output_folder("DIR", args.out)
    files: list[ExportedFile] = []
    problems: list[str] = []
    packs = given_packs(args)
    for category in usable_categories(packs, args.category, problems):
        pack = packs[category]
        if args.encoder != "none" and pack.encoder is None:
            problems.append(f"{pack.folder}: has no encoder; only the decoder is exported")
        decoder, encoder = load_networks(pack, args.encoder)
        try:
            files += export_decoder(decoder, category, args.out, opset=args.opset)
            if encoder is not None:
                files.append(export_encoder(encoder, category, args.out, opset=args.opset))
        except OSError as error:
            raise _not_written(args.out, error) from error
    if args.category is None:
        masks = MaskNetwork.load(packs.shared(MASKS_FILE))
        try:
            files.append(export_masks(masks, args.out, opset=args.opset))
        except OSError as error:
            raise _not_written(args.out, error) from error
    print_problems(problems)
    _print(files, args.out)
    return 0


def _not_written(folder: Path, error: OSError) -> SdfposeError:
    return SdfposeError(f"{folder}: cannot be written: {describe_os_error(error)}")


def _print(files: Sequence[ExportedFile], folder: Path) -> None:
    table = new_table(f"ONNX files in {folder}")
    table.add_column("file", overflow="fold")
    for name in ("KiB", "deviation", "tolerance"):
        table.add_column(name, justify="right")
    for file in files:
        table.add_row(
            Text(file.path.name),
            f"{file.size / 1024:.0f}",
            f"{file.deviation:.1e}",
            f"{file.tolerance:.0e}",
        )
    wide_console().print(table)
