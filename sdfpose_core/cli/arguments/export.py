"""`sdfpose export`: export the networks as ONNX files."""

from __future__ import annotations

from typing import Any, get_args

from sdfpose_core.cli.arguments.work import run_of
from sdfpose_core.cli.category_choice import add_weights_argument
from sdfpose_core.cli.paths import path_argument
from sdfpose_core.estimation.options import EncoderName
from sdfpose_core.export.opsets import DEFAULT_OPSET, OPSETS

__all__ = ["add_parser", "run"]

run = run_of("sdfpose_core.cli.export")


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
