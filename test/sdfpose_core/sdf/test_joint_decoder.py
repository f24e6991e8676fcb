"""Decoders of several categories as one."""

from __future__ import annotations

import pytest
import torch

from sdfpose_core.refine.anchors import surface_anchors
from sdfpose_core.sdf.decoder import DecoderConfig, SdfDecoder
from sdfpose_core.sdf.joint_decoder import JointDecoder, repeats

ROWS = torch.tensor([0, 0, 2])


@pytest.fixture(scope="module")
def decoders():
    """Three untrained decoders."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return [SdfDecoder(DecoderConfig(4, 16, 2)).requires_grad_(False) for _ in range(3)]


@pytest.fixture(scope="module")
def asked():
    """Points and codes of three rows."""
    generator = torch.Generator().manual_seed(1)
    return torch.rand(3, 5, 3, generator=generator) - 0.5, torch.randn(3, 4, generator=generator)


@pytest.mark.parametrize("ask", ["__call__", "value_and_gradient", "value_and_jacobian"])
def test_each_row_is_decoded_by_its_own_decoder(decoders, asked, ask):
    points, codes = asked
    joint = getattr(JointDecoder(decoders, ROWS), ask)(points, codes)
    for row, number in enumerate(ROWS.tolist()):
        alone = getattr(decoders[number], ask)(points[row : row + 1], codes[row : row + 1])
        pairs = [(joint, alone)] if ask == "__call__" else zip(joint, alone, strict=True)
        for one, other in pairs:
            torch.testing.assert_close(one[row : row + 1], other)


def test_some_of_the_rows(decoders, asked):
    points, codes = asked
    kept = torch.tensor([False, True, True])
    some = JointDecoder(decoders, ROWS)[kept]
    torch.testing.assert_close(
        some(points[kept], codes[kept]), JointDecoder(decoders, ROWS)(points, codes)[kept]
    )


def test_equal_codes_in_a_row_are_one_shape_if_they_are_of_one_category(decoders):
    codes = torch.tensor([[1.0] * 4, [1.0] * 4, [1.0] * 4])
    assert repeats(JointDecoder(decoders, ROWS), codes).tolist() == [False, True, False]
    assert repeats(decoders[0], codes).tolist() == [False, True, True]
    codes[1, 2] = 2.0
    assert repeats(decoders[0], codes).tolist() == [False, False, False]


def test_equal_shapes_have_equal_anchors(decoders):
    decoder = JointDecoder(decoders, torch.tensor([0, 0, 0, 1]))
    codes = torch.tensor([[0.1] * 4, [0.1] * 4, [0.3] * 4, [0.3] * 4])
    found = surface_anchors(decoder, codes, 6)
    for row, number in enumerate((0, 0, 0, 1)):
        alone = surface_anchors(decoders[number], codes[row : row + 1], 6)[0]
        torch.testing.assert_close(found[row], alone)
