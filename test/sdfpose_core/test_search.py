"""Hypotheses and the choice among them."""

import math
from dataclasses import replace

import pytest
import torch

from sdfpose_core.encoder.fast import Encoding, ShapeSpread
from sdfpose_core.refine.evidence import Evidence, FreeSpaceMap
from sdfpose_core.refine.priors import Priors
from sdfpose_core.refine.solver import RefineConfig, Solution
from sdfpose_core.refine.state import ShapePose
from sdfpose_core.search import (
    Hypotheses,
    Search,
    Trust,
    _best_distinct,
    expected_at,
    hypotheses_of,
)
from sdfpose_core.similarity import Similarity, so3_exp


def encoding(logits=(0.0, 1.0, -1.0), log_spread=-1.0):
    """Three hypotheses of one instance."""
    count = len(logits)
    vector = torch.zeros(1, count, 3)
    vector[0, :, 0] = torch.linspace(0.0, math.pi, count)
    return Encoding(
        Similarity(so3_exp(vector), torch.rand(1, count, 3), torch.full((1, count), 0.2)),
        torch.tensor([logits]),
        torch.full((1, count, 3), log_spread),
        torch.zeros(1, 4),
    )


PRIORS = Priors(torch.zeros(4), torch.eye(4), torch.tensor(-1.5), torch.tensor(0.3))
HALF = Trust(belief_weight=0.5)


def test_the_favourite_comes_first_and_its_turned_copies_follow():
    said = encoding()
    found = hypotheses_of(said, PRIORS, HALF, turns=3, has_front=True)
    assert found.per_instance == len(found.state) == 12
    rotation = found.state.similarity.rotation
    torch.testing.assert_close(rotation[0], said.similarity.rotation[0, 1])
    torch.testing.assert_close(
        found.state.similarity.translation[3:6], found.state.similarity.translation[:3]
    )
    quarter = so3_exp(torch.tensor([0.0, math.pi / 2.0, 0.0]))
    torch.testing.assert_close(rotation[3], rotation[0] @ quarter, atol=1e-6, rtol=0.0)


def test_nothing_is_expected_of_the_front_of_turned_copies():
    found = hypotheses_of(encoding(), PRIORS, HALF, turns=1, has_front=True)
    precision = found.priors.rotation.precision
    assert precision[:, 0] == pytest.approx(0.5 / (3.0 * math.exp(-2.0)))
    assert precision[:3, 1] == pytest.approx(0.5 / (2.0 * math.exp(-2.0)))
    assert not precision[3:, 1].any()


def test_an_object_without_a_front_has_no_turned_copies():
    found = hypotheses_of(encoding(), PRIORS, HALF, turns=3, has_front=False)
    assert found.per_instance == 3
    assert not found.priors.rotation.precision[:, 1].any()


@pytest.fixture
def ball(tiny_shapes):
    """A shape of the tiny decoder, seen from nowhere: no evidence tells poses apart."""
    decoder = tiny_shapes.decoder
    far = torch.tensor([0.0, 0.0, 5.0])
    evidence = Evidence(
        far.expand(1, 8, 3),
        torch.full((1, 8), 0.002),
        FreeSpaceMap(
            torch.zeros(1, 4, 4),
            torch.zeros(1, 4, 4),
            torch.ones(1),
            torch.zeros(1, 2),
            torch.ones(1),
        ),
        torch.zeros(1, 4),
    )
    priors = Priors(
        decoder.code_mean,
        torch.linalg.inv(decoder.code_covariance),
        PRIORS.log_scale_mean,
        PRIORS.log_scale_sd,
    )
    return decoder, evidence, priors


@pytest.mark.parametrize(("weight", "favourite"), [(0.5, 1), (0.5, 2)])
def test_where_depth_says_nothing_the_network_decides(ball, weight, favourite):
    decoder, evidence, priors = ball
    logits = [0.0, 0.0, 0.0]
    logits[favourite] = 4.0
    said = encoding(tuple(logits), log_spread=-2.0)
    said = Encoding(
        Similarity(
            said.similarity.rotation,
            torch.tensor([0.0, 0.0, 0.6]).expand(1, 3, 3),
            said.similarity.scale,
        ),
        said.logits,
        said.log_spread,
        decoder.code_mean[None],
    )
    search = Search(decoder, priors, RefineConfig(), True, Trust(weight))
    hypotheses = hypotheses_of(said, priors, Trust(weight), turns=0, has_front=True)
    found = search.run(hypotheses, evidence)
    truth = said.similarity.rotation[0, favourite]
    cosine = ((found.solution.state.similarity.rotation[0] * truth).sum() - 1.0) / 2.0
    assert cosine > 0.98
    assert 0.5 < found.rival_gap.item() < 100.0
    assert found.belief.item() > 3.0


def test_favourites_are_left_as_they_are(ball):
    decoder, evidence, priors = ball
    states = ShapePose(
        Similarity(
            so3_exp(torch.randn(4, 3, generator=torch.Generator().manual_seed(0))),
            torch.tensor([0.0, 0.0, 0.6]).expand(4, 3),
            torch.full((4,), 0.2),
        ),
        decoder.code_mean.expand(4, -1),
    )
    search = Search(decoder, priors, RefineConfig(), True, HALF)
    found = search.favourites(Hypotheses(states, 4, priors), evidence)
    torch.testing.assert_close(
        found.solution.state.similarity.rotation[0], states.similarity.rotation[0]
    )
    assert found.rival_gap.item() >= 100.0
    assert found.belief.item() == 0.0


def test_a_hypothesis_like_a_better_one_yields_to_another():
    vector = torch.zeros(4, 3)
    vector[:, 0] = torch.tensor([0.0, 0.05, 1.5, 3.0])
    states = ShapePose(
        Similarity(so3_exp(vector), torch.zeros(4, 3), torch.ones(4)), torch.zeros(4, 2)
    )
    blank = torch.zeros(4, 1)
    solution = Solution(states, torch.zeros(4), torch.zeros(4, 9, 9), blank, blank)
    doubt = torch.tensor([[1.0, 2.0, 9.0, 40.0]])
    assert _best_distinct(solution, doubt, 2, True).tolist() == [[0, 2]]
    # Far worse than a duplicate is no use either.
    assert _best_distinct(solution, doubt, 4, True).tolist() == [[0, 2, 1, 3]]


def shape_spread(log_code=-1.0, log_size=-2.0):
    return ShapeSpread(torch.eye(4), torch.full((1, 4), log_code), torch.full((1,), log_size))


def test_what_the_network_says_of_the_shape_is_expected_of_all_hypotheses():
    said = replace(encoding(), codes=torch.full((1, 4), 0.3), shape_spread=shape_spread())
    trust = Trust(shape_caution=2.0)
    found = hypotheses_of(said, PRIORS, trust, turns=1, has_front=True)
    priors = found.priors
    assert priors.code_mean.shape == (6, 4)
    torch.testing.assert_close(priors.code_mean[5], said.codes[0])
    torch.testing.assert_close(
        priors.code_precision[5], math.exp(2.0) / 4.0 * torch.eye(4), rtol=1e-5, atol=1e-6
    )
    assert priors.log_scale_mean.exp() == pytest.approx(0.2)
    assert priors.log_scale_sd == pytest.approx(2.0 * math.sqrt(2.0) * math.exp(-2.0))


@pytest.mark.parametrize(
    ("said", "trust"),
    [
        (encoding(), Trust()),
        (replace(encoding(), shape_spread=shape_spread()), Trust(shape_caution=math.inf)),
    ],
)
def test_of_a_network_that_says_nothing_of_the_shape_the_category_s_priors_stand(said, trust):
    priors = hypotheses_of(said, PRIORS, trust, turns=0, has_front=True).priors
    assert priors.code_mean is PRIORS.code_mean
    assert priors.log_scale_sd is PRIORS.log_scale_sd


def test_a_known_rotation_is_expected_to_be_that_of_its_mode():
    said = encoding(log_spread=-2.0)
    turned = said.similarity.rotation[:, 2] @ so3_exp(torch.tensor([0.05, 0.0, 0.0]))
    for has_front in (True, False):
        priors = expected_at(turned, said, PRIORS, HALF, has_front=has_front)
        torch.testing.assert_close(priors.rotation.rotation[0], said.similarity.rotation[0, 2])
        assert bool(priors.rotation.precision[0, 1] > 0.0) is has_front
