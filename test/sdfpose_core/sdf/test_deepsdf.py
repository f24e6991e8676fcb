"""The network of the papers."""

import math

import pytest
import torch

from sdfpose_core.errors import ShapeError, WeightsError
from sdfpose_core.sdf.decoder import DecoderConfig, SdfDecoder
from sdfpose_core.sdf.deepsdf import DeepSdf, DeepSdfConfig
from sdfpose_core.sdf.loading import load_decoder
from sdfpose_core.sdf.meshing import decode_mesh
from sdfpose_core.weights import write_weights

SMALL = DeepSdfConfig(code_length=4, width=32, hidden_layers=6, skip_at=3)


@pytest.fixture
def small():
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return DeepSdf(SMALL)


def random_input(batch, count, device="cpu", dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    points = 0.3 * torch.randn(batch, count, 3, generator=generator, dtype=dtype)
    codes = torch.randn(batch, SMALL.code_length, generator=generator, dtype=dtype)
    return points.to(device), codes.to(device)


class Sphere(torch.nn.Module):
    """A `ShapeDecoder` that, as a clamped training leaves it, knows distances near by only."""

    device = torch.device("cpu")

    def __init__(self, radius, reach):
        super().__init__()
        self.radius, self.reach = radius, reach

    def forward(self, points, codes):
        distance = points.norm(dim=-1) - self.radius
        beyond = (distance.abs() - self.reach).clamp(min=0.0)
        return distance + 5.0 * distance.sign() * beyond

    def value_and_gradient(self, points, codes):
        return self(points, codes), torch.nn.functional.normalize(points, dim=-1)


def test_it_has_the_papers_size():
    network = DeepSdf()
    assert [tuple(x.weight.shape) for x in network.layers] == [
        (512, 19), (512, 512), (512, 512), (493, 512), *[(512, 512)] * 4
    ]  # fmt: skip
    assert sum(x.numel() for x in network.parameters()) == pytest.approx(1.84e6, rel=0.01)


def test_values_are_bounded_and_objects_apart(small):
    points, codes = random_input(2, 5)
    values = small(points, codes)
    assert values.shape == (2, 5)
    assert values.abs().max() < SMALL.unit
    torch.testing.assert_close(small(points[1:], codes[1:])[0], values[1])


def test_code_and_point_enter_again(small):
    """With the layers before dead, the output still depends on both."""
    small.requires_grad_(False)
    for layer in small.layers[: SMALL.skip_at]:
        layer.weight.zero_()
        layer.bias.zero_()
    points, codes = random_input(1, 5)
    assert not torch.allclose(small(points, codes), small(points + 1.0, codes))
    assert not torch.allclose(small(points, codes), small(points, codes + 1.0))


def test_the_unit_scales_points_and_distances(small):
    plain = DeepSdf(DeepSdfConfig(4, 32, 6, 3, unit=1.0))
    plain.load_state_dict(small.state_dict())
    points, codes = random_input(2, 5)
    torch.testing.assert_close(small(points, codes), 0.5 * plain(2.0 * points, codes))
    assert small.reach == pytest.approx(0.05)


def test_the_written_out_derivatives_are_those_of_autograd(small, device):
    small = small.double().to(device)
    points, codes = random_input(3, 11, device, torch.float64)
    points.requires_grad_(True)
    spread = codes.repeat_interleave(11, dim=0).requires_grad_(True)
    value = small(points.view(33, 1, 3), spread)
    expected_point, expected_code = torch.autograd.grad(value.sum(), (points, spread))
    again, d_point, d_code = small.value_and_jacobian(points, codes)
    torch.testing.assert_close(again, value.view(3, 11))
    torch.testing.assert_close(d_point, expected_point, atol=1e-12, rtol=1e-10)
    torch.testing.assert_close(d_code, expected_code.view(3, 11, 4), atol=1e-12, rtol=1e-10)
    torch.testing.assert_close(small.value_and_gradient(points, codes), (again, d_point))


def test_pieces_give_what_the_whole_gives(small):
    points, codes = random_input(2, 5000)
    whole = small.value_and_jacobian(points, codes)
    with torch.no_grad():
        pieces = small.value_and_jacobian(points, codes)
        values = small(points, codes)
    for a, b in zip((*pieces, values), (*whole, whole[0]), strict=True):
        torch.testing.assert_close(a, b.detach(), atol=1e-5, rtol=1e-5)


def test_no_tensor_is_made_without_a_device(small, device, explicit_devices):
    small = small.to(device)
    points, codes = random_input(2, 7, device)
    with explicit_devices(), torch.no_grad():
        small(points, codes)
        small.value_and_jacobian(points, codes)


def test_wrong_shapes():
    with pytest.raises(ShapeError, match=r"codes has shape \(1, 15\): expected \(1, 16\)"):
        DeepSdf()(torch.zeros(1, 5, 3), torch.zeros(1, 15))


def test_a_file_says_which_network_it_holds(small, tmp_path, device):
    path = tmp_path / "mug.decoder.safetensors"
    small.code_mean.fill_(0.25)
    small.save(path, "mug")
    loaded = load_decoder(path, device)
    assert isinstance(loaded, DeepSdf)
    assert loaded.config == SMALL
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    assert loaded.code_mean.eq(0.25).all()
    assert loaded.device.type == device.type
    points, codes = random_input(2, 5)
    torch.testing.assert_close(
        loaded(points.to(device), codes.to(device)).cpu(), small(points, codes).detach()
    )
    with pytest.raises(WeightsError, match="contains 'sdfpose/1 deepsdf decoder': expected 'sd"):
        SdfDecoder.load(path)
    SdfDecoder(DecoderConfig(4, 8, 2)).save(path, "mug")
    assert isinstance(load_decoder(path), SdfDecoder)
    with pytest.raises(WeightsError, match=r"contains 'sdfpose/1 decoder': expected 'sdfpose/1 d"):
        DeepSdf.load(path)


def test_files_that_are_no_decoder_are_refused(small, tmp_path):
    path = tmp_path / "mug.decoder.safetensors"
    with pytest.raises(WeightsError, match="no such weights file; expected the decoder"):
        load_decoder(path)
    write_weights(path, "encoder", "mug", {}, {"w": torch.zeros(1)})
    with pytest.raises(WeightsError, match="contains 'sdfpose/1 encoder': expected 'sdfpose/1 d"):
        load_decoder(path)
    for settings in ({"code_length": 5, "width": 32}, {"depth": 8}):
        write_weights(path, "deepsdf decoder", "mug", settings, small.state_dict())
        with pytest.raises(WeightsError, match=r"(?s)the tensors do not fit .*import it again"):
            load_decoder(path)
    path.write_bytes(b"rubbish")
    with pytest.raises(WeightsError, match="damaged"):
        load_decoder(path)


@pytest.mark.parametrize("reach", [math.inf, 0.05])
def test_meshing_trusts_values_within_reach_alone(reach):
    mesh = decode_mesh(Sphere(0.3, reach), torch.zeros(4), 64)
    radius = torch.from_numpy(mesh.vertices).norm(dim=-1)
    assert (radius - 0.3).abs().max() < 1e-3
    directions = torch.nn.functional.normalize(torch.randn(200, 3), dim=-1)
    distance = torch.cdist(directions, torch.from_numpy(mesh.vertices) / 0.3).min(dim=1).values
    assert distance.max() < 0.15
