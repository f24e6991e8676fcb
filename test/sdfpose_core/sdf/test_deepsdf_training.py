"""Training of the network of the papers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from sdfpose_core.errors import ConfigurationError, WeightsError
from sdfpose_core.sdf.auto_decoder import validate_decoder
from sdfpose_core.sdf.deepsdf import DeepSdf, DeepSdfConfig
from sdfpose_core.sdf.deepsdf_training import DeepSdfTraining, DeepSdfTrainingConfig
from sdfpose_core.sdf.fitting import Distances, fit_codes
from sdfpose_core.sdf.meshing import decode_mesh
from sdfpose_core.shapes.sdf_samples import SdfSamples

CPU = torch.device("cpu")
CONFIG = DeepSdfTrainingConfig(
    epochs=10,
    shapes_per_step=4,
    points_per_shape=32,
    points_at_once=96,
    halve_every=4,
    checkpoint_every=5,
    decoder=DeepSdfConfig(code_length=3, width=16, hidden_layers=4, skip_at=2),
)


@pytest.fixture
def samples(tiny_shapes) -> list[SdfSamples]:
    rng = np.random.default_rng(2)
    return [shape.samples(rng, 200) for shape in tiny_shapes.shapes[:8]]


def training(samples: list[SdfSamples], **changes: object) -> DeepSdfTraining:
    return DeepSdfTraining(samples, replace(CONFIG, **changes), CPU)  # type: ignore[arg-type]


def assert_same_run(a: DeepSdfTraining, b: DeepSdfTraining) -> None:
    assert torch.equal(a.codes, b.codes)
    for x, y in zip(a.decoder.state_dict().values(), b.decoder.state_dict().values(), strict=True):
        assert torch.equal(x, y)


def test_the_settings_are_the_published_ones() -> None:
    config = DeepSdfTrainingConfig()
    assert (config.epochs, config.halve_every, config.shapes_per_step) == (2000, 500, 64)
    assert (config.learning_rate, config.code_learning_rate) == (5e-4, 1e-3)
    assert (config.code_weight, config.code_bound, config.dropout) == (1e-4, 1.0, 0.2)
    assert config.points_per_shape == 16_384
    assert config.decoder == DeepSdfConfig(16, 512, 8, 4, unit=0.5, clamp=0.1)


def test_shapes_are_learned(tiny_shapes, tiny_deepsdf) -> None:
    """The tiny network, in seconds."""
    decoder = tiny_deepsdf.decoder
    rng = np.random.default_rng(3)
    known = [shape.samples(rng, 1000) for shape in tiny_shapes.shapes[:6]]
    reached = validate_decoder(decoder, known)
    assert reached["surface_error"] < 0.006
    assert reached["gradient_norm_error"] < 0.4
    mesh = decode_mesh(decoder, tiny_deepsdf.codes[0], 32)
    radius = np.linalg.norm(mesh.vertices, axis=1)
    assert np.abs(radius - tiny_shapes.shapes[0].half[0]).mean() < 0.015


@pytest.mark.parametrize("interrupted_at", [5, 9])
def test_an_interrupted_run_resumes_to_the_same_numbers(
    samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupted_at: int
) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    whole = training(samples)
    result = whole.run()
    assert torch.equal(torch.rand(3), expected), "the global generator has no part in it"
    assert whole.steps == 20
    path = tmp_path / "mug.ckpt"
    real = DeepSdfTraining._train_step

    def step(self: DeepSdfTraining) -> dict[str, float]:
        if self.step == interrupted_at:
            raise InterruptedError
        return real(self)

    with monkeypatch.context() as patch:
        patch.setattr(DeepSdfTraining, "_train_step", step)
        with pytest.raises(InterruptedError):
            training(samples).run(path)
    resumed = training(samples)
    again = resumed.run(path)
    assert_same_run(whole, resumed)
    assert torch.equal(again.layers[0].weight, result.layers[0].weight)
    with pytest.raises(WeightsError, match=r"another run \(epochs was 10 and is 12\)"):
        training(samples, epochs=12).run(path)


def test_the_result_has_plain_weights_and_the_values_of_the_training(
    samples, tmp_path: Path
) -> None:
    trained = training(samples)
    result = trained.run()
    points = torch.from_numpy(samples[0].points)[None]
    code = trained.codes.detach()[:1]
    torch.testing.assert_close(result(points, code), trained.decoder(points, code))
    assert not result.training
    result.save(tmp_path / "mug.decoder.safetensors", "mug")
    loaded = DeepSdf.load(tmp_path / "mug.decoder.safetensors")
    torch.testing.assert_close(loaded(points, code), result(points, code).detach())
    torch.testing.assert_close(loaded.code_mean, trained.codes.detach().mean(0))


def test_validation_changes_nothing(samples) -> None:
    """Only the first process validates: its codes must remain those of the others."""
    plain, validated = training(samples), training(samples, validate_every=3)
    plain.run()
    log: list[dict[str, float]] = []
    validated.run(progress=lambda step, x: log.append(x), validation=samples[:2])
    assert_same_run(plain, validated)
    assert any("surface_error" in x for x in log)
    assert set(log[-1]) == {"sdf", "code"}


def test_parts_of_a_step_add_up(samples) -> None:
    """Fewer samples at once take less memory and give the same network, dropout included."""
    whole, parts = training(samples, points_at_once=10_000), training(samples, points_at_once=1)
    a, b = whole.run(), parts.run()
    for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
        torch.testing.assert_close(x, y, atol=1e-5, rtol=1e-4)


def test_the_parts_of_several_processes_add_up(samples) -> None:
    """Each process computes some of a step's shapes; the average gradient is that of one."""
    picks = torch.randint(200, (4, 32), generator=torch.Generator().manual_seed(0))
    gradients = []
    for parts in ([slice(0, 4)], [slice(0, 2), slice(2, 4)]):
        trained = training(samples)
        for part in parts:
            trained._backward(torch.arange(4)[part], picks[part])
        parameters = [*trained.decoder.parameters(), trained.codes]
        gradients.append([x.grad / len(parts) for x in parameters])
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(two, one, atol=1e-6, rtol=1e-4)


def test_rates_are_halved_and_the_code_term_grows(samples) -> None:
    trained = training(samples)
    rates = []
    for trained.step in (0, 5, 6, 13, 14):  # two steps an epoch, epochs from 1
        rates.append(trained._rate())
    assert rates == [1.0, 1.0, 0.5, 0.5, 0.25]
    few = training(samples[:3])
    assert few.steps == 10, "one step an epoch if there are fewer shapes than a step takes"


def test_codes_stay_in_the_ball(samples) -> None:
    trained = training(samples, code_bound=0.2, code_learning_rate=0.5)
    trained.run()
    assert trained.codes.norm(dim=-1).max() <= 0.2 + 1e-6


def loss(decoder: DeepSdf, codes: Tensor, samples: list[SdfSamples], picks: Tensor) -> Tensor:
    """The published loss (DeepSDF, equation 9, with the program's code term), in its own units."""
    total = torch.zeros(())
    for k, x in enumerate(samples):
        points = 2.0 * torch.from_numpy(x.points)[picks[k]]
        true = 2.0 * torch.from_numpy(x.sdf)[picks[k]]
        value = 2.0 * decoder(0.5 * points[None], codes[k : k + 1])[0]
        total = total + (value.clamp(-0.1, 0.1) - true.clamp(-0.1, 0.1)).abs().mean()
    return total / len(samples) + 1e-4 * 1 / 100 * codes.norm(dim=1).mean()


@pytest.mark.parametrize("weight_norm", [False, True])
def test_the_gradient_is_that_of_the_published_loss(samples, weight_norm: bool) -> None:
    trained = training(samples[:4], dropout=0.0, weight_norm=weight_norm)
    with torch.no_grad():
        trained.decoder.output.weight.mul_(4.0)  # values on both sides of the clamp
    picks = torch.randint(200, (4, 32), generator=torch.Generator().manual_seed(0))
    found = trained._backward(torch.arange(4), picks)
    parameters = [*trained.decoder.parameters(), trained.codes]
    gradients = [x.grad for x in parameters]
    expected = loss(trained.decoder, trained.codes, samples[:4], picks)
    for gradient, x in zip(gradients, torch.autograd.grad(expected, parameters), strict=True):
        torch.testing.assert_close(gradient, x, atol=1e-6, rtol=1e-4)
    assert found["sdf"] + 1e-6 * found["code"] == pytest.approx(expected.item(), rel=1e-5)


def test_dropout_leaves_out_its_share(samples) -> None:
    trained = training(samples, dropout=0.5)
    points = torch.from_numpy(np.stack([x.points for x in samples[:2]]))
    codes = trained.codes.detach()[:2]
    seen: list[float] = []
    noise: Callable[[Tensor], Tensor] = lambda h: seen.append(h.mean().item()) or h  # noqa: E731
    plain = trained.decoder.noisy_values(points, codes, noise)
    torch.testing.assert_close(plain, trained.decoder(points, codes))
    assert len(seen) == CONFIG.decoder.hidden_layers
    steps = [trained._backward(torch.arange(4), torch.zeros(4, 32, dtype=torch.long))["sdf"]]
    trained.step = 1
    steps.append(trained._backward(torch.arange(4), torch.zeros(4, 32, dtype=torch.long))["sdf"])
    assert steps[0] != steps[1], "other units in each step"
    with pytest.raises(ConfigurationError, match=r"dropout is 1\.0: expected a share"):
        replace(CONFIG, dropout=1.0)
    with pytest.raises(ConfigurationError, match="code_bound is 0"):
        replace(CONFIG, code_bound=0.0)


def test_codes_are_fitted_within_the_reach(tiny_shapes, tiny_deepsdf) -> None:
    """Distances that training has clamped bound the values; wrong ones beyond do no harm."""
    shapes = tiny_shapes.shapes[3:6]
    rng = np.random.default_rng(1)
    samples = [x.samples(rng, 1200) for x in shapes]
    points = torch.from_numpy(np.stack([x.points for x in samples]))
    sdf = torch.from_numpy(np.stack([x.sdf for x in samples]))
    decoder = tiny_deepsdf.decoder
    codes = fit_codes(decoder, Distances(points, sdf))
    far = torch.where(sdf.abs() > decoder.reach, 10.0 * sdf, sdf)
    assert torch.equal(fit_codes(decoder, Distances(points, far)), codes)
    near = sdf.abs() < 0.02
    assert (decoder(points, codes) - sdf).abs()[near].mean() < 0.007
