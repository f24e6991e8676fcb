"""What colour says of instances: categories that it rules out, and whether they are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sdfpose_core.cues.network import ColourCues, ColourCuesConfig
from sdfpose_core.estimation.colour_evidence import ColourEvidence
from sdfpose_core.observation.frame import Instance
from sdfpose_core.observation.free_space import FreeSpace

NAMES = ("can", "camera", "mug")


@pytest.fixture(scope="module")
def network():
    """Says the same of every instance: a can, perhaps a mug, and probably known."""
    found = ColourCues(
        ColourCuesConfig(NAMES, ("can",), width=0.25, channels=16, features=12, hidden=16)
    ).eval()
    with torch.no_grad():
        found.category_head.weight.zero_()
        found.category_head.bias.copy_(torch.tensor([4.0, -4.0, 0.0]))
        found.known_head.weight.zero_()
        found.known_head.bias.fill_(1.5)
    return found


def instances(*categories, mask_id=1, colour=True):
    picture = np.random.default_rng(0).integers(256, size=(60, 80, 3), dtype=np.uint8)
    u, v = np.meshgrid(np.arange(20), np.arange(20))
    pixels = np.stack([u.ravel(), v.ravel()], axis=-1).astype(np.int32)
    points = np.concatenate([0.001 * pixels, np.ones((400, 1))], axis=1).astype(np.float32)
    return [
        Instance(mask_id, x, 1.0, points, pixels, FreeSpace.unknown(), 400,
                 colour=picture if colour else None)
        for x in categories
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("tried", "kept"),
    [
        (("can", "camera", "mug"), ["can", "mug"]),
        (("camera", "mug"), ["camera", "mug"]),  # among these two, a camera is possible
        (("camera",), ["camera"]),
        (("can", "camera", "kettle"), ["can", "kettle"]),  # kettles are unknown to it
        (("camera", "kettle"), ["camera", "kettle"]),
        (("kettle",), ["kettle"]),
    ],
)
def test_categories_that_colour_rules_out_are_not_tried(network, tried, kept):
    some = instances(*tried)
    assert [x.category for x in ColourEvidence.of(network, some).likely(some)] == kept


def test_without_colour_every_category_is_tried(network):
    some = instances(*NAMES, colour=False)
    assert ColourEvidence.of(network, some).likely(some) == some


def test_objects_are_judged_one_by_one(network):
    some = [*instances("camera", mask_id=2), *instances("can", "camera", mask_id=5)]
    found = ColourEvidence.of(network, some).likely(some)
    assert [(x.mask_id, x.category) for x in found] == [(2, "camera"), (5, "can")]


def test_there_is_no_evidence_of_categories_that_the_network_does_not_know(network):
    """What it says of the others is what it says without them."""
    colour = ColourEvidence.of(network, instances("can"))
    alone = colour.category_log_probabilities(1, ["can", "mug"])
    assert alone[0] > alone[1] + 3.0
    mixed = colour.category_log_probabilities(1, ["kettle", "can", "drill", "mug"])
    assert mixed == [0.0, alone[0], 0.0, alone[1]]
    assert colour.category_log_probabilities(1, ["kettle"]) == [0.0]
    rotations = torch.eye(3).expand(1, 2, 3, 3)
    scores = colour.log_scores([1], ["kettle"], rotations, torch.ones(1, 2, 3))
    assert scores.tolist() == [[0.0, 0.0]]
    assert (colour.knows("mug"), colour.knows("kettle")) == (True, False)


def test_it_tells_whether_known_categories_are_known(network):
    can, kettle = instances("can", "kettle")
    colour = ColourEvidence.of(network, [can, kettle])
    assert colour.told_known(can).colour_log_odds == pytest.approx(1.5)
    assert colour.told_known(kettle).colour_log_odds == 0.0
    (blind,) = instances("can", colour=False)
    assert ColourEvidence.of(network, [blind]).told_known(blind).colour_log_odds == 0.0
