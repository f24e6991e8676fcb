"""Outcomes of the pose benchmark: errors of estimates and of their rivals."""

from dataclasses import replace

import numpy as np
import pytest
from simple_estimates import UPSIDE_DOWN, make_alternative, make_estimate

from sdfpose_core.benchmark.outcomes import PoseCase, evaluate_case
from sdfpose_core.observation.frame import GroundTruth, Instance
from sdfpose_core.observation.free_space import FreeSpace

AT = np.array([0.0, 0.0, 0.8])
TRUTH = GroundTruth(1, "mug", "one", np.eye(3), AT, np.full(3, 0.1), False)


def outcome(estimate, **rivals):
    case = PoseCase("one", (), TRUTH)
    return evaluate_case(case, estimate, {}, np.random.default_rng(0), **rivals)


def mug(rotation=UPSIDE_DOWN, alternatives=()):
    return replace(make_estimate("mug", AT, rotation), alternatives=tuple(alternatives))


def rival(rotation=UPSIDE_DOWN, category="mug", at=AT):
    return make_alternative(category, at, rotation)


def test_an_estimate_of_another_category_is_a_false_detection():
    found = outcome(make_estimate("can", AT, np.eye(3)))
    assert (found.degrees, found.centimetres, found.iou) == (np.inf, np.inf, 0.0)
    assert found.confidence == 0.87
    assert found.right_rank is None
    assert found.is_wrong_mode


@pytest.mark.parametrize(("degrees", "wrong"), [(29.0, False), (31.0, True)])
def test_a_wrong_mode_is_off_by_more_than_precision_explains(degrees, wrong):
    a = np.radians(degrees)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    found = outcome(mug(about_x))
    assert found.degrees == pytest.approx(degrees)
    assert found.is_wrong_mode is wrong


def test_what_was_not_found_is_no_wrong_mode():
    found = outcome(None)
    assert (found.degrees, found.confidence, found.right_rank) == (np.inf, 0.0, None)
    assert not found.is_wrong_mode


@pytest.mark.parametrize(
    ("rotation", "rivals", "rank"),
    [
        (np.eye(3), [rival()], 1),
        (UPSIDE_DOWN, [rival(np.eye(3))], 2),
        (UPSIDE_DOWN, [rival(), rival(np.eye(3)), rival(np.eye(3))], 3),
        (UPSIDE_DOWN, [rival(np.eye(3), "can"), rival(np.eye(3))], 3),
        (UPSIDE_DOWN, [rival(np.eye(3), at=AT + 0.1)], None),
        (UPSIDE_DOWN, [], None),
    ],
)
def test_the_rank_is_that_of_the_first_mode_that_is_right(rotation, rivals, rank):
    assert outcome(mug(rotation), rivals=rivals).right_rank == rank
    # Those that an estimate reports are used where no others are given.
    assert outcome(mug(rotation, rivals)).right_rank == rank
    assert outcome(mug(rotation, [rival(np.eye(3))]), rivals=rivals).right_rank == rank


def test_no_rival_is_looked_at_where_the_estimate_is_right():
    def rivals():
        raise AssertionError("looked at")
        yield

    assert outcome(mug(np.eye(3)), rivals=rivals()).right_rank == 1


def test_of_an_unknown_category_there_is_an_instance_for_each():
    none = np.zeros((0, 3), np.float32)
    instance = Instance(7, "mug", 1.0, none, none[:, :2].astype(int), FreeSpace.unknown(), 0)
    instance = replace(instance, label="mug")
    found = PoseCase("one", [instance], TRUTH).of_unknown_category(["can", "mug"])
    assert [(x.mask_id, x.category) for x in found.instances] == [(7, "can"), (7, "mug")]
    assert {x.label for x in found.instances} == {""}
    assert found.truth is TRUTH
