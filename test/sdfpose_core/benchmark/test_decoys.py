"""Packs of decoys."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sdfpose_core.benchmark.decoys import copied_from, stretched, write_decoys
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.estimation.category_model import load_networks
from sdfpose_core.packs.collection import Packs
from sdfpose_core.refine.anchors import surface_anchors
from sdfpose_core.sdf.decoder import SdfDecoder


@pytest.mark.parametrize("factor", [0.7, 1.5])
def test_a_stretched_decoder_has_the_stretched_surface(factor: float) -> None:
    decoder, _ = load_networks(Packs.beside_shipped()["mug"], "none")
    assert isinstance(decoder, SdfDecoder)
    code = decoder.code_mean.unsqueeze(0)
    points = surface_anchors(decoder, code, 64)
    scale = torch.tensor([factor**-0.5, factor, factor**-0.5], device="cpu")
    found = stretched(decoder, factor)(points * scale, code)
    torch.testing.assert_close(found, decoder(points, code), atol=1e-4, rtol=0.0)
    assert float(decoder(points, code).abs().max()) < 0.01


def test_decoys_are_packs_beside_the_shipped_ones(tmp_path: Path) -> None:
    shipped = Packs.beside_shipped()
    write_decoys(tmp_path, shipped, 8)
    packs = Packs.beside_shipped([tmp_path])
    decoys = [x for x in packs if x not in shipped]
    assert len(decoys) == 8
    assert {copied_from(x) for x in decoys} == set(shipped)
    assert [copied_from(x) for x in shipped] == list(shipped)
    for name in decoys:
        size = packs[name].category.diagonal_m / shipped[copied_from(name)].category.diagonal_m
        _, encoder = load_networks(packs[name], "fast")
        _, original = load_networks(shipped[copied_from(name)], "fast")
        assert encoder is not None
        assert original is not None
        torch.testing.assert_close(encoder.unit, size * original.unit)


def test_there_are_four_decoys_of_a_pack(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="25 decoys of 6 packs: expected at most 24"):
        write_decoys(tmp_path, Packs.beside_shipped(), 25)
