"""`sdfpose import-ssc6d`: convert the published networks of SSC-6D to our weight format."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sdfpose_core.categories import CATEGORY_FILE, default_categories
from sdfpose_core.cli.paths import check_output_folder, path_argument
from sdfpose_core.encoder.ssc6d import Ssc6dEncoder
from sdfpose_core.encoder.ssc6d_import import import_decoder, import_encoder
from sdfpose_core.errors import ConfigurationError, WeightsError
from sdfpose_core.packs.pack import Kind, Pack
from sdfpose_core.packs.writing import write_pack
from sdfpose_core.sdf.loading import load_decoder
from sdfpose_core.weights.network import StoredNetwork

__all__ = ["add_parser", "run"]


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
    parser.add_argument(
        "--out",
        type=path_argument,
        required=True,
        metavar="DIR",
        help="folder to write the pack to, as OUT/CATEGORY",
    )


def run(args: argparse.Namespace) -> int:
    """Import one category.

    Raises:
        SdfposeError: An argument is invalid, or a file cannot be used or written.
    """
    category = default_categories()[args.category]
    if args.deepsdf is None and args.pose is None:
        raise ConfigurationError("nothing to import: expected --deepsdf FILE, --pose FILE or both")
    if args.codes is not None and args.deepsdf is None:
        raise ConfigurationError(
            "--codes needs the decoder that it belongs to: expected --deepsdf FILE as well"
        )
    check_output_folder("--out", args.out)
    decoder = None if args.deepsdf is None else import_decoder(args.deepsdf, args.codes)
    encoder = None if args.pose is None else import_encoder(args.pose)
    if decoder is not None and encoder is not None:
        lengths = decoder.config.code_length, encoder.config.code_length
        if lengths[0] != lengths[1]:
            raise WeightsError(
                f"{args.pose}: predicts codes of length {lengths[1]}, but {args.deepsdf} has codes "
                f"of length {lengths[0]}: expected networks that were trained together"
            )
    folder = args.out / category.name
    base = Pack.read(folder) if (folder / CATEGORY_FILE).is_file() else None
    if encoder is not None and decoder is None and base is not None:
        _check_codes(args.pose, encoder, base)
    networks: dict[Kind, StoredNetwork] = {}
    if decoder is not None:
        networks["decoder"] = decoder
    if encoder is not None:
        networks["encoder"] = encoder
    pack = write_pack(folder, category, networks, base)
    for kind, network in networks.items():
        count = sum(x.numel() for x in network.parameters())
        print(f"{pack.file(kind)}: {kind} with {count / 1e6:.1f} million parameters")
    return 0


def _check_codes(file: Path, encoder: Ssc6dEncoder, pack: Pack) -> None:
    """Check that an encoder predicts codes of a pack's decoder."""
    lengths = (
        encoder.config.code_length,
        load_decoder(pack.verified("decoder")).config.code_length,
    )
    if lengths[0] != lengths[1]:
        raise WeightsError(
            f"{file}: predicts codes of length {lengths[0]}, but those of {pack.folder} have "
            f"length {lengths[1]}: expected networks that were trained together"
        )
