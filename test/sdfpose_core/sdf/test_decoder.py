import copy

import pytest
import torch
from torch.autograd import gradcheck

from sdfpose_core.errors import ShapeError, WeightsError
from sdfpose_core.sdf.decoder import DecoderConfig, SdfDecoder
from sdfpose_core.weights import write_weights

CONFIG = DecoderConfig(code_length=5, width=24, hidden_layers=3)


def random_input(batch, count, device="cpu", dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    points = 0.3 * torch.randn(batch, count, 3, generator=generator, dtype=dtype)
    codes = torch.randn(batch, CONFIG.code_length, generator=generator, dtype=dtype)
    return points.to(device), codes.to(device)


@pytest.fixture
def decoder():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return SdfDecoder(CONFIG)


def test_shapes_and_agreement_of_the_three_evaluations(decoder, device):
    decoder = decoder.to(device)
    points, codes = random_input(2, 7, device)
    value = decoder(points, codes)
    assert value.shape == (2, 7)
    with_gradient, gradient = decoder.value_and_gradient(points, codes)
    with_jacobian, d_point, d_code = decoder.value_and_jacobian(points, codes)
    assert d_point.shape == (2, 7, 3)
    assert d_code.shape == (2, 7, 5)
    torch.testing.assert_close(with_gradient, value, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(with_jacobian, value, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradient, d_point)
    assert decoder.device.type == device.type


def test_the_written_out_derivatives_are_those_of_autograd(decoder, device):
    decoder = decoder.double().to(device)
    points, codes = random_input(3, 11, device, torch.float64)
    points.requires_grad_(True)
    # A code per point, so that autograd gives the derivative point by point.
    spread = codes.repeat_interleave(11, dim=0).requires_grad_(True)
    value = decoder(points.view(33, 1, 3), spread)
    expected_point, expected_code = torch.autograd.grad(value.sum(), (points, spread))
    _, d_point, d_code = decoder.value_and_jacobian(points, codes)
    torch.testing.assert_close(d_point, expected_point, atol=1e-12, rtol=1e-10)
    torch.testing.assert_close(d_code, expected_code.view(3, 11, 5), atol=1e-12, rtol=1e-10)


def test_derivatives_on_the_y_axis_are_finite(decoder):
    points = torch.tensor([[[0.0, 0.1, 0.0], [0.0, -0.3, 0.0]]], dtype=torch.float64)
    codes = random_input(1, 1, dtype=torch.float64)[1]
    decoder = decoder.double()
    _, d_point, _ = decoder.value_and_jacobian(points, codes)
    assert torch.isfinite(d_point).all()
    points.requires_grad_(True)
    (expected,) = torch.autograd.grad(decoder(points, codes).sum(), points)
    torch.testing.assert_close(d_point, expected)


def test_values_and_derivatives_pass_gradcheck(decoder):
    """The derivatives too: losses on them are trained."""
    decoder = decoder.double()
    points, codes = random_input(2, 3, dtype=torch.float64)
    points.requires_grad_(True)
    codes.requires_grad_(True)
    assert gradcheck(decoder, (points, codes))
    assert gradcheck(decoder.value_and_gradient, (points, codes))
    assert gradcheck(decoder.value_and_jacobian, (points, codes))


@pytest.mark.parametrize(
    ("batch", "count"), [(1, 9001), (1, 4096), (3, 1500), (2, 5000), (9000, 1)]
)
def test_pieces_give_what_the_whole_gives(decoder, batch, count):
    points, codes = random_input(batch, count)
    whole = decoder.value_and_jacobian(points, codes)  # on the tape: in one piece
    values = decoder(points, codes)
    with torch.no_grad():
        pieces = decoder.value_and_jacobian(points, codes)
        in_chunks = decoder(points, codes)
    for a, b in zip(pieces, whole, strict=True):
        torch.testing.assert_close(a, b.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(in_chunks, values.detach(), atol=1e-5, rtol=1e-5)


def test_no_points_give_no_values(decoder):
    points, codes = random_input(2, 0)
    with torch.no_grad():
        assert decoder(points, codes).shape == (2, 0)
        assert decoder.value_and_jacobian(points, codes)[2].shape == (2, 0, 5)


def test_no_tensor_is_made_without_a_device(decoder, device, explicit_devices):
    decoder = decoder.to(device)
    points, codes = random_input(2, 3000, device)
    with explicit_devices(), torch.no_grad():
        decoder(points, codes)
        decoder.value_and_gradient(points, codes)
        decoder.value_and_jacobian(points, codes)


@pytest.mark.parametrize("name", ["__call__", "value_and_gradient", "value_and_jacobian"])
def test_arguments_that_do_not_fit_are_refused(decoder, name):
    function = getattr(decoder, name)
    points, codes = random_input(2, 4)
    with pytest.raises(ShapeError, match=r"points has shape \(4, 3\): expected \(B, N, 3\)"):
        function(points[0], codes)
    with pytest.raises(ShapeError, match=r"points has shape \(2, 4, 2\): expected \(B, N, 3\)"):
        function(points[..., :2], codes)
    with pytest.raises(ShapeError, match=r"codes has shape \(1, 5\): expected \(2, 5\)"):
        function(points, codes[:1])
    with pytest.raises(ShapeError, match=r"codes has shape \(2, 4\): expected \(2, 5\)"):
        function(points, codes[:, :4])


def test_names_of_the_tensors_are_those_of_shipped_files():
    names = set(SdfDecoder(CONFIG).state_dict())
    layers = {f"point_layers.{i}.{kind}" for i in range(3) for kind in ("weight", "bias")}
    codes = {f"code_layers.{i}.weight" for i in range(3)}
    statistics = {"code_mean", "code_covariance"}
    assert names == layers | codes | statistics | {"output.weight", "output.bias"}


def test_what_is_saved_is_loaded(decoder, device, tmp_path):
    path = tmp_path / "mug.decoder.safetensors"
    decoder.code_mean.fill_(0.25)
    decoder.save(path, "mug")
    loaded = SdfDecoder.load(path, device)
    assert loaded.config == CONFIG
    assert loaded.device.type == device.type
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    points, codes = random_input(2, 5)
    torch.testing.assert_close(
        loaded(points.to(device), codes.to(device)).cpu(), decoder(points, codes).detach()
    )
    assert loaded.code_mean.eq(0.25).all()


def test_weights_of_another_architecture_are_refused(decoder, tmp_path):
    path = tmp_path / "mug.decoder.safetensors"
    state = decoder.state_dict()
    wider = {"code_length": 5, "width": 32, "hidden_layers": 3}
    write_weights(path, "decoder", "mug", wider, state)
    with pytest.raises(WeightsError, match=r"(?s)tensors: the tensors do not fit .*make wei"):
        SdfDecoder.load(path)
    write_weights(path, "decoder", "mug", {"depth": 3}, state)
    with pytest.raises(WeightsError, match="the tensors do not fit"):
        SdfDecoder.load(path)
    incomplete = copy.copy(state)
    del incomplete["output.bias"]
    write_weights(
        path, "decoder", "mug", {"code_length": 5, "width": 24, "hidden_layers": 3}, incomplete
    )
    with pytest.raises(WeightsError, match=r"output\.bias"):
        SdfDecoder.load(path)


def test_a_trained_decoder_knows_distances(tiny_shapes):
    import numpy as np

    rng = np.random.default_rng(0)
    errors = []
    for shape, code in zip(tiny_shapes.shapes[:9], tiny_shapes.codes, strict=False):
        samples = shape.samples(rng, 500)
        value = tiny_shapes.decoder(torch.from_numpy(samples.points)[None], code[None])[0].numpy()
        errors.append(np.abs(value - samples.sdf).mean())
    assert np.mean(errors) < 0.01
