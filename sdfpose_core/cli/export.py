"""`sdfpose export`: the networks of categories as ONNX files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from rich.table import Table

from sdfpose_core.cli.output import wide_console
from sdfpose_core.errors import ConfigurationError, SdfposeError
from sdfpose_core.estimation.category_model import EncoderName, load_networks
from sdfpose_core.export.onnx_files import (
    DEFAULT_OPSET,
    OPSETS,
    ExportedFile,
    export_decoder,
    export_encoder,
)
from sdfpose_core.weights import SHIPPED

__all__ = ["add_parser", "run"]

_DECODER_SUFFIX = ".decoder.safetensors"


def add_parser(subparsers: Any) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "export",
        help="write the networks of categories as ONNX files",
        description=(
            "Write DIR/CATEGORY_decoder.onnx, DIR/CATEGORY_decoder_jacobian.onnx and "
            "DIR/CATEGORY_encoder.onnx, for any number of objects and, of decoders, of points. "
            "Each file is compared with torch in onnxruntime before it is kept. Needs "
            "'pip install sdfpose[export]'."
        ),
    )
    parser.add_argument("out", type=Path, metavar="DIR", help="where the files go")
    parser.add_argument(
        "--category",
        nargs="+",
        metavar="NAME",
        help="only these categories (default: all that there are weights of)",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        default=SHIPPED,
        metavar="DIR",
        help="weights to use in place of the shipped ones",
    )
    parser.add_argument(
        "--encoder",
        choices=get_args(EncoderName),
        default="fast",
        help="which encoder the weights hold; 'none' writes decoders alone (default: %(default)s)",
    )
    parser.add_argument(
        "--opset",
        type=int,
        default=DEFAULT_OPSET,
        metavar="N",
        help=f"ONNX operators' version, {OPSETS[0]} to {OPSETS[-1]} (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Export the categories.

    Raises:
        SdfposeError: an argument is wrong, weights cannot be used, a file cannot be written, or
            its graph differs from the network.
    """
    files: list[ExportedFile] = []
    for category in args.category or _categories(args.weights):
        decoder, encoder = load_networks(category, args.encoder, args.weights)
        try:
            files += export_decoder(decoder, category, args.out, opset=args.opset)
            if encoder is not None:
                files.append(export_encoder(encoder, category, args.out, opset=args.opset))
        except OSError as error:
            raise SdfposeError(f"{args.out}: cannot be written: {error.strerror}") from error
    _print(files, args.out)
    return 0


def _categories(weights: Path) -> list[str]:
    """Names of the categories that a folder has decoders of."""
    found = sorted(
        x.name.removesuffix(_DECODER_SUFFIX) for x in weights.glob(f"*{_DECODER_SUFFIX}")
    )
    if not found:
        raise ConfigurationError(f"{weights}: expected weights, CATEGORY{_DECODER_SUFFIX}")
    return found


def _print(files: Sequence[ExportedFile], folder: Path) -> None:
    table = Table(title=f"ONNX files in {folder}", title_justify="left")
    table.add_column("file")
    for name in ("KiB", "deviation", "allowed"):
        table.add_column(name, justify="right")
    for file in files:
        table.add_row(
            file.path.name,
            f"{file.size / 1024:.0f}",
            f"{file.deviation:.1e}",
            f"{file.tolerance:.0e}",
        )
    wide_console().print(table)
