"""Figures of the modes and of the categories."""

from dataclasses import replace

import numpy as np
import pytest
from simple_estimates import make_estimate

from sdfpose_core.benchmark.outcomes import PoseOutcome
from sdfpose_core.benchmark.pose_figures import summarise, summarise_categories
from sdfpose_core.evaluation.frame_evaluation import ReportedObject
from sdfpose_core.observation.frame import GroundTruth


def outcome(degrees, rank=None, confidence=0.9, category="mug", reported="mug"):
    truth = GroundTruth(1, category, "one", np.eye(3), np.ones(3), np.full(3, 0.1), False)
    found = None
    if reported is not None:
        found = ReportedObject.of(replace(make_estimate(reported), confidence=confidence))
    return PoseOutcome("one", truth, 0.8, found, degrees, 1.0, 0.9, np.nan, {}, rank)


MISS = outcome(np.inf, reported=None)
RIGHT, INEXACT = outcome(3.0, rank=1), outcome(20.0)
TURNED = outcome(180.0, rank=4, confidence=0.3)
SURE = outcome(90.0, confidence=0.8)


def modes(figures):
    keys = ("wrong_mode", "wrong_confident", "chosen_deg10_cm5", "oracle_deg10_cm5", "right_rank")
    return tuple(figures[key] for key in keys)


@pytest.mark.parametrize(
    ("outcomes", "figures"),
    [
        ([RIGHT, INEXACT, TURNED, SURE, MISS], (50.0, 50.0, 20.0, 40.0, 2.5)),
        ([RIGHT], (0.0, None, 100.0, 100.0, 1.0)),
        ([SURE], (100.0, 100.0, 0.0, 0.0, None)),
        ([MISS], (None, None, 0.0, 0.0, None)),
    ],
)
def test_figures_of_modes(outcomes, figures):
    """Misses are in no mode, but they are objects."""
    assert modes(summarise({"mug": outcomes})["per_category"]["mug"]) == figures


def test_means_are_over_categories_and_confident_wrong_modes_over_all_objects():
    document = summarise({"mug": [TURNED, TURNED, TURNED, RIGHT], "can": [SURE], "bowl": [MISS]})
    assert document["mean"]["wrong_mode"] == pytest.approx((75.0 + 100.0) / 2)
    assert document["mean"]["wrong_confident"] == pytest.approx(25.0)
    assert document["mean"]["oracle_deg10_cm5"] == pytest.approx(100.0 / 3)


def test_ordinary_and_hard_views_are_counted_apart():
    ordinary, hard = replace(RIGHT, hard_view=False), replace(TURNED, hard_view=True)
    document = summarise({"mug": [ordinary, hard, replace(RIGHT, hard_view=True), RIGHT]})
    assert document["by_view"] == {
        "ordinary": {"n": 1, "right_percent": 100.0},
        "hard": {"n": 2, "right_percent": 50.0},
    }
    assert summarise({"mug": [RIGHT]})["by_view"] == {}


def test_categories_are_told_apart():
    can = {"degrees": np.inf, "category": "can"}
    document = summarise_categories(
        {
            "mug": [RIGHT, RIGHT, outcome(np.inf, reported="can"), MISS],
            "can": [outcome(**can, reported="mug"), outcome(**can, reported="laptop")],
            "bowl": [],
        }
    )
    assert document["confusion"] == {
        "mug": {"mug": 2, "can": 1, "missed": 1},
        "can": {"mug": 1, "laptop": 1},
    }
    assert document["category_right"] == pytest.approx((50.0 + 0.0) / 2)
