"""How objects rest."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sdfpose_core.categories import Resting
from sdfpose_core.estimation.resting import upright_log_density

USUAL = Resting(standing=0.8, upside_down=0.05, lying=0.1)


@pytest.mark.parametrize("rule", ["free", "usual", "sure"])
def test_the_density_integrates_to_one_over_the_sphere(rule):
    cosines = np.linspace(-1.0, 1.0, 20_001)
    density = np.exp([upright_log_density(float(x), USUAL, rule) for x in cosines])
    assert np.trapezoid(density, cosines) / 2.0 == pytest.approx(1.0, abs=1e-3)


def test_standing_is_likelier_than_lying_and_lying_than_leaning():
    standing, leaning, lying, head = (
        upright_log_density(math.cos(math.radians(x)), USUAL, "usual") for x in (0, 45, 90, 180)
    )
    assert standing > head > lying > leaning
    # By the shares, as both are as concentrated.
    assert standing - head == pytest.approx(math.log(0.8 / 0.05), abs=0.01)


def test_an_object_that_surely_stands_is_hardly_ever_upside_down():
    sure = [upright_log_density(x, USUAL, "sure") for x in (1.0, -1.0)]
    assert sure[0] - sure[1] > 7.0


def test_the_direction_can_be_ignored():
    assert upright_log_density(-1.0, USUAL, "free") == 0.0
