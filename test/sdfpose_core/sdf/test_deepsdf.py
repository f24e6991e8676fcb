"""The network of the papers."""

import pytest
import torch

from sdfpose_core.errors import ShapeError
from sdfpose_core.sdf.deepsdf import DeepSdf, DeepSdfConfig


def test_it_has_the_papers_size():
    network = DeepSdf()
    assert [tuple(x.weight.shape) for x in network.layers] == [
        (512, 19), (512, 512), (512, 512), (493, 512), *[(512, 512)] * 4
    ]  # fmt: skip
    assert sum(x.numel() for x in network.parameters()) == pytest.approx(1.84e6, rel=0.01)


def test_values_are_bounded_and_objects_apart():
    network = DeepSdf(DeepSdfConfig(code_length=4, width=32))
    points, codes = torch.randn(2, 5, 3), torch.randn(2, 4)
    values = network(points, codes)
    assert values.shape == (2, 5)
    assert values.abs().max() < 1.0
    torch.testing.assert_close(network(points[1:], codes[1:])[0], values[1])


def test_code_and_point_enter_again_before_the_fifth_layer():
    """With the first four layers dead, the output still depends on both."""
    network = DeepSdf(DeepSdfConfig(code_length=4, width=32)).requires_grad_(False)
    for layer in network.layers[:4]:
        layer.weight.zero_()
        layer.bias.zero_()
    points, codes = torch.randn(1, 5, 3), torch.randn(1, 4)
    assert not torch.allclose(network(points, codes), network(points + 1.0, codes))
    assert not torch.allclose(network(points, codes), network(points, codes + 1.0))


def test_wrong_shapes():
    with pytest.raises(ShapeError, match=r"expected \(B, N, 3\) and \(B, 16\)"):
        DeepSdf()(torch.zeros(1, 5, 3), torch.zeros(1, 15))
