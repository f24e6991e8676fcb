"""Training of the encoder: losses, resuming, augmentation."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sdfpose_core.encoder.encoding import Encoding, ShapeSpread
from sdfpose_core.encoder.fast import FastEncoderConfig
from sdfpose_core.encoder.pretraining import (
    EncoderTraining,
    EncoderTrainingConfig,
    _mirrored,
    pose_losses,
    shape_losses,
    validate_encoder,
)
from sdfpose_core.encoder.views import TrainingViews, Views
from sdfpose_core.geometry.similarity import Similarity, so3_exp
from sdfpose_core.simulation.instances import simulated_instances

SMALL = FastEncoderConfig(
    code_length=4, points=64, patches=8, patch_points=8, width=32, layers=1, heads=2, hypotheses=2
)
CONFIG = EncoderTrainingConfig(steps=6, batch=4, checkpoint_every=3, encoder=SMALL)


@pytest.fixture(scope="module")
def views() -> Views:
    return Views.collect(simulated_instances("mug", seed=0, count=12, model_seeds=range(3)))


def training(views: Views, config: EncoderTrainingConfig = CONFIG) -> EncoderTraining:
    codes = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    return EncoderTraining(
        [TrainingViews(views, codes, config.batch)],
        torch.zeros(4),
        torch.eye(4),
        0.17,
        config,
        torch.device("cpu"),
    )


def test_views_survive_a_file(views: Views, tmp_path: Path) -> None:
    views.save(tmp_path / "views.npz")
    again = Views.load(tmp_path / "views.npz")
    for name, array in vars(views).items():
        np.testing.assert_array_equal(array, getattr(again, name))
    assert len(again) == len(views)


def test_resuming_gives_the_same_numbers(views: Views, tmp_path: Path) -> None:
    whole = training(views).run()
    checkpoint = tmp_path / "encoder.ckpt"
    halfway = training(views)
    for _ in range(3):
        halfway._train_step()
        halfway.step += 1
    halfway._save(checkpoint)
    resumed = training(views).run(checkpoint)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0.0, atol=0.0)


def test_mixed_precision_trains_nearly_the_same(views: Views) -> None:
    whole = training(views)
    mixed = training(views, replace(CONFIG, mixed_precision=True))
    assert not mixed.average.mixed_precision
    for _ in range(3):
        a, b = whole._train_step(), mixed._train_step()
        torch.testing.assert_close(a["total"], b["total"], rtol=0.05, atol=0.0)
    assert float(a["total"]) != float(b["total"])
    assert all(x.dtype == torch.float32 for x in mixed.encoder.parameters())


def test_rates_grow_over_a_tenth_of_a_short_training(views: Views) -> None:
    run = training(views, replace(CONFIG, steps=40))
    rates = []
    for run.step in range(6):
        run._train_step()
        rates.append(run._optimisers[0].param_groups[0]["lr"] / CONFIG.learning_rate)
    growth = [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    decay = [0.5 + 0.5 * math.cos(math.pi * step / 40) for step in range(6)]
    assert rates == pytest.approx([a * b for a, b in zip(growth, decay, strict=True)])


def test_a_perfect_hypothesis_costs_nothing() -> None:
    truth = Similarity(
        so3_exp(torch.randn(3, 3, generator=torch.Generator().manual_seed(1))),
        torch.rand(3, 3),
        torch.rand(3) + 0.1,
    )
    encoding = Encoding(
        Similarity(
            truth.rotation[:, None].repeat(1, 2, 1, 1),
            truth.translation[:, None].repeat(1, 2, 1),
            truth.scale[:, None].repeat(1, 2),
        ),
        torch.zeros(3, 2),
        torch.zeros(3, 2, 3),
        torch.zeros(3, 4),
    )
    losses = pose_losses(encoding, truth, torch.zeros(3, dtype=torch.bool), 0.2)
    assert losses["hypotheses"].abs().max() < 1e-6


def said_of_shape(codes: torch.Tensor, log_code: torch.Tensor, log_size: torch.Tensor) -> Encoding:
    """Of B views, the size 0.2 m."""
    count = len(codes)
    axes = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(0))).Q
    return Encoding(
        Similarity(
            torch.eye(3).expand(count, 1, 3, 3),
            torch.zeros(count, 1, 3),
            torch.full((count, 1), 0.2),
        ),
        torch.zeros(count, 1),
        torch.zeros(count, 1, 3),
        codes,
        ShapeSpread(axes, log_code, log_size),
    )


@pytest.mark.parametrize("sd", [0.02, 0.3])
def test_the_spreads_that_cost_least_are_those_of_the_errors(sd: float) -> None:
    """Of the code's standard deviation, and of the mean absolute error of the log size."""
    generator = torch.Generator().manual_seed(1)
    count = 4000
    codes = sd * torch.randn(count, 4, generator=generator)
    log_code = torch.full((1, 4), -1.0, requires_grad=True)
    log_size = torch.full((1,), -1.0, requires_grad=True)
    sizes = 0.2 * (sd * torch.randn(count, generator=generator)).exp()
    truth = Similarity(torch.eye(3).expand(count, 3, 3), torch.zeros(count, 3), sizes)
    optimiser = torch.optim.Adam([log_code, log_size], lr=0.05)
    for _ in range(600):
        said = said_of_shape(codes, log_code.expand(count, 4), log_size.expand(count))
        losses = shape_losses(said, truth, torch.zeros(count, 4), torch.full((4,), 0.5))
        optimiser.zero_grad()
        (losses["code"].mean() + losses["scale"].mean()).backward()
        optimiser.step()
    np.testing.assert_allclose(log_code.detach().exp().numpy(), sd, rtol=0.05)
    np.testing.assert_allclose(
        log_size.detach().exp().numpy(), sd * np.sqrt(2.0 / np.pi), rtol=0.05
    )


def test_yaw_costs_nothing_where_it_has_no_meaning() -> None:
    turn = so3_exp(torch.tensor([[0.0, 1.0, 0.0]]))
    truth = Similarity(torch.eye(3)[None], torch.zeros(1, 3), torch.ones(1))
    encoding = Encoding(
        Similarity(turn[:, None], torch.zeros(1, 1, 3), torch.ones(1, 1)),
        torch.zeros(1, 1),
        torch.zeros(1, 1, 3),
        torch.zeros(1, 4),
    )
    for symmetric, costs in ((True, False), (False, True)):
        losses = pose_losses(encoding, truth, torch.tensor([symmetric]), 0.2)
        assert bool(losses["hypotheses"][0, 0] > 1e-3) is costs


def test_augmentation_moves_points_and_pose_together(views: Views) -> None:
    config = replace(CONFIG, jitter=0.0, crop_probability=0.0, roll_sd_deg=30.0, size_range=1.3)
    points, support, truth, _, _ = training(views, config)._batch()
    local = truth.inverse_transform(points)
    # Sensor noise and leaking masks aside, the points lie in the ball that holds every shape.
    assert (local.norm(dim=-1) < 0.6).float().mean() > 0.8
    known = support[:, :3].norm(dim=-1) > 0.5
    assert known.any()
    height = (support[:, :3] * truth.translation).sum(-1) - support[:, 3]
    assert ((height > 0.0) & (height < truth.scale))[known].float().mean() > 0.7


def test_validation_reports_finite_errors(views: Views) -> None:
    reached = validate_encoder(training(views).run(), views)
    assert set(reached) == {"rot_deg", "best_rot_deg", "trans_cm", "scale_percent"}
    assert all(np.isfinite(x) and x >= 0.0 for x in reached.values())
    assert reached["best_rot_deg"] <= reached["rot_deg"]


def test_a_mirrored_view_is_that_of_the_mirrored_object() -> None:
    """The object's z axis turns round; points and support go with the image."""
    generator = torch.Generator().manual_seed(3)
    truth = Similarity(
        so3_exp(torch.randn(2, 3, generator=generator)),
        torch.randn(2, 3, generator=generator),
        torch.tensor([0.2, 0.3]),
    )
    local = torch.rand(2, 5, 3, generator=generator) - 0.5
    points = truth.transform(local)
    plane = torch.cat([torch.nn.functional.normalize(points[:, 0], dim=-1), torch.ones(2, 1)], 1)
    height = (points @ plane[:, :3, None]).squeeze(-1)
    mirrored, support, pose = _mirrored(points, plane, truth, torch.tensor([True, False]))
    torch.testing.assert_close(mirrored[0], points[0] * torch.tensor([-1.0, 1.0, 1.0]))
    torch.testing.assert_close(torch.linalg.det(pose.rotation), torch.ones(2))
    seen = pose.inverse_transform(mirrored)
    torch.testing.assert_close(
        seen[0], local[0] * torch.tensor([1.0, 1.0, -1.0]), atol=1e-5, rtol=0.0
    )
    torch.testing.assert_close(seen[1], local[1], atol=1e-5, rtol=0.0)
    torch.testing.assert_close((mirrored @ support[:, :3, None]).squeeze(-1), height)


def test_a_start_brings_its_architecture(views: Views) -> None:
    trained = training(views).run()
    again = EncoderTraining(
        [TrainingViews(views, torch.zeros(3, 4), 4)],
        torch.zeros(4),
        torch.eye(4),
        0.17,
        replace(CONFIG, encoder=FastEncoderConfig()),
        torch.device("cpu"),
        trained,
    )
    assert again.config.encoder == SMALL
    for a, b in zip(again.encoder.parameters(), trained.parameters(), strict=True):
        torch.testing.assert_close(a, b)
        assert a.requires_grad


def test_codes_have_the_length_of_the_decoder_s(views: Views) -> None:
    trained = EncoderTraining(
        [TrainingViews(views, torch.zeros(3, 16), 4)],
        torch.zeros(16),
        torch.eye(16),
        0.17,
        CONFIG,
        torch.device("cpu"),
    ).run()
    assert trained.config == replace(SMALL, code_length=16)
