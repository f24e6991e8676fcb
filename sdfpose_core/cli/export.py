"""The work of `sdfpose export`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from sdfpose_core.cli.category_choice import (
    given_packs,
    usable_categories,
)
from sdfpose_core.cli.execution import describe_os_error
from sdfpose_core.cli.output import new_table, print_problems, wide_console
from sdfpose_core.cli.paths import check_output_folder
from sdfpose_core.errors import SdfposeError
from sdfpose_core.estimation.category_model import load_networks
from sdfpose_core.export.onnx_files import (
    ExportedFile,
    export_decoder,
    export_encoder,
    export_masks,
)
from sdfpose_core.masks.network import MaskNetwork
from sdfpose_core.weights import MASKS_FILE

__all__ = ["run"]


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
