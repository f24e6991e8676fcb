"""`sdfpose import-ssc6d`: convert the published networks of SSC-6D to our weight format."""

from __future__ import annotations

from typing import Any

from sdfpose_core.cli.arguments.work import run_of
from sdfpose_core.cli.category_choice import add_pack_out_argument
from sdfpose_core.cli.paths import path_argument

__all__ = ["add_parser", "run"]

run = run_of("sdfpose_core.cli.import_ssc6d")


def add_parser(subparsers: Any) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "import-ssc6d",
        help="convert the published networks of SSC-6D to our weight format",
        description=(
            "Read the networks that SSC-6D published for one category and write the pack "
            "OUT/CATEGORY. Use it with 'sdfpose estimate --weights OUT --encoder ssc6d'. The pose "
            "network alone completes a pack that has its decoder. No code in the files is "
            "executed. The files do not name their category, so CATEGORY cannot be checked."
        ),
        epilog="Example: sdfpose import-ssc6d mug --deepsdf 2000.pth --out ssc6d_weights",
    )
    parser.add_argument(
        "category", metavar="CATEGORY", help="category that the networks were trained for"
    )
    parser.add_argument(
        "--deepsdf",
        type=path_argument,
        metavar="FILE",
        help="DeepSDF decoder, e.g. param/mug_remv/ModelParameters/2000.pth",
    )
    parser.add_argument(
        "--codes",
        type=path_argument,
        metavar="FILE",
        help=(
            "latent codes of the training shapes, for the shape prior, e.g. DeepSDF's "
            "LatentCodes/2000.pth (default: the codes in the decoder file, else a broad prior)"
        ),
    )
    parser.add_argument(
        "--pose", type=path_argument, metavar="FILE", help="pose network, pose_model_*.pth"
    )
    add_pack_out_argument(parser)
