"""Probabilities of modes."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from sdfpose_core.errors import WeightsError
from sdfpose_core.estimation.mode_ranking import (
    MODE_FEATURES,
    ModeRanking,
    mode_features,
)
from sdfpose_core.geometry.similarity import Similarity
from sdfpose_core.refine.kernel import GemanMcClureKernel
from sdfpose_core.refine.priors import Priors
from sdfpose_core.refine.solver import RefineConfig, Solution
from sdfpose_core.refine.state import ShapePose
from sdfpose_core.weights import RANKING_FILE

ONES = ModeRanking(np.ones(len(MODE_FEATURES)))


def mode(**parts):
    return {**dict.fromkeys(MODE_FEATURES, 0.0), **parts}


@given(st.lists(st.floats(-500.0, 500.0), min_size=1, max_size=6))
def test_probabilities_are_those_of_a_softmax(scores):
    found = ONES.probabilities([mode(surface=x) for x in scores])
    np.testing.assert_allclose(found, softmax(scores), atol=1e-9)
    assert found.sum() == pytest.approx(1.0)


def test_a_prior_counts_like_a_part_of_the_likelihood():
    modes = [mode(surface=-3.0), mode(surface=-1.0)]
    assert ONES.probabilities(modes, [2.0, 0.0]) == pytest.approx([0.5, 0.5])


def simulated_cases(weights, count):
    rng = np.random.default_rng(0)
    cases = []
    for _ in range(count):
        x = rng.normal(size=(4, len(MODE_FEATURES)))
        right = rng.choice(4, p=softmax(x @ weights))
        features = [dict(zip(MODE_FEATURES, row, strict=True)) for row in x]
        cases.append((features, [i == right for i in range(4)]))
    return cases


def test_the_fit_finds_the_weights_that_drew_the_right_modes():
    weights = np.linspace(0.0, 2.0, len(MODE_FEATURES))
    found = ModeRanking.fit(simulated_cases(weights, 4000))
    modes = [mode(**{name: 1.0}) for name in MODE_FEATURES]
    log = np.log(found.probabilities([*modes, mode()]))
    np.testing.assert_allclose(log[:-1] - log[-1], weights, atol=0.15)


def test_cases_that_decide_nothing_leave_the_ranking_by_cost():
    undecided = [([mode(), mode(surface=-9.0)], [False, False]), ([mode()], [True])]
    found = ModeRanking.fit(undecided)
    assert found.probabilities([mode(belief=1.0), mode()]) == pytest.approx(softmax([1.0, 0.0]))


def test_several_modes_may_be_right():
    features = [mode(surface=0.0), mode(surface=0.0), mode(surface=-1.0)]
    found = ModeRanking.fit([(features, [True, True, False])] * 200)
    first, second, third = found.probabilities(features)
    assert first == pytest.approx(second)
    assert third < 0.05 * first


def test_a_ranking_is_read_as_it_was_written(tmp_path):
    ModeRanking(np.arange(len(MODE_FEATURES), dtype=float)).save(tmp_path / RANKING_FILE)
    found = ModeRanking.load(tmp_path / RANKING_FILE)
    assert found.probabilities([mode(size=1.0), mode()])[0] == pytest.approx(
        1.0 / (1.0 + np.exp(-float(MODE_FEATURES.index("size"))))
    )


@given(st.lists(st.tuples(*[st.floats(-50.0, 50.0)] * 3), min_size=1, max_size=6))
def test_without_a_fit_the_cost_and_the_network_decide(modes):
    features = [mode(cost=x, size=y, belief=z, upright=-x) for x, y, z in modes]
    found = ModeRanking.by_cost(0.5).probabilities(features)
    np.testing.assert_allclose(found, softmax([x + 0.5 * z for x, _, z in modes]), atol=1e-9)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "JSONDecodeError"),
        (json.dumps({"surface": 1.0}), "it has the features surface"),
        (json.dumps(dict.fromkeys(MODE_FEATURES, "much")), "could not convert"),
        (json.dumps(dict.fromkeys(MODE_FEATURES, math.nan)), "a weight is not finite"),
        (json.dumps(dict.fromkeys(MODE_FEATURES, -math.inf)), "a weight is not finite"),
        (json.dumps(dict.fromkeys(MODE_FEATURES, None)), "TypeError"),
        ("[1, 2]", "TypeError"),
        ("7", "TypeError"),
        ("\0", "JSONDecodeError"),
    ],
)
def test_a_damaged_file_is_told_with_what_to_do(tmp_path, content, told):
    (tmp_path / RANKING_FILE).write_text(content)
    with pytest.raises(WeightsError, match=r"mode_ranking\.json: holds no ranking") as error:
        ModeRanking.load(tmp_path / RANKING_FILE)
    assert told in str(error.value)
    assert "calibrate_confidence.py" in str(error.value)


CONFIG = RefineConfig(
    surface_weight=6.0, free_space_weight=10.0, kernel=GemanMcClureKernel(width=2.0)
)
CODE_PRECISION = torch.tensor([[2.0, 1.0], [1.0, 3.0]])  # of determinant 5
PRIORS = Priors(
    torch.tensor([1.0, 0.0]), CODE_PRECISION, torch.tensor(0.2).log(), torch.tensor(0.5)
)


def solution(cost=70.0):
    """Of known parts: 8 of the surface, 20 of free space, 7 of the code and 4 of the size."""
    hessian = torch.diag(torch.tensor([2.0, 3.0, 5.0, 1.0, 1.0, 1.0, 7.0, 1.0, 1.0]))
    hessian[7:, 7:] = torch.tensor([[4.0, 1.0], [1.0, 4.0]])
    return Solution(
        ShapePose(
            Similarity(torch.eye(3)[None], torch.zeros(1, 3), torch.tensor([0.2 * math.e])),
            torch.tensor([[2.0, 1.0]]),
        ),
        torch.tensor([cost]),
        hessian[None],
        torch.tensor([[0.0, 2.0, -2.0]]),  # of loss 0, 2 and 2
        torch.tensor([[2.0, 2.0]]),
    )


def test_parts_of_a_known_solution():
    found = mode_features(
        solution(), PRIORS, CONFIG, belief=1.5, upright=-2.0, colour_pose=0.5, colour_category=-1.0
    )
    assert tuple(found) == MODE_FEATURES
    costs = {
        "surface": 8.0,
        "free_space": 20.0,
        "code": 7.0,
        "size": 4.0,
        "support": 70.0 - 8.0 - 20.0 - 7.0 - 4.0,
    }
    for name, cost in costs.items():
        assert found[name] == pytest.approx(-math.log1p(cost), rel=1e-5)
    assert found["cost"] == -35.0
    # 2 3 5 7 (4 4 - 1) a posteriori, and 5 / 0.5^2 a priori.
    assert found["determined"] == pytest.approx(-0.5 * math.log(210.0 * 15.0 / 20.0), rel=1e-5)
    assert found["spread"] == pytest.approx(0.0, abs=1e-9)  # of precision 1
    assert [found[x] for x in MODE_FEATURES[8:]] == [1.5, -2.0, 0.5, -1.0]


@given(st.floats(0.1, 10.0), st.floats(0.1, 10.0))
def test_what_is_known_a_priori_is_not_determined_by_the_measurements(code, size):
    """The category's constants cancel: its precision is in the Hessian, too."""
    priors = replace(
        PRIORS, code_precision=code * torch.eye(2), log_scale_sd=torch.tensor(size**-0.5)
    )
    hessian = torch.diag(torch.tensor([1.0] * 6 + [size, code, code]))
    found = mode_features(replace(solution(), hessian=hessian[None]), priors, CONFIG)
    assert found["determined"] == pytest.approx(0.0, abs=1e-4)
