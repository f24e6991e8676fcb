"""Learning of the encoder `ssc6d` from real instances without labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sdfpose_core.encoder.colour_views import ALL, ColourViews
from sdfpose_core.encoder.ssc6d import Ssc6dConfig, Ssc6dEncoder
from sdfpose_core.encoder.ssc6d_training import LabelledBatch, Ssc6dTrainingConfig
from sdfpose_core.errors import CategoryError, ConfigurationError, WeightsError
from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.observation.frame import Instance
from sdfpose_core.packs.collection import Packs
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
    shipped = CategoryModel.load(Packs.beside_shipped()["can"], "none", torch.device("cpu"))
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
    assert last["total"] < 0.6 * first["total"]
    assert last["real_surface"] < 0.5 * first["real_surface"]
    assert last["real_alignment"] < 0.8 * first["real_alignment"]


@pytest.mark.parametrize(
    ("ablation", "missing"),
    [("b", {"real_surface"}), ("c", {"real_alignment"}), ("d", {"real_code"}), ("real", set())],
)
def test_ablations_leave_out_a_loss(
    ablation: Ablation,
    missing: set[str],
    model: CategoryModel,
    rounds: FixedRounds,
    seen: list[SimulatedInstance],
) -> None:
    losses = started(model, rounds, seen, setup(ablation=ablation))._train_step()
    zero = {name for name in losses if name.startswith("real_") and not losses[name]}
    assert zero == missing
    assert ("distance_m" in losses) == (ablation != "real")


def test_the_defaults_are_the_published_numbers() -> None:
    config = Ssc6dSelfSupervision()
    training = config.training
    assert (config.losses, config.ablation) == ("paper", "none")
    assert (config.real_batch, training.batch, config.render_size) == (2, 12, 128)
    # Epochs 6 to 13 of 50,000 views; the last factor of the schedule is not reached.
    assert training.steps == -(-8 * training.epoch_views // training.batch)
    rates = [training.learning_rate_at(x, config.first_epoch) for x in range(training.steps)]
    assert sorted(set(rates)) == pytest.approx([0.7e-4, 1e-4])
    assert rates[5 * training.epoch_views // training.batch] == pytest.approx(1e-4)
    assert rates[-1] == pytest.approx(0.7e-4)


def test_the_papers_decoder_serves(
    model: CategoryModel, rounds: FixedRounds, seen: list[SimulatedInstance]
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        decoder = DeepSdf(DeepSdfConfig(code_length=32, width=48, hidden_layers=4, skip_at=2))
    decoder.requires_grad_(False)
    training = started(replace(model, decoder=decoder), rounds, seen, setup())
    assert training._criterion == PaperLosses.published("can")  # type: ignore[attr-defined]
    assert all(torch.isfinite(x) for x in training._train_step().values())


def test_every_real_instance_has_its_turn(
    model: CategoryModel, rounds: FixedRounds, seen: list[SimulatedInstance]
) -> None:
    run = started(model, rounds, seen, setup())
    drawn = []
    for run.step in range(4):
        drawn += run._draw(4)
    assert sorted(drawn[:4]) == sorted(drawn[4:]) == [0, 1, 2, 3]


def test_mirrored_labels_fit_mirrored_views(
    model: CategoryModel,
    rounds: FixedRounds,
    seen: list[SimulatedInstance],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The labelled surface stays where the points are."""
    gaps = []
    for mirror in (0.0, 1.0):
        run = started(model, rounds, seen, setup("labels", mirror_probability=mirror))
        batches: list[LabelledBatch] = []
        monkeypatch.setattr(run, "_supervised", lambda batch, run, to=batches: to.append(batch))
        run._symmetric = False
        run._real_losses()
        (batch,) = batches
        surface = batch.truth.transform(batch.model_points)
        gaps.append(torch.cdist(batch.points, surface).min(dim=-1).values.median(dim=1).values)
        assert torch.linalg.det(batch.truth.rotation).tolist() == pytest.approx([1.0, 1.0])
    torch.testing.assert_close(gaps[0], gaps[1], atol=2e-3, rtol=0.0)
    assert gaps[0].max() < 0.03


@pytest.mark.parametrize("name", ["real_batch", "render_size"])
def test_counts_are_at_least_one(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is 0: expected at least 1"):
        Ssc6dSelfSupervision(**{name: 0})  # type: ignore[arg-type]


def test_ablations_are_those_of_the_papers_losses() -> None:
    with pytest.raises(ConfigurationError, match="ablation is b with the losses certified"):
        Ssc6dSelfSupervision("certified", "b")


def test_bad_input_is_named(
    model: CategoryModel, rounds: FixedRounds, real: list[Instance]
) -> None:
    synthetic = (rounds, CODES)
    with pytest.raises(ConfigurationError, match="no real instances"):
        ssc6d_self_training(model, synthetic, [], setup())
    with pytest.raises(ConfigurationError, match="expected the encoder 'ssc6d'"):
        ssc6d_self_training(replace(model, encoder=None), synthetic, real, setup())
    grey = [replace(real[0], colour=None), *real[1:]]
    with pytest.raises(ConfigurationError, match="1 of 4 real instances have no colour"):
        ssc6d_self_training(model, synthetic, grey, setup())
    with pytest.raises(ConfigurationError, match="'labels' without labels"):
        ssc6d_self_training(model, synthetic, real, setup("labels"))
    with pytest.raises(ConfigurationError, match="codes of length 5: expected 32"):
        ssc6d_self_training(model, (rounds, CODES[:, :5]), real, setup())
    other = replace(model, category=replace(model.category, name="teapot"))
    with pytest.raises(CategoryError, match="teapot"):
        ssc6d_self_training(other, synthetic, real, setup())


def test_too_few_certified_instances_are_refused_with_the_reasons(
    model: CategoryModel, rounds: FixedRounds, seen: list[SimulatedInstance]
) -> None:
    strict = replace(ANY, certificate=Certificate(confidence=1.1))
    with pytest.raises(TooFewLabelsError, match=r"0 of 4 real instances .*confidence: 4"):
        started(model, rounds, seen, setup("certified", labelling=strict)).run()


def test_a_checkpoint_of_other_losses_is_refused_by_name(
    model: CategoryModel, rounds: FixedRounds, seen: list[SimulatedInstance], tmp_path: Path
) -> None:
    checkpoint = tmp_path / "can.ckpt"
    started(model, rounds, seen, setup("certified"))._run_to(2, 2, checkpoint, None)
    with pytest.raises(WeightsError, match=r"can\.ckpt: .*certified none, not paper none"):
        started(model, rounds, seen, setup()).run(checkpoint)
