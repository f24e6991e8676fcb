import pytest
import torch

from sdfpose_core.errors import ShapeError
from sdfpose_core.sdf.decoder import DecoderConfig, SdfDecoder
from sdfpose_core.sdf.mixed import MixedDecoder, mixable

CONFIG = DecoderConfig(code_length=5, width=24, hidden_layers=3)


def make_decoder(seed, config=CONFIG):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        decoder = SdfDecoder(config)
    decoder.code_mean += seed
    return decoder.requires_grad_(False)


@pytest.fixture
def decoders(device):
    return [make_decoder(seed).to(device) for seed in (0, 1, 0)]


@pytest.fixture
def points_and_codes(device):
    generator = torch.Generator().manual_seed(5)
    points = 0.3 * torch.randn(3, 40, 3, generator=generator)
    return points.to(device), torch.randn(3, 5, generator=generator).to(device)


def test_each_object_is_decoded_by_its_own_decoder(decoders, points_and_codes):
    points, codes = points_and_codes
    mixed = MixedDecoder(decoders)
    value = mixed(points, codes)
    with_gradient = mixed.value_and_gradient(points, codes)
    with_jacobian = mixed.value_and_jacobian(points, codes)
    for i, decoder in enumerate(decoders):
        one = points[i : i + 1], codes[i : i + 1]
        torch.testing.assert_close(value[i : i + 1], decoder(*one), atol=1e-6, rtol=1e-5)
        for found, expected in zip(with_gradient, decoder.value_and_gradient(*one), strict=True):
            torch.testing.assert_close(found[i : i + 1], expected, atol=1e-6, rtol=1e-5)
        for found, expected in zip(with_jacobian, decoder.value_and_jacobian(*one), strict=True):
            torch.testing.assert_close(found[i : i + 1], expected, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(mixed.code_mean[i], decoder.code_mean)
    assert (value[0] - value[1]).abs().max() > 0.01


def test_decoders_of_different_architectures_are_not_mixed(decoders, tiny_shapes):
    assert mixable(decoders[0]) == mixable(decoders[1]) is not None
    assert mixable(tiny_shapes.decoder) != mixable(decoders[0])
    assert mixable(object()) is None
    with pytest.raises(ShapeError, match="2 decoders of different architectures"):
        MixedDecoder([decoders[0], make_decoder(0, DecoderConfig(5, 32, 3))])


def test_there_is_a_decoder_for_each_object(decoders, points_and_codes):
    points, codes = points_and_codes
    with pytest.raises(ShapeError, match="2 objects came for 3 decoders: expected one each"):
        MixedDecoder(decoders)(points[:2], codes[:2])
