"""Estimated costs agree with the measurements they come from."""

from __future__ import annotations

import pytest

from sdfpose_core.benchmark.training_costs import (
    Cost,
    decoder_cost,
    encoder_cost,
    evaluation_cost,
    preparation_cost,
)
from sdfpose_core.encoder.ssc6d import Ssc6dConfig
from sdfpose_core.encoder.ssc6d_training import Ssc6dTrainingConfig
from sdfpose_core.sdf.deepsdf import DeepSdfConfig
from sdfpose_core.sdf.deepsdf_training import DeepSdfTrainingConfig


def test_a_step_of_the_decoder_takes_four_minutes() -> None:
    cost = decoder_cost(DeepSdfTrainingConfig(epochs=1), 64)
    assert cost.hours == pytest.approx(4.0 / 60.0, rel=0.1)
    assert cost.memory_gib == pytest.approx(4.0)
    small = DeepSdfTrainingConfig(epochs=1, decoder=DeepSdfConfig(width=256))
    assert decoder_cost(small, 64).hours == pytest.approx(cost.hours / 4.0)
    assert decoder_cost(small, 0).hours is None


def test_a_step_of_the_encoder_takes_15_s() -> None:
    training = Ssc6dTrainingConfig(steps=240)
    assert encoder_cost(training, Ssc6dConfig()).hours == pytest.approx(1.0)
    both = encoder_cost(training, Ssc6dConfig(), unlabelled=2)
    assert both.hours == pytest.approx(1.5)
    assert both.memory_gib == pytest.approx(2.8, abs=0.1)
    small = encoder_cost(training, Ssc6dConfig(width=32, image_size=96))
    assert small.hours == pytest.approx(1.0 / 16.0)


def test_costs_are_described() -> None:
    assert str(evaluation_cost(2754)) == "about 4.6 core hours, 1.0 GiB"
    assert str(preparation_cost(0, 2)) == "time unknown, 1.0 GiB"
    assert str(Cost(173.6)) == "about 174 core hours"
