"""Training of the encoder `ssc6d`: views, losses, resuming."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from sdfpose_core.encoder.colour_views import ColourViews, SimulatedRounds, prefetched
from sdfpose_core.encoder.encoding import Encoding
from sdfpose_core.encoder.ssc6d import Ssc6dConfig
from sdfpose_core.encoder.ssc6d_training import (
    Ssc6dTraining,
    Ssc6dTrainingConfig,
    canonical_yaw,
    jittered,
    model_distance,
    validate_ssc6d,
)
from sdfpose_core.errors import ConfigurationError, WeightsError
from sdfpose_core.geometry.similarity import Similarity, so3_exp
from sdfpose_core.simulation.instances import ModelPool

SMALL = Ssc6dConfig(points=64, image_size=24, width=8)
CONFIG = Ssc6dTrainingConfig(
    steps=6, batch=4, model_points=32, round_views=8, checkpoint_every=3, encoder=SMALL
)
CODES = 0.3 * torch.randn(3, 5, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def rounds() -> Iterator[SimulatedRounds]:
    few = partial(ModelPool.for_category, distractors=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ModelPool, "for_category", few)
        yield SimulatedRounds("mug", range(3), 8, SMALL, 32, seed=0)


@pytest.fixture(scope="module")
def views(rounds: SimulatedRounds) -> ColourViews:
    return rounds(0)


class Stored:
    """Rounds that turn the same views around."""

    def __init__(self, views: ColourViews, shift: int = 0) -> None:
        self.views, self.shift, self.count = views, shift, len(views)

    def __call__(self, number: int, places: np.ndarray | slice = slice(None)) -> ColourViews:
        shift = self.shift * number
        rolled = {name: np.roll(x, shift, axis=0) for name, x in vars(self.views).items()}
        return ColourViews(**rolled)[places]


def training(views: ColourViews, config: Ssc6dTrainingConfig = CONFIG) -> Ssc6dTraining:
    return Ssc6dTraining(Stored(views), CODES, False, config, torch.device("cpu"))


def same(a: ColourViews, b: ColourViews) -> bool:
    return all(np.array_equal(x, getattr(b, name)) for name, x in vars(a).items())


def test_a_round_is_what_its_number_says(rounds: SimulatedRounds, views: ColourViews) -> None:
    assert len(views) == 8
    assert views.colour.shape == (8, 24, 24, 3)
    assert views.points.shape == (8, 64, 3)
    assert views.index.shape == (8, 64)
    assert views.model_points.shape == (8, 32, 3)
    assert set(views.model) <= {0, 1, 2}
    assert views.colour.std() > 3.0
    assert same(views, rounds(0))
    assert not np.array_equal(views.translation, rounds(1).translation)


def test_model_and_measured_points_agree(views: ColourViews) -> None:
    truth = Similarity(*map(torch.from_numpy, (views.rotation, views.translation, views.scale)))
    surface = truth.transform(torch.from_numpy(views.model_points))
    gap = torch.cdist(torch.from_numpy(views.points), surface).min(dim=-1).values
    assert float(gap.median()) < 0.15 * float(truth.scale.mean())
    assert (torch.from_numpy(views.model_points).norm(dim=-1) <= 0.5 + 1e-6).all()


def test_rounds_come_in_order_with_the_places_asked_for() -> None:
    asked: list[int] = []

    class Counted:
        count = 9

        def __call__(self, number: int, places: np.ndarray | slice = slice(None)) -> ColourViews:
            asked.append(number)
            return ColourViews(*[np.arange(self.count)] * 8)[places]

    stream = prefetched(Counted(), 3, 6, 0, lambda number: np.array([number, 1]))
    assert [x.model.tolist() for x in stream] == [[3, 1], [4, 1], [5, 1]]
    assert asked == [3, 4, 5]


def test_some_places_of_a_round(rounds: SimulatedRounds, views: ColourViews) -> None:
    assert same(rounds(0, np.array([5, 2])), views[[5, 2]])


def test_a_few_steps_lower_the_loss(views: ColourViews) -> None:
    few = ColourViews(**{name: x[[0, 1] * 4] for name, x in vars(views).items()})
    config = replace(CONFIG, steps=30, learning_rate=1e-3, colour_jitter=0.0, hue_jitter=0.0)
    run = training(few, config)
    first = run._train_step()
    for run.step in range(1, config.steps):
        last = run._train_step()
    assert last["distance_m"] < 0.6 * first["distance_m"]
    assert last["code"] < 0.9 * first["code"]


def test_mixed_precision_trains_nearly_the_same(views: ColourViews) -> None:
    whole = training(views)._train_step()
    mixed = training(views, replace(CONFIG, mixed_precision=True))._train_step()
    torch.testing.assert_close(whole["distance_m"], mixed["distance_m"], rtol=0.05, atol=0.0)
    assert float(whole["distance_m"]) != float(mixed["distance_m"])


def test_resuming_gives_the_same_numbers(views: ColourViews, tmp_path: Path) -> None:
    def start() -> Ssc6dTraining:
        return Ssc6dTraining(Stored(views, 1), CODES, True, CONFIG, torch.device("cpu"))

    whole = start().run()
    checkpoint = tmp_path / "mug.ssc6d.ckpt"
    halfway = start()
    for _ in range(3):  # in the middle of a round
        halfway._train_step()
        halfway.step += 1
    halfway._save(checkpoint)
    resumed = start().run(checkpoint)
    assert not resumed.training
    assert resumed.config.code_length == 5
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0.0, atol=0.0)


def test_checkpoints_of_another_run_are_refused(views: ColourViews, tmp_path: Path) -> None:
    checkpoint = tmp_path / "mug.ssc6d.ckpt"
    training(views)._save(checkpoint)
    wider = replace(CONFIG, encoder=replace(SMALL, width=16))
    with pytest.raises(WeightsError, match=r"mug\.ssc6d\.ckpt: the checkpoint belongs to another"):
        training(views, wider).run(checkpoint)


def test_the_learning_rate_follows_the_epochs(views: ColourViews) -> None:
    schedule = ((0.0, 2.0), (1.5, 1.0))
    run = training(views, replace(CONFIG, steps=4, epoch_views=8, schedule=schedule))
    rates = []
    for run.step in range(4):
        run._train_step()
        rates.append(run._optimiser.param_groups[0]["lr"])
    assert rates == [2e-4, 2e-4, 2e-4, 1e-4]


def test_the_published_schedule() -> None:
    config = Ssc6dTrainingConfig()
    assert config.steps == math.ceil(10 * config.epoch_views / config.batch)
    first_of = [math.ceil(x * config.epoch_views / config.batch) for x in range(15)]
    factors = [config.learning_rate_at(x) / 1e-4 for x in first_of]
    assert factors == pytest.approx([2.0] * 3 + [1.0] * 7 + [0.7] * 3 + [0.35] * 2)
    assert config.learning_rate_at(0, 10.0) == pytest.approx(0.7e-4)


@pytest.mark.parametrize("schedule", [(), ((1.0, 2.0),), ((0.0, 1.0), (3.0, 1.0), (3.0, 0.5))])
def test_schedules_begin_at_the_start_and_go_on(schedule: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ConfigurationError, match="expected pairs of an epoch and a factor, by inc"):
        Ssc6dTrainingConfig(schedule=schedule)


def test_a_round_holds_a_batch(views: ColourViews) -> None:
    with pytest.raises(ConfigurationError, match="round_views is 3: expected at least 4"):
        training(views[:3])


def test_the_resnet_starts_from_a_file_if_one_is_named(views: ColourViews) -> None:
    with pytest.raises(WeightsError, match=r"/nowhere\.pth: not a readable checkpoint"):
        training(views, replace(CONFIG, resnet18="/nowhere.pth"))


def test_distance_of_a_known_shift_and_growth() -> None:
    points = torch.nn.functional.normalize(torch.randn(2, 50, 3), dim=-1)
    truth = Similarity(torch.eye(3).expand(2, 3, 3), torch.zeros(2, 3), torch.tensor([0.2, 0.2]))
    found = Similarity(
        truth.rotation,
        torch.tensor([[0.03, 0.0, 0.04], [0.0, 0.0, 0.0]]),
        torch.tensor([0.2, 0.25]),
    )
    encoding = Encoding(
        Similarity(found.rotation[:, None], found.translation[:, None], found.scale[:, None]),
        torch.zeros(2, 1),
        torch.zeros(2, 1, 3),
        torch.zeros(2, 5),
    )
    distance = model_distance(encoding, truth, points)
    torch.testing.assert_close(distance, torch.tensor([0.05, 0.05]))


def test_rotations_that_differ_by_yaw_have_one_canonical_one() -> None:
    generator = torch.Generator().manual_seed(0)
    rotation = so3_exp(torch.randn(20, 3, generator=generator))
    yaw = torch.zeros(20, 3)
    yaw[:, 1] = math.pi * (2.0 * torch.rand(20, generator=generator) - 1.0)
    canonical = canonical_yaw(rotation)
    torch.testing.assert_close(canonical_yaw(rotation @ so3_exp(yaw)), canonical, atol=1e-4, rtol=0)
    torch.testing.assert_close(canonical[:, :, 1], rotation[:, :, 1], atol=1e-6, rtol=0)
    # It has no turn about y left, and of all of them the largest trace.
    twist = canonical[:, 0, 2] - canonical[:, 2, 0]
    torch.testing.assert_close(twist, torch.zeros(20), atol=1e-5, rtol=0)
    trace = canonical.diagonal(dim1=1, dim2=2).sum(-1)
    assert (trace >= rotation.diagonal(dim1=1, dim2=2).sum(-1) - 1e-5).all()


def test_colours_change_within_limits() -> None:
    rng = torch.Generator().manual_seed(1)
    colour = torch.randint(256, (3, 8, 8, 3), generator=rng)
    torch.testing.assert_close(jittered(colour, torch.zeros(3, 4)), colour.float())
    limits = torch.tensor([0.2, 0.2, 0.2, 0.05])
    changed = jittered(colour, limits * (2.0 * torch.rand(3, 4, generator=rng) - 1.0))
    assert changed.shape == colour.shape
    assert changed.min() >= 0.0
    assert changed.max() <= 255.0
    assert (changed - colour).abs().mean() > 2.0


def test_validation_reports_finite_errors(views: ColourViews) -> None:
    encoder = training(views).run()
    for symmetric in (False, True):
        reached = validate_ssc6d(encoder, views, symmetric, batch=3)
        assert set(reached) == {"distance_cm", "trans_cm", "scale_percent"}
        assert all(np.isfinite(x) and x >= 0.0 for x in reached.values())
