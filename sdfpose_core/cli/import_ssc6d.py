"""The work of `sdfpose import-ssc6d`."""

from __future__ import annotations

import argparse
from pathlib import Path

from sdfpose_core.categories import CATEGORY_FILE, default_categories
from sdfpose_core.cli.paths import check_output_folder
from sdfpose_core.encoder.ssc6d import Ssc6dEncoder
from sdfpose_core.encoder.ssc6d_import import import_decoder, import_encoder
from sdfpose_core.errors import ConfigurationError, WeightsError
from sdfpose_core.packs.pack import Kind, Pack
from sdfpose_core.packs.writing import write_pack
from sdfpose_core.sdf.loading import load_decoder
from sdfpose_core.weights.network import StoredNetwork

__all__ = ["run"]


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
