from dataclasses import replace

import numpy as np
import pytest
import torch

from sdfpose_core.errors import WeightsError
from sdfpose_core.sdf.auto_decoder import validate_decoder
from sdfpose_core.sdf.decoder import DecoderConfig
from sdfpose_core.sdf.training import (
    DecoderTraining,
    DecoderTrainingConfig,
    load_codes,
    load_model_codes,
    save_codes,
    save_model_codes,
)

CPU = torch.device("cpu")
CONFIG = DecoderTrainingConfig(
    steps=20,
    shapes_per_step=4,
    points_per_shape=32,
    gradient_points=8,
    checkpoint_every=10,
    decoder=DecoderConfig(code_length=3, width=16, hidden_layers=2),
)


@pytest.fixture
def samples(tiny_shapes):
    rng = np.random.default_rng(2)
    return [shape.samples(rng, 200) for shape in tiny_shapes.shapes[:6]]


class PowerCutError(Exception):
    pass


def stop_after(monkeypatch, steps):
    """Training breaks off, as by a power cut, after so many steps."""
    real, done = DecoderTraining._train_step, []

    def step(self):
        if len(done) == steps:
            raise PowerCutError
        done.append(None)
        return real(self)

    monkeypatch.setattr(DecoderTraining, "_train_step", step)


def assert_same_run(a, b):
    assert torch.equal(a.codes, b.codes)
    for (name, x), y in zip(
        a.decoder.state_dict().items(), b.decoder.state_dict().values(), strict=True
    ):
        assert torch.equal(x, y), name


def test_the_same_seed_gives_the_same_numbers(samples):
    a, b = (DecoderTraining(samples, CONFIG, CPU) for _ in range(2))
    a.run()
    torch.rand(7)  # the global generator has no part in it
    b.run()
    assert_same_run(a, b)
    other = DecoderTraining(samples, replace(CONFIG, seed=1), CPU)
    assert not torch.equal(a.codes, other.codes)


def test_training_leaves_the_global_generator_alone(samples):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    DecoderTraining(samples, CONFIG, CPU).run()
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("interrupted_at", [10, 17])
def test_a_run_that_is_interrupted_resumes_to_the_same_numbers(
    samples, tmp_path, monkeypatch, interrupted_at
):
    whole = DecoderTraining(samples, CONFIG, CPU)
    whole.run()
    path = tmp_path / "mug.ckpt"
    with monkeypatch.context() as patch:
        stop_after(patch, interrupted_at)
        with pytest.raises(PowerCutError):
            DecoderTraining(samples, CONFIG, CPU).run(path)
    resumed = DecoderTraining(samples, CONFIG, CPU)
    resumed.run(path)
    assert_same_run(whole, resumed)


def test_a_finished_run_is_not_trained_again(samples, tmp_path, monkeypatch):
    path = tmp_path / "mug.ckpt"
    first = DecoderTraining(samples, CONFIG, CPU)
    first.run(path)
    stop_after(monkeypatch, 0)
    again = DecoderTraining(samples, CONFIG, CPU)
    again.run(path)
    assert_same_run(first, again)


def test_a_checkpoint_of_another_run_is_refused(samples, tmp_path):
    path = tmp_path / "mug.ckpt"
    DecoderTraining(samples, CONFIG, CPU).run(path)
    wider = replace(CONFIG, decoder=DecoderConfig(code_length=3, width=24, hidden_layers=2))
    for others in (
        DecoderTraining(samples, wider, CPU),
        DecoderTraining(samples[:4], CONFIG, CPU),
    ):
        with pytest.raises(
            WeightsError, match=r"mug\.ckpt: the checkpoint belongs to another run \("
        ):
            others.run(path)
    torch.save({"step": 3}, path)
    with pytest.raises(WeightsError, match=r"mug\.ckpt: the checkpoint belongs to another run \("):
        DecoderTraining(samples, CONFIG, CPU).run(path)


def test_progress_and_code_statistics(samples):
    log = []
    training = DecoderTraining(samples, replace(CONFIG, steps=100), CPU)
    decoder = training.run(progress=lambda step, losses: log.append((step, losses)))
    assert [step for step, _ in log] == [50, 100]
    assert set(log[0][1]) == {"sdf", "gradient", "code"}
    assert log[1][1]["sdf"] < log[0][1]["sdf"]
    codes = training.codes.detach()
    torch.testing.assert_close(decoder.code_mean, codes.mean(0))
    torch.testing.assert_close(decoder.code_covariance, torch.cov(codes.T))
    few = DecoderTraining(samples[:3], replace(CONFIG, steps=1), CPU).run()
    assert torch.linalg.eigvalsh(few.code_covariance).min() > 0.0, "three codes of length three"
    assert not decoder.training


def test_a_step_may_want_more_shapes_than_there_are(samples):
    DecoderTraining(samples[:2], replace(CONFIG, steps=1), CPU).run()


def test_a_curriculum_forgives_small_errors_at_first(samples):
    """A tolerance above every error leaves no loss of the distance until half of the steps."""
    log = {}
    lenient = replace(CONFIG, steps=200, curriculum=1e3)
    DecoderTraining(samples, lenient, CPU).run(progress=lambda step, x: log.update({step: x}))
    assert log[50]["sdf"] == 0.0
    assert log[150]["sdf"] > 0.0


def test_validation_measures_surface_and_gradient(tiny_shapes):
    rng = np.random.default_rng(3)
    samples = [shape.samples(rng, 1000) for shape in tiny_shapes.shapes[:3]]
    reached = validate_decoder(tiny_shapes.decoder, samples)
    assert 0.0 < reached["surface_error"] < 0.01
    assert 0.0 < reached["gradient_norm_error"] < 0.3


def test_codes_on_disk(tmp_path):
    path = tmp_path / "work" / "mug.codes.safetensors"
    codes = torch.randn(4, 3, requires_grad=True)
    save_codes(path, codes)
    assert torch.equal(load_codes(path), codes.detach())
    path.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match=r"codes\.safetensors: contains no codes of training s"):
        load_codes(path)
    with pytest.raises(WeightsError, match=r"contains no codes .*train the decoder first"):
        load_codes(tmp_path / "missing.safetensors")


def test_codes_of_named_models(tmp_path):
    path = tmp_path / "codes" / "mug.1a2b.codes.safetensors"
    codes = torch.randn(2, 3)
    save_model_codes(path, codes, ["a", "b"])
    found = load_model_codes(path)
    assert list(found) == ["a", "b"]
    assert torch.equal(found["b"], codes[1])
    path.with_suffix(".json").write_text('["a"]')
    with pytest.raises(WeightsError, match=r"does not name the 2 models of mug\.1a2b\.codes\.safe"):
        load_model_codes(path)
    path.with_suffix(".json").unlink()
    with pytest.raises(WeightsError, match=r"codes\.json: contains no names of models"):
        load_model_codes(path)
