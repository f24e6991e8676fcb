"""Learning of the encoder `ssc6d` from real instances without labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sdfpose_core.categories import default_categories
from sdfpose_core.encoder.colour_views import ALL, ColourViews
from sdfpose_core.encoder.ssc6d import Ssc6dConfig, Ssc6dEncoder
from sdfpose_core.encoder.ssc6d_training import Ssc6dTrainingConfig
from sdfpose_core.errors import CategoryError, ConfigurationError, WeightsError
from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.observation.frame import Instance
from sdfpose_core.sdf.deepsdf import DeepSdf, DeepSdfConfig
from sdfpose_core.selfsup.certificate import Certificate
from sdfpose_core.selfsup.labelling import LabellingConfig, TooFewLabelsError
from sdfpose_core.selfsup.losses import PaperLosses
from sdfpose_core.selfsup.ssc6d_training import (
    Ablation,
    CertifiedSsc6dTraining,
    RealLabels,
    Ssc6dLosses,
    Ssc6dSelfSupervision,
    Ssc6dSelfTraining,
    ssc6d_self_training,
)
from sdfpose_core.simulation.instances import ModelPool, SimulatedInstance, simulated_instances

NETWORK = Ssc6dConfig(code_length=32, points=64, image_size=24, width=8)
TRAINING = Ssc6dTrainingConfig(
    steps=4, batch=4, model_points=32, round_views=8, checkpoint_every=2, encoder=NETWORK
)
ANY = LabellingConfig(rounds=2, fast_teacher=True, min_labels=1, certificate=Certificate(0, 0, 1))
CODES = 0.1 * torch.randn(3, 32, generator=torch.Generator().manual_seed(0))


class FixedRounds:
    """The same views in every round."""

    def __init__(self, views: ColourViews) -> None:
        self.views, self.count = views, len(views)

    def __call__(self, number: int, places: NDArray[np.integer] | slice = ALL) -> ColourViews:
        return self.views[places]


@pytest.fixture(scope="module")
def seen() -> list[SimulatedInstance]:
    pool = ModelPool.for_category("can", range(3), distractors=1)
    stream = simulated_instances("can", 3, 12, pool=pool, colour=True, min_visibility=0.6)
    return list(stream)


@pytest.fixture(scope="module")
def real(seen: list[SimulatedInstance]) -> list[Instance]:
    return [x.instance for x in seen[8:]]


@pytest.fixture(scope="module")
def rounds(seen: list[SimulatedInstance]) -> FixedRounds:
    views = ColourViews.collect(seen[:8], NETWORK, 32, np.random.default_rng(0))
    return FixedRounds(views)


@pytest.fixture(scope="module")
def model() -> CategoryModel:
    shipped = CategoryModel.load(default_categories()["can"], "none", None, torch.device("cpu"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = Ssc6dEncoder(NETWORK)
    # Places and sizes of the right order from the start.
    with torch.no_grad():
        for head in encoder.heads.values():
            head[-1].weight *= 0.1  # type: ignore[index,operator]
        encoder.heads["translation"][-1].bias.zero_()  # type: ignore[index,operator]
        encoder.heads["scale"][-1].bias.fill_(0.16)  # type: ignore[index,operator]
    return replace(shipped, encoder=encoder)


def setup(losses: Ssc6dLosses = "paper", **changes: object) -> Ssc6dSelfSupervision:
    config = Ssc6dSelfSupervision(losses, render_size=16, labelling=ANY, training=TRAINING)
    return replace(config, **changes)  # type: ignore[arg-type]


def started(
    model: CategoryModel,
    rounds: FixedRounds,
    seen: list[SimulatedInstance],
    config: Ssc6dSelfSupervision,
) -> Ssc6dSelfTraining:
    labels = RealLabels.true(seen[8:], CODES, 32) if config.losses == "labels" else None
    real = [x.instance for x in seen[8:]]
    return ssc6d_self_training(model, (rounds, CODES), real, config, labels=labels)


@pytest.mark.parametrize("losses", ["paper", "certified", "labels"])
def test_a_resumed_training_gives_the_same_numbers(
    losses: Ssc6dLosses,
    model: CategoryModel,
    rounds: FixedRounds,
    seen: list[SimulatedInstance],
    tmp_path: Path,
) -> None:
    config = setup(losses)
    whole = started(model, rounds, seen, config)
    encoder = whole.run()
    checkpoint = tmp_path / "can.ckpt"
    started(model, rounds, seen, config)._run_to(2, 2, checkpoint, None)
    resumed = started(model, rounds, seen, config).run(checkpoint)
    assert not resumed.training
    assert model.encoder is not None
    moved = 0.0
    for a, b, start in zip(
        encoder.parameters(), resumed.parameters(), model.encoder.parameters(), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=0.0, atol=0.0)
        moved += float((a - start).abs().sum().detach())
    assert moved > 0.0
    if isinstance(whole, CertifiedSsc6dTraining):
        assert whole.labels is not None
        assert whole.labels.surfaces.shape == (len(whole.labels.chosen), 512, 3)


def test_a_few_steps_lower_the_losses(
    model: CategoryModel, rounds: FixedRounds, seen: list[SimulatedInstance]
) -> None:
    training = replace(
        TRAINING, steps=50, learning_rate=5e-4, colour_jitter=0.0, hue_jitter=0.0, jitter_m=0.0
    )
    config = setup(training=training, real_batch=4, mirror_probability=0.0)
    run = started(model, rounds, seen, config)
    history = []
    for run.step in range(training.steps):
        history.append({k: float(v) for k, v in run._train_step().items()})
    first, last = history[0], history[-1]
    print(first, last)
