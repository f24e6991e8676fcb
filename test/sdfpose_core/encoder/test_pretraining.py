"""Training of the encoder: losses, resuming, augmentation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sdfpose_core.encoder.fast import Encoding, FastEncoderConfig
from sdfpose_core.encoder.pretraining import (
    EncoderTraining,
    EncoderTrainingConfig,
    Views,
    pose_losses,
    validate_encoder,
)
from sdfpose_core.similarity import Similarity, so3_exp
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
    return EncoderTraining(views, codes, torch.eye(4), 0.17, config, torch.device("cpu"))


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
    assert losses["scale"].abs().max() < 1e-6


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
