"""The front that colour shows, among the hypotheses of an instance."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from sdfpose_core.cues.network import ColourFeatures
from sdfpose_core.estimation.colour_evidence import ColourEvidence
from sdfpose_core.estimation.hypotheses import Hypotheses, NetworkPriorConfig
from sdfpose_core.estimation.hypothesis_search import Candidates, Search
from sdfpose_core.estimation.rival_rotations import RivalRotations, front_in_colour, half_turns
from sdfpose_core.geometry.similarity import Similarity, so3_exp
from sdfpose_core.observation.frame import Instance
from sdfpose_core.observation.free_space import FreeSpace
from sdfpose_core.refine.priors import Priors
from sdfpose_core.refine.solver import RefineConfig
from sdfpose_core.refine.state import ShapePose

PRIORS = Priors(torch.zeros(4), torch.eye(4), torch.tensor(-1.5), torch.tensor(0.3))


class SeesHandles:
    """A colour network that sees the +x axis of every object in one direction of the camera."""

    device = torch.device("cpu")

    def __init__(self, direction, seen=True):
        self.direction = torch.tensor(direction)
        self.seen = seen
        self.looked_at = []

    def encode(self, instances):
        self.looked_at += [x.mask_id for x in instances]
        numbers = torch.tensor([[float(x.mask_id)] for x in instances])
        return ColourFeatures(numbers, torch.full((len(instances),), self.seen))

    def log_scores(self, features, categories, rotations, centres):
        assert len(features.values) == len(categories) == len(rotations)
        scores = 5.0 * (rotations[..., 0] @ self.direction)
        return torch.where(features.seen[:, None], scores, 0.0)


def instance(mask_id, category="mug"):
    nothing = np.zeros((0, 3), np.float32)
    return Instance(
        mask_id, category, 1.0, nothing, nothing[:, :2].astype(np.int32), FreeSpace.unknown(), 0
    )


def poses(rotation):
    count = len(rotation)
    return Similarity(rotation, torch.zeros(count, 3), torch.ones(count))


def yaw(degrees):
    return so3_exp(torch.tensor([[0.0, math.radians(degrees), 0.0]]))


def test_the_front_is_turned_to_where_colour_shows_it():
    upright = so3_exp(torch.tensor([[0.4, 0.0, 0.2]]))
    true = (upright @ yaw(140.0))[0, :, 0]
    instances = [instance(3)]
    colour = ColourEvidence.of(SeesHandles(true.tolist()), instances)
    found = front_in_colour(colour, instances, poses(upright), torch.tensor([True]))
    assert found.worth_trying.tolist() == [[True]]
    rotation = found.rotations[0, 0]
    torch.testing.assert_close(rotation[:, 1], upright[0, :, 1])  # the same axis
    assert float(rotation[:, 0] @ true) > math.cos(math.radians(10.1))
    torch.testing.assert_close(rotation.T @ rotation, torch.eye(3), atol=1e-6, rtol=0.0)


def test_what_has_no_front_or_no_colour_gets_no_other_rotation():
    upright = yaw(30.0)
    instances = [instance(3)]
    colour = ColourEvidence.of(SeesHandles([1.0, 0.0, 0.0]), instances)
    found = front_in_colour(colour, instances, poses(upright), torch.tensor([False]))
    assert not found.worth_trying.any()
    blind = ColourEvidence.of(SeesHandles([1.0, 0.0, 0.0], seen=False), instances)
    found = front_in_colour(blind, instances, poses(upright), torch.tensor([True]))
    torch.testing.assert_close(found.rotations[0, 0], upright[0])


def test_one_look_at_an_object_serves_all_its_categories():
    network = SeesHandles([0.0, 0.0, 1.0])
    colour = ColourEvidence.of(network, [instance(7), instance(2), instance(7, "can")])
    assert sorted(network.looked_at) == [2, 7]
    rotations = so3_exp(torch.randn(3, 4, 3, generator=torch.Generator().manual_seed(0)))
    scores = colour.log_scores([2, 7, 7], ["mug", "mug", "can"], rotations, rotations[..., 0])
    torch.testing.assert_close(scores, 5.0 * rotations[..., 2, 0])


@pytest.mark.parametrize("degrees", [5.0, 90.0])
def test_a_rotation_is_tried_once(degrees):
    """Colour may show what is a hypothesis already, or a half turn of one."""
    best = yaw(0.0)
    state = ShapePose(poses(best), torch.zeros(1, 4))
    hypotheses = Hypotheses(state, torch.tensor([0]), replace(PRIORS.expand(1)))
    has_front = torch.tensor([True])
    search = Search(None, PRIORS.expand(1), has_front, RefineConfig(), NetworkPriorConfig())
    turned = RivalRotations(yaw(180.0 + degrees).unsqueeze(1), torch.tensor([[True]]))
    rivals = RivalRotations.cat([half_turns(best, has_front), turned])
    found = search.with_rivals(Candidates(hypotheses, torch.zeros(1, 2, 3)), rivals)
    assert len(found.hypotheses.owner) == (4 if degrees == 5.0 else 5)
