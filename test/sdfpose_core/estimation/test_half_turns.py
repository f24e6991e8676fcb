"""The half turns among the hypotheses of an instance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from sdfpose_core.estimation.estimator import EstimatorConfig, PoseEstimator
from sdfpose_core.estimation.hypotheses import Hypotheses, NetworkPriorConfig
from sdfpose_core.estimation.hypothesis_search import Candidates, Search, Stage
from sdfpose_core.estimation.rival_rotations import half_turns
from sdfpose_core.geometry.similarity import Similarity, so3_exp
from sdfpose_core.refine.priors import Priors, RotationPrior
from sdfpose_core.refine.solver import RefineConfig
from sdfpose_core.refine.state import ShapePose
from sdfpose_core.simulation import orbit, simulated_frame, table_scene
from sdfpose_core.simulation.tabletop import TABLE_CAMERA

PRIORS = Priors(torch.zeros(4), torch.eye(4), torch.tensor(-1.5), torch.tensor(0.3))

ONE_IS_KEPT = (Stage(surface=64, anchors=48, kernel_sd=8.0, iterations=1, keep=1),)


@pytest.mark.parametrize("wanted", [False, True])
def test_half_turns_of_the_best_hypothesis_are_candidates_unless_switched_off(
    wanted: bool,
) -> None:
    frame, _ = simulated_frame(
        table_scene(3), TABLE_CAMERA, orbit(0.0), np.random.default_rng(0), colour=False
    )
    estimator = PoseEstimator(
        EstimatorConfig(device="cpu", half_turns=wanted, schedule=ONE_IS_KEPT)
    )
    instances, _ = estimator.segment(frame)
    groups, _ = estimator.by_category(instances)
    (batch,) = estimator.search(estimator.encode(groups))
    assert batch.candidates is not None
    found = batch.candidates.hypotheses
    for i, model in enumerate(batch.models):
        best, *turned = found.state.similarity.rotation[found.owner == i]
        expected = ([1, 2, 3] if model.has_front else [1]) if wanted else []
        axes = [int(torch.argmax((best.T @ x).diagonal())) + 1 for x in turned]
        assert sorted(axes) == expected
        for x in turned:
            np.testing.assert_allclose((best.T @ x).trace(), -1.0, atol=1e-4)


def start(rotations, owner, rotation_prior=None):
    """Hypotheses half a metre away with some rotations (H, 3, 3), as `narrow` leaves them."""
    count = len(rotations)
    state = ShapePose(
        Similarity(
            rotations,
            torch.arange(3.0 * count).view(count, 3),
            torch.linspace(0.1, 0.3, count),
        ),
        torch.arange(4.0 * count).view(count, 4),
    )
    priors = replace(PRIORS.expand(count), rotation=rotation_prior)
    return Candidates(
        Hypotheses(state, torch.tensor(owner), priors), torch.arange(6.0 * count).view(count, 2, 3)
    )


def random_rotations(count):
    return so3_exp(2.0 * torch.randn(count, 3, generator=torch.Generator().manual_seed(3)))


HALF_TURNS = torch.diag_embed(2.0 * torch.eye(3) - 1.0)


def with_half_turns(candidates, fronts):
    has_front = torch.tensor(fronts)
    search = Search(
        None, PRIORS.expand(len(fronts)), has_front, RefineConfig(), NetworkPriorConfig()
    )
    best = search.best(candidates)
    return search.with_rivals(candidates, half_turns(best.rotation, has_front))


def test_the_half_turns_of_each_best_candidate_are_candidates_too():
    """Of an object without a front the one about x: that about z differs from it in yaw."""
    rotation = random_rotations(2)
    candidates = start(rotation, [0, 1])
    found = with_half_turns(candidates, [True, False])
    assert found.hypotheses.owner.tolist() == [0, 0, 0, 0, 1, 1]
    similarity = found.hypotheses.state.similarity
    torch.testing.assert_close(similarity.rotation[0], rotation[0])
    torch.testing.assert_close(similarity.rotation[1:4], rotation[0] @ HALF_TURNS)
    torch.testing.assert_close(similarity.rotation[4], rotation[1])
    torch.testing.assert_close(similarity.rotation[5], rotation[1] @ HALF_TURNS[0])
    # In all else they are like the best one.
    source = torch.tensor([0, 0, 0, 0, 1, 1])
    for one, other in (
        (similarity.translation, candidates.hypotheses.state.similarity.translation),
        (similarity.scale, candidates.hypotheses.state.similarity.scale),
        (found.hypotheses.state.codes, candidates.hypotheses.state.codes),
        (found.anchors, candidates.anchors),
    ):
        torch.testing.assert_close(one, other[source])


def test_a_half_turn_that_is_a_candidate_already_is_not_added():
    best = random_rotations(1)[0]
    nearly = so3_exp(torch.tensor([0.2, 0.0, 0.1]))  # 13 degrees
    other = best @ so3_exp(torch.tensor([0.0, 1.0, 0.0]))
    rotation = torch.stack([best, best @ HALF_TURNS[2] @ nearly, other])
    found = with_half_turns(start(rotation, [0, 0, 0]), [True])
    assert found.hypotheses.owner.tolist() == [0] * 5
    turned = found.hypotheses.state.similarity.rotation
    torch.testing.assert_close(turned[:3], rotation)
    torch.testing.assert_close(turned[3:], best @ HALF_TURNS[:2])


def test_any_upside_down_candidate_of_an_object_without_a_front_is_its_half_turn():
    best = random_rotations(1)[0]
    upside_down = best @ HALF_TURNS[0] @ so3_exp(torch.tensor([0.0, 2.0, 0.0]))
    found = with_half_turns(start(torch.stack([best, upside_down]), [0, 0]), [False])
    assert found.hypotheses.owner.tolist() == [0, 0]


def test_a_candidate_of_another_instance_is_no_half_turn_of_this_one():
    best, other = random_rotations(2)
    rotation = torch.stack([best, other, best @ HALF_TURNS[0]])
    found = with_half_turns(start(rotation, [0, 1, 1]), [False] * 2)
    assert found.hypotheses.owner.tolist() == [0, 0, 1, 1, 1]


def test_half_turns_have_no_prior_on_their_rotation_and_the_others_keep_theirs():
    rotation = random_rotations(3)
    prior = RotationPrior(rotation, torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    found = with_half_turns(start(rotation, [0, 0, 1], prior), [False, False])
    assert found.hypotheses.owner.tolist() == [0, 0, 0, 1, 1]
    assert found.hypotheses.priors.rotation.precision.tolist() == [
        [1.0, 2.0],
        [3.0, 4.0],
        [0.0, 0.0],
        [5.0, 6.0],
        [0.0, 0.0],
    ]
