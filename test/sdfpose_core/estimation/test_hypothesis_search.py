"""Hypotheses and the choice among them."""

import copy
import math
from dataclasses import replace

import pytest
import torch

from sdfpose_core.encoder.encoding import Encoding, ShapeSpread
from sdfpose_core.estimation.hypotheses import (
    Hypotheses,
    NetworkPriorConfig,
    network_hypotheses,
    priors_at,
)
from sdfpose_core.estimation.hypothesis_search import Search, _Ranking, _rows_of
from sdfpose_core.estimation.rival_rotations import half_turns
from sdfpose_core.geometry.similarity import Similarity, so3_exp
from sdfpose_core.refine.evidence import Evidence, FreeSpaceMap
from sdfpose_core.refine.priors import Priors
from sdfpose_core.refine.solver import RefineConfig, refine
from sdfpose_core.refine.state import ShapePose
from sdfpose_core.sdf.joint_decoder import JointDecoder


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
HALF = NetworkPriorConfig(rotation_weight=0.5)


def test_the_favourite_comes_first_and_its_turned_copies_follow():
    said = encoding()
    found = network_hypotheses(said, PRIORS, HALF, yaw_starts=3, has_front=True)
    assert found.owner.tolist() == [0] * 12
    assert len(found.state) == 12
    rotation = found.state.similarity.rotation
    torch.testing.assert_close(rotation[0], said.similarity.rotation[0, 1])
    torch.testing.assert_close(
        found.state.similarity.translation[3:6], found.state.similarity.translation[:3]
    )
    quarter = so3_exp(torch.tensor([0.0, math.pi / 2.0, 0.0]))
    torch.testing.assert_close(rotation[3], rotation[0] @ quarter, atol=1e-6, rtol=0.0)


def test_nothing_is_expected_of_the_front_of_turned_copies():
    found = network_hypotheses(encoding(), PRIORS, HALF, yaw_starts=1, has_front=True)
    precision = found.priors.rotation.precision
    assert precision[:, 0] == pytest.approx(0.5 / (3.0 * math.exp(-2.0)))
    assert precision[:3, 1] == pytest.approx(0.5 / (2.0 * math.exp(-2.0)))
    assert not precision[3:, 1].any()


def test_an_object_without_a_front_has_no_turned_copies():
    found = network_hypotheses(encoding(), PRIORS, HALF, yaw_starts=3, has_front=False)
    assert found.owner.tolist() == [0] * 3
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


def searching(decoders, priors, *, fronts=(True,), network_prior=HALF):
    """A search with one instance of each category."""
    return Search(
        JointDecoder(decoders, torch.arange(len(decoders))),
        Priors.cat([x.expand(1) for x in priors]),
        torch.tensor(fronts),
        RefineConfig(),
        network_prior,
    )


def searched(search, hypotheses, evidence):
    """The result of all rounds, with half turns."""
    candidates = search.narrow(hypotheses, evidence)
    rivals = half_turns(search.best(candidates).rotation, search.has_front)
    return search.refine(search.with_rivals(candidates, rivals), evidence)


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
    search = searching([decoder], [priors], network_prior=NetworkPriorConfig(weight))
    hypotheses = network_hypotheses(
        said, priors, NetworkPriorConfig(weight), yaw_starts=0, has_front=True
    )
    found = searched(search, hypotheses, evidence)
    truth = said.similarity.rotation[0, favourite]
    cosine = ((found.solution.state.similarity.rotation[0] * truth).sum() - 1.0) / 2.0
    assert cosine > 0.98
    assert (found.owner == 0).all()
    assert found.belief[0] > 3.0
    assert len(found.belief) > 1
    assert (found.belief[1:] < found.belief[0] - 0.25).all()


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
    search = searching([decoder], [priors])
    found = search.unrefined(Hypotheses(states, torch.zeros(4, dtype=int), priors), evidence)
    torch.testing.assert_close(
        found.solution.state.similarity.rotation[0], states.similarity.rotation[0]
    )
    assert found.owner.tolist() == [0]
    assert found.belief.tolist() == [0.0]


def rivals(angles, doubt, has_front):
    """Hypotheses of some instances, turned about the x axis by angles in radians."""
    vector = torch.zeros(*torch.tensor(angles).shape, 3)
    vector[..., 0] = torch.tensor(angles)
    doubt = torch.tensor(doubt)
    owner = torch.arange(len(doubt)).repeat_interleave(torch.isfinite(doubt).sum(1))
    return _Ranking(_rows_of(owner, len(doubt)), so3_exp(vector), doubt, torch.tensor(has_front))


def test_a_hypothesis_like_a_better_one_yields_to_another():
    found = rivals([[0.0, 0.05, 1.5, 3.0]], [[1.0, 2.0, 9.0, 40.0]], [True])
    assert found.best(2).tolist() == [0, 2]
    # Far worse than a duplicate is no use either.
    assert found.best(4).tolist() == [0, 2, 1, 3]
    assert found.distinct().tolist() == [0, 2, 3]


def test_instances_have_as_many_hypotheses_as_they_have():
    found = rivals(
        [[0.0, 1.5, 3.0], [1.5, 0.0, 0.0]],
        [[5.0, 1.0, 2.0], [7.0, math.inf, math.inf]],
        [True, True],
    )
    assert found.best(2).tolist() == [1, 2, 3]
    assert found.best(1).tolist() == [1, 3]
    assert found.distinct().tolist() == [1, 2, 0, 3]


def test_yaw_makes_a_rival_of_what_has_a_front_alone():
    yaw = so3_exp(torch.tensor([[[0.0, 0.0, 0.0], [0.0, 2.0, 0.0]]] * 2))
    doubt = torch.tensor([[1.0, 4.0], [1.0, 4.0]])
    found = _Ranking(torch.arange(4).view(2, 2), yaw, doubt, torch.tensor([True, False]))
    assert found.distinct().tolist() == [0, 1, 2]


def test_each_mode_differs_from_all_better_ones():
    """In a chain of neighbours, one that resembles a dropped one alone is a mode."""
    degrees = [0.0, 15.0, 30.0, 45.0]
    found = rivals([[math.radians(x) for x in degrees]], [[1.0, 2.0, 3.0, 4.0]], [True])
    assert found.distinct().tolist() == [0, 2]
    found = rivals([[math.radians(x) for x in degrees]], [[4.0, 3.0, 2.0, 1.0]], [True])
    assert found.distinct().tolist() == [3, 1]


def test_rows_of_owners_that_have_different_numbers():
    assert _rows_of(torch.tensor([0, 0, 1, 2, 2, 2]), 3).tolist() == [
        [0, 1, -1],
        [2, -1, -1],
        [3, 4, 5],
    ]


def test_instances_of_two_categories_are_found_together_as_each_alone(ball):
    decoder, evidence, priors = ball
    other = copy.deepcopy(decoder)
    with torch.no_grad():
        other.output.bias += 0.02
    said = [encoding((0.0, 3.0, 0.0), log_spread=-2.0), encoding((2.0, 0.0), log_spread=-2.0)]
    said = [
        replace(
            x,
            similarity=replace(
                x.similarity,
                translation=torch.tensor([0.0, 0.0, 0.6]).expand(1, len(x.logits[0]), 3),
            ),
            codes=decoder.code_mean[None],
        )
        for x in said
    ]
    proposed = [
        replace(
            network_hypotheses(x, priors, HALF, yaw_starts=yaw_starts, has_front=front),
            encoding=None,
        )
        for x, yaw_starts, front in zip(said, (1, 1), (True, False), strict=True)
    ]
    assert [len(x.state) for x in proposed] == [6, 2]
    alone = [
        searched(searching([one], [priors], fronts=[front]), x, evidence)
        for one, front, x in zip((decoder, other), (True, False), proposed, strict=True)
    ]
    both = searched(
        searching([decoder, other], [priors, priors], fronts=[True, False]),
        Hypotheses.cat(proposed),
        evidence[torch.tensor([0, 0])],
    )
    assert both.owner.tolist() == [0] * len(alone[0].owner) + [1] * len(alone[1].owner)
    for i, x in enumerate(alone):
        found = both.solution[both.owner == i]
        torch.testing.assert_close(
            found.state.similarity.rotation,
            x.solution.state.similarity.rotation,
            atol=1e-3,
            rtol=0.0,
        )
        torch.testing.assert_close(found.cost, x.solution.cost, rtol=1e-3, atol=1e-3)


def test_modes_have_the_priors_of_the_category_and_none_of_the_rotation(ball):
    """Else the network's guesses of shape and rotation would count twice."""
    decoder, evidence, priors = ball
    category = replace(priors, log_scale_mean=priors.log_scale_mean + 0.5)
    said = encoding((0.0, 4.0), log_spread=-2.0)
    said = replace(
        said,
        similarity=replace(
            said.similarity, translation=torch.tensor([0.0, 0.0, 0.6]).expand(1, 2, 3)
        ),
        codes=decoder.code_mean[None],
    )
    found = searched(
        searching([decoder], [category]),
        network_hypotheses(said, priors, HALF, yaw_starts=0, has_front=True),
        evidence,
    )
    assert len(found.owner) >= 4
    for i in range(len(found.owner)):
        again = refine(
            decoder, found.solution.state[i : i + 1], evidence, category, RefineConfig(), 0
        )
        torch.testing.assert_close(again.cost[0], found.solution.cost[i], rtol=1e-2, atol=1e-2)
    # Modes of one instance differ in rotation.
    rotation = found.solution.state.similarity.rotation
    cosine = ((rotation[:, None] * rotation).sum((-1, -2)) - 1.0) / 2.0
    assert cosine[~torch.eye(len(rotation), dtype=torch.bool)].max() < math.cos(math.radians(20.0))


def shape_spread(log_code=-1.0, log_size=-2.0):
    return ShapeSpread(torch.eye(4), torch.full((1, 4), log_code), torch.full((1,), log_size))


def test_what_the_network_says_of_the_shape_is_expected_of_all_hypotheses():
    said = replace(encoding(), codes=torch.full((1, 4), 0.3), shape_spread=shape_spread())
    network_prior = NetworkPriorConfig(shape_sd_factor=2.0)
    found = network_hypotheses(said, PRIORS, network_prior, yaw_starts=1, has_front=True)
    priors = found.priors
    assert priors.code_mean.shape == (6, 4)
    torch.testing.assert_close(priors.code_mean[5], said.codes[0])
    torch.testing.assert_close(
        priors.code_precision[5], math.exp(2.0) / 4.0 * torch.eye(4), rtol=1e-5, atol=1e-6
    )
    assert priors.log_scale_mean.exp() == pytest.approx(0.2)
    assert priors.log_scale_sd == pytest.approx(2.0 * math.sqrt(2.0) * math.exp(-2.0))


@pytest.mark.parametrize(
    ("said", "network_prior"),
    [
        (encoding(), NetworkPriorConfig()),
        (
            replace(encoding(), shape_spread=shape_spread()),
            NetworkPriorConfig(shape_sd_factor=math.inf),
        ),
    ],
)
def test_of_a_network_that_says_nothing_of_the_shape_the_category_s_priors_stand(
    said, network_prior
):
    priors = network_hypotheses(said, PRIORS, network_prior, yaw_starts=0, has_front=True).priors
    assert priors.code_mean is PRIORS.code_mean
    assert priors.log_scale_sd is PRIORS.log_scale_sd


def test_a_known_rotation_is_expected_to_be_that_of_its_mode():
    said = encoding(log_spread=-2.0)
    turned = said.similarity.rotation[:, 2] @ so3_exp(torch.tensor([0.05, 0.0, 0.0]))
    for has_front in (True, False):
        priors = priors_at(turned, said, PRIORS, HALF, has_front=has_front)
        torch.testing.assert_close(priors.rotation.rotation[0], said.similarity.rotation[0, 2])
        assert bool(priors.rotation.precision[0, 1] > 0.0) is has_front
