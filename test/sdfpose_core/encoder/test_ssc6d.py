from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from sdfpose_core.encoder.fast import FastEncoder, FastEncoderConfig
from sdfpose_core.encoder.ssc6d import (
    Ssc6dConfig,
    Ssc6dEncoder,
    _rotation,
    colour_view,
)
from sdfpose_core.errors import FrameError, ShapeError, WeightsError
from sdfpose_core.observation.colour_crop import ColourCrop, crop_window
from sdfpose_core.observation.frame import Instance
from sdfpose_core.observation.free_space import FreeSpace
from sdfpose_core.weights import write_weights

CONFIG = Ssc6dConfig(code_length=6, points=50, image_size=24, width=8)


def make(config):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Ssc6dEncoder(config).eval()


@pytest.fixture
def encoder():
    return make(CONFIG)


def random_input(config=CONFIG, batch=2, device="cpu"):
    generator = torch.Generator().manual_seed(1)
    size, count = config.image_size, config.points
    colour = torch.randint(256, (batch, size, size, 3), generator=generator, dtype=torch.uint8)
    centre = torch.tensor([0.1, -0.2, 0.8])
    points = centre + 0.05 * torch.randn(batch, count, 3, generator=generator)
    index = torch.randint(size * size, (batch, count), generator=generator)
    return colour.to(device), points.to(device), index.to(device)


def measured(colour, corner=(30, 20), size=(25, 35)):
    """An instance that fills a box of the image; the colour of each point's pixel is its own."""
    u, v = np.meshgrid(np.arange(size[0]) + corner[0], np.arange(size[1]) + corner[1])
    pixels = np.stack([u.ravel(), v.ravel()], axis=-1).astype(np.int32)
    points = np.concatenate([0.001 * pixels, np.ones((len(pixels), 1))], axis=1)
    return Instance(
        mask_id=3,
        category="mug",
        score=1.0,
        points=points.astype(np.float32),
        pixels=pixels,
        free=FreeSpace.unknown(),
        mask_pixels=len(pixels),
        colour=colour,
    )


def check_shapes(encoding, batch, code_length):
    assert encoding.similarity.rotation.shape == (batch, 1, 3, 3)
    assert encoding.similarity.translation.shape == (batch, 1, 3)
    assert encoding.similarity.scale.shape == (batch, 1)
    assert encoding.logits.shape == (batch, 1)
    assert encoding.logits.eq(0.0).all()
    assert encoding.codes.shape == (batch, code_length)
    rotation = encoding.similarity.rotation
    eye = torch.eye(3, device=rotation.device).expand(batch, 1, 3, 3)
    torch.testing.assert_close(rotation @ rotation.transpose(-1, -2), eye, atol=1e-5, rtol=0)
    assert (torch.linalg.det(rotation) > 0.9).all()
    assert (encoding.similarity.scale > 0.0).all()


def test_shapes_of_the_output(encoder, device):
    encoder = encoder.to(device)
    with torch.no_grad():
        encoding = encoder(*random_input(device=device))
    check_shapes(encoding, 2, 6)
    assert encoding.codes.device.type == device.type


def test_the_default_architecture_is_the_papers():
    encoder = make(Ssc6dConfig())
    # The published network's, less a classifier that nothing uses, with biases in the ResNet.
    assert sum(x.numel() for x in encoder.parameters()) == 20_692_347
    with torch.no_grad():
        check_shapes(encoder(*random_input(Ssc6dConfig(), batch=1)), 1, 16)


def test_the_same_input_gives_the_same_output_alone_and_in_a_batch(encoder):
    colour, points, index = random_input(batch=3)
    with torch.no_grad():
        together, again = encoder(colour, points, index), encoder(colour, points, index)
        alone = encoder(colour[1:2], points[1:2], index[1:2])
    assert torch.equal(together.codes, again.codes)
    torch.testing.assert_close(together.codes[1:2], alone.codes, atol=1e-5, rtol=1e-5)


def test_translation_is_relative_to_the_centroid(encoder):
    colour, points, index = random_input()
    shift = torch.tensor([0.3, 0.1, -0.2])
    with torch.no_grad():
        before, after = encoder(colour, points, index), encoder(colour, points + shift, index)
    torch.testing.assert_close(
        after.similarity.translation, before.similarity.translation + shift, atol=1e-5, rtol=0
    )
    torch.testing.assert_close(after.codes, before.codes, atol=1e-4, rtol=0)


def test_the_order_of_points_does_not_matter_but_their_pixels_do(encoder):
    colour, points, index = random_input()
    order = torch.randperm(CONFIG.points, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        before = encoder(colour, points, index)
        after = encoder(colour, points[:, order], index[:, order])
        other = encoder(colour, points, index.flip(1))
        darker = encoder(colour // 2, points, index)
    torch.testing.assert_close(after.codes, before.codes, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(other.codes, before.codes, atol=1e-6)
    assert not torch.allclose(darker.codes, before.codes, atol=1e-6)


def test_long_codes_are_shortened_where_a_bound_is_set(encoder):
    bound = 0.5 * float(encoder(*random_input()).codes.detach().norm(dim=-1).max())
    bounded = Ssc6dEncoder(Ssc6dConfig(**{**vars(CONFIG), "code_bound": bound})).eval()
    bounded.load_state_dict(encoder.state_dict())
    with torch.no_grad():
        free, codes = encoder(*random_input()).codes, bounded(*random_input()).codes
    expected = free * (bound / free.norm(dim=-1, keepdim=True)).clamp(max=1.0)
    torch.testing.assert_close(codes, expected)


def test_quaternions_have_the_real_part_first():
    turn = _rotation(torch.tensor([2.0, 0.0, 0.0, 2.0]))
    expected = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(turn, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("position", "shape", "message"),
    [
        (0, (2, 24, 25, 3), r"colour has shape .*: expected \(B, 24, 24, 3\)"),
        (1, (2, 51, 3), r"points and index .*: expected \(2, 50, 3\) and \(2, 50\)"),
        (2, (1, 50), r"points and index .*: expected \(2, 50, 3\) and \(2, 50\)"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(encoder, position, shape, message):
    arguments = list(random_input())
    arguments[position] = torch.zeros(shape)
    with pytest.raises(ShapeError, match=message):
        encoder(*arguments)


def test_no_tensor_is_made_without_a_device(encoder, device, explicit_devices):
    encoder = encoder.to(device)
    arguments = random_input(device=device)
    with explicit_devices(), torch.no_grad():
        encoder(*arguments)


def test_what_is_saved_in_half_precision_is_loaded(encoder, tmp_path, device):
    path = tmp_path / "mug.encoder.safetensors"
    encoder.save(path, "mug")
    assert path.stat().st_size < 2 * sum(x.numel() for x in encoder.parameters()) + 20_000
    loaded = Ssc6dEncoder.load(path, device)
    assert loaded.config == CONFIG
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    assert loaded.device.type == device.type
    with torch.no_grad():
        a, b = encoder(*random_input()), loaded(*random_input(device=device))
    torch.testing.assert_close(b.codes.cpu(), a.codes, atol=2e-3, rtol=0)


def test_the_two_encoders_are_told_apart(encoder, tmp_path):
    path = tmp_path / "mug.encoder.safetensors"
    encoder.save(path, "mug")
    with pytest.raises(
        WeightsError, match="contains 'sdfpose/1 ssc6d encoder': expected 'sdfpose/1 "
    ):
        FastEncoder.load(path)
    FastEncoder(FastEncoderConfig(width=16, heads=2, layers=1), 0.2).save(path, "mug")
    with pytest.raises(WeightsError, match=r"contains 'sdfpose/1 encoder': expected 'sdfpose/1 s"):
        Ssc6dEncoder.load(path)


def test_weights_of_another_architecture_are_refused(encoder, tmp_path):
    path = tmp_path / "mug.encoder.safetensors"
    for settings in ({"code_length": 6}, {"depth": 3}):
        write_weights(path, "ssc6d encoder", "mug", settings, encoder.state_dict())
        with pytest.raises(WeightsError, match=r"(?s)encoder\.safetensors: the tensors do not fit"):
            Ssc6dEncoder.load(path)


def test_points_know_their_pixels():
    """Red is the column, green the row; at twice the size of the crop they are easily found."""
    v, u = np.mgrid[:96, :120]
    colour = np.stack([2 * u, 2 * v, np.zeros_like(u)], axis=-1).astype(np.uint8)
    instance = measured(colour)
    view = colour_view(instance, 80, 2000, np.random.default_rng(0))
    assert view.colour.shape == (80, 80, 3)
    assert view.points.shape == (2000, 3)
    assert view.points.dtype == np.float32
    assert view.index.dtype == np.int64
    left, top, side = crop_window(instance.pixels, colour.shape[:2])
    assert side == 40
    seen = view.colour.reshape(-1, 3)[view.index]
    pixel = view.points[:, :2] * 1000.0
    # Half a pixel of the crop of twice the size, doubled, plus rounding.
    assert np.abs(seen[:, :2] - 2.0 * pixel).max() <= 2
    assert (left, top) == (22, 17)
    # All points take part before any does twice.
    assert len(np.unique(view.points, axis=0)) == len(instance.points)


def test_a_window_past_the_image_is_black_there():
    instance = measured(np.full((40, 200, 3), 255, np.uint8), corner=(20, 0), size=(150, 40))
    view = colour_view(instance, 160, 100, np.random.default_rng(0))
    rows = view.colour[:, 80, 0]
    assert (rows == 255).sum() == 40
    assert rows[59] == 0
    assert rows[60] == 255


def test_a_stored_crop_gives_the_same_view():
    colour = np.random.default_rng(0).integers(256, size=(96, 120, 3), dtype=np.uint8)
    whole = measured(colour)
    stored = replace(whole, colour=ColourCrop.around(colour, whole.pixels))
    views = [colour_view(x, 80, 500, np.random.default_rng(0)) for x in (whole, stored)]
    for a, b in zip(*(vars(x).values() for x in views), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_choice_of_points_is_the_generators(encoder):
    colour = np.random.default_rng(0).integers(256, size=(96, 120, 3), dtype=np.uint8)
    instance = measured(colour)

    def codes(seed):
        return encoder.encode([instance, instance], [np.random.default_rng(seed)] * 2).codes

    assert torch.equal(codes(1), codes(1))
    assert not torch.equal(codes(1), codes(2))


def test_an_instance_without_colour_is_refused(encoder):
    with pytest.raises(FrameError, match=r"mask id 3 \(mug\) has no colour: expected an \(H, W, 3"):
        encoder.encode([measured(None)], [np.random.default_rng(0)])
