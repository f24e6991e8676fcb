"""Decoys: packs of made-up categories, to measure how the estimator copes with many categories.

A decoy is a copy of a pack under another name whose objects have another size and are stretched
along y. Its networks are those of the copied category in the stretched space, so nothing is
trained.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from sdfpose_core.encoder.ssc6d import Ssc6dEncoder
from sdfpose_core.errors import ConfigurationError, WeightsError
from sdfpose_core.estimation.category_model import load_networks
from sdfpose_core.packs.pack import Kind, Pack
from sdfpose_core.packs.writing import write_pack
from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.weights.network import StoredNetwork

__all__ = ["copied_from", "stretched", "write_decoys"]

_SIZES_AND_STRETCHES = ((0.7, 1.5), (1.4, 0.7), (2.0, 1.2), (0.5, 0.85))
"""Diagonal and length along y of the decoys of a pack, relative to those of the pack."""

_SEPARATOR = "_decoy"


def write_decoys(folder: Path, packs: Mapping[str, Pack], count: int) -> None:
    """Write packs of decoys of all packs by turns.

    Args:
        folder: their parent.
        packs: whose copies they are; each needs networks of sdfpose.
        count: number of decoys, at most four of each pack.

    Raises:
        ConfigurationError: `count` is too large.
        PackError: the folder cannot be written.
        WeightsError: the networks of a pack cannot be read, or are not of sdfpose.
    """
    most = len(_SIZES_AND_STRETCHES) * len(packs)
    if count > most:
        raise ConfigurationError(f"{count} decoys of {len(packs)} packs: expected at most {most}")
    shapes = ((x, i, *y) for i, y in enumerate(_SIZES_AND_STRETCHES, 1) for x in packs.values())
    for (pack, number, size, stretch), _ in zip(shapes, range(count), strict=False):
        _write_decoy(folder, pack, number, size, stretch)


def copied_from(category: str) -> str:
    """The category that a decoy is a copy of; other names stay."""
    return category.partition(_SEPARATOR)[0]


def stretched(decoder: SdfDecoder, factor: float) -> SdfDecoder:
    """A decoder of the same shapes, stretched along y by a factor and narrowed to the same volume.

    Values are exact on the surface only.
    """
    found = copy.deepcopy(decoder)
    across = factor**-0.5
    # Coordinates x, y, z and distance from the axis; f(q) becomes f(q / s).
    inverse = torch.tensor([across, factor, across, across]).reciprocal()
    first = found.layers().hidden[0].point
    with torch.no_grad():
        first.mul_(inverse.to(first))
    return found


def _write_decoy(folder: Path, pack: Pack, number: int, size: float, stretch: float) -> None:
    name = f"{pack.name}{_SEPARATOR}{number}"
    category = replace(
        pack.category,
        name=name,
        nocs_id=0,
        diagonal_m=size * pack.category.diagonal_m,
        labels=(name,),
        frames=(),
    )
    decoder, encoder = load_networks(pack, "fast")
    if not isinstance(decoder, SdfDecoder) or isinstance(encoder, Ssc6dEncoder):
        raise WeightsError(f"{pack.folder}: has imported networks: decoys need those of sdfpose")
    networks: dict[Kind, StoredNetwork] = {"decoder": stretched(decoder, stretch)}
    if encoder is not None:
        encoder.unit = size * encoder.unit
        networks["encoder"] = encoder
    write_pack(folder / name, category, networks)
