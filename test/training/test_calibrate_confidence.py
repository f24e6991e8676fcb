"""The script that fits the ranking of modes and the confidence."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from sdfpose_core.estimation.confidence import KNOWN_FEATURES, ConfidenceModel
from sdfpose_core.estimation.estimator import EstimatorConfig, PoseEstimator
from sdfpose_core.estimation.mode_ranking import MODE_FEATURES, ModeRanking
from sdfpose_core.recognition.network import RecognitionConfig, RecognitionNetwork
from sdfpose_core.simulation.instances import simulated_instances
from sdfpose_core.weights import RECOGNITION_FILE

SCRIPT = Path(__file__).parents[2] / "training" / "calibrate_confidence.py"
NAMES = ("bottle", "bowl", "camera", "can", "laptop", "mug")


@pytest.fixture(scope="module")
def script():
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


@pytest.fixture
def mode(script):
    """Makes candidate modes from the parts that are not 0."""

    def made(category, *, same_mode=False, right=False, precise=0.0, **ranking):
        return script.CandidateMode(
            category,
            {**dict.fromkeys(MODE_FEATURES, 0.0), **ranking},
            {**dict.fromkeys(KNOWN_FEATURES, 0.0), "inlier_ratio": precise},
            same_mode,
            right,
        )

    return made


@pytest.fixture
def view(script, mode):
    """Makes views with a right mode and, in each other category, a wrong one."""

    def made(category, names, **right):
        modes = [mode(x, cost=-1.0) for x in names if x != category]
        return script.View(category, [mode(category, same_mode=True, right=True, **right), *modes])

    return made


def test_every_wrong_category_is_presented_in_its_turn(script, view):
    views = [view("can", NAMES)] * 50
    found = script.cases(ModeRanking.by_cost(), views, NAMES)
    told = [(x.features["told"], x.known) for x in found]
    assert told.count((1.0, True)) == told.count((0.0, True)) == 50
    assert told.count((1.0, False)) == 10
    assert (0.0, False) not in told


def test_a_single_category_is_never_presented_as_another(script, view):
    found = script.cases(ModeRanking.by_cost(), [view("can", ["can"])] * 6, ["can"])
    assert [x.known for x in found] == [True] * 12


def test_a_category_without_modes_is_not_presented(script, view):
    """Its weights could not be read."""
    views = [view("can", ["can", "mug"])] * 6
    found = script.cases(ModeRanking.by_cost(), views, NAMES)
    assert [x.known for x in found].count(False) == 2


def test_an_unknown_category_shares_the_probability_and_a_known_one_does_not(script, view):
    known, unknown, *_ = script.cases(ModeRanking.by_cost(), [view("can", ["can", "mug"])], ["can"])
    assert known.mode_probability == 1.0
    assert unknown.mode_probability == pytest.approx(1.0 / (1.0 + np.exp(-1.0)))


def test_things_of_no_category_are_never_known_and_now_and_then_told(script, mode):
    views = [script.View("", [mode("can"), mode("mug", cost=-1.0)])] * 10
    found = script.cases(ModeRanking.by_cost(), views, ["can", "mug"])
    assert not any(x.known or x.right for x in found)
    assert [x.features["told"] for x in found].count(1.0) == 2


def test_the_ranking_learns_from_depth_although_colour_decides(script, mode):
    """Where there is no colour, depth is left."""
    rng = np.random.default_rng(0)
    views = []
    for _ in range(200):
        depth = rng.normal(2.0, 1.0)
        right = mode("can", same_mode=True, cost=depth, colour_pose=5.0)
        views.append(script.View("can", [right, mode("can"), mode("mug", colour_category=-5.0)]))
    ranking = script.fit_ranking(views)
    two = [mode("can", cost=2.0).ranking, mode("can").ranking]
    assert ranking.probabilities(two)[0] > 0.8


def test_the_confidence_is_fitted_to_what_is_chosen(script, view):
    ranking = ModeRanking.by_cost()
    views = [view("can", ["can", "mug"], precise=1.0)] * 40
    found = script.cases(ranking, views, ["can", "mug"])
    confidence = script.fit_confidence(ranking, views, ["can", "mug"])
    right = [confidence.probability(x.features) for x in found if not x.features["told"]]
    foreign = [confidence.probability(x.features) for x in found if not x.known]
    assert min(right) > 0.8
    assert max(foreign) < 0.9


def test_a_told_category_has_no_evidence_of_colour_for_it(script, mode):
    """Where only one category is tried, its probability is 1."""
    right = mode("can", same_mode=True, right=True, colour_category=-1.5, colour_pose=2.0)
    views = [script.View("can", [right, mode("mug", colour_category=-2.5)])] * 5
    found = script.cases(ModeRanking.by_cost(), views, ["can", "mug"])
    told, unknown = ([x for x in found if x.features["told"] == y] for y in (1.0, 0.0))
    assert {x.known for x in told} == {True, False}
    assert {x.features["colour_category"] for x in told} == {0.0}
    assert {x.features["colour_category"] for x in unknown} <= {-1.5, -2.5}
    assert {x.features["colour_pose"] for x in told if x.known} == {2.0}
    assert all(x.features["mode_probability"] == x.mode_probability for x in found)


def test_a_view_without_colour_keeps_all_other_cues(script, mode):
    modes = [mode("can", right=True, precise=0.5, colour_pose=2.0, cost=1.0)]
    before = script.View("can", modes, shape_alone=-2.0)
    before.modes[0].confidence.update(colour_known=3.0, shape_known=1.0)
    (neither,) = script.without_colour(before, shape=False).modes
    assert (neither.confidence["shape_known"], neither.ranking["cost"]) == (0.0, 1.0)
    after = script.without_colour(before, shape=True)
    (x,) = after.modes
    assert (after.category, x.category, x.right) == ("can", "can", True)
    assert (x.ranking["colour_pose"], x.ranking["cost"]) == (0.0, 1.0)
    assert (x.confidence["colour_known"], x.confidence["shape_known"]) == (0.0, -2.0)
    assert x.confidence["inlier_ratio"] == 0.5
    assert before.modes[0].ranking["colour_pose"] == 2.0
    (found,) = script.cases(ModeRanking.by_cost(), [after], ["can"])[1:]
    assert (found.features["colour_pose"], found.features["colour_known"]) == (0.0, 0.0)
    assert found.features["shape_known"] == -2.0


def test_views_know_what_shape_says_of_the_object(script, tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = RecognitionNetwork(RecognitionConfig(("can",), (4, 4), 8))
    network.save(tmp_path / RECOGNITION_FILE, "any")
    config = EstimatorConfig(colour="none", refine="none", device="cpu")
    estimator = PoseEstimator(config, [tmp_path])
    (item,) = simulated_instances("can", 0, 1, model_seeds=range(1), pixels=20_000, colour=True)
    (seen,) = estimator.recognition.told_known([item.instance])
    (alone,) = estimator.recognition.told_known([item.instance], colour=False)
    found = script.view([item.instance], item.truth, estimator)
    assert seen.shape_log_odds != 0.0
    assert found.shape_alone == pytest.approx(alone.shape_log_odds)
    assert found.shape_alone != pytest.approx(seen.shape_log_odds)
    for x in found.modes:
        assert x.confidence["shape_known"] == pytest.approx(seen.shape_log_odds)


def test_figures_of_known_views(script, mode, view):
    """Of four cans, one is in a wrong mode, one in no right one, and one is taken for a mug."""
    near = {"same_mode": True, "right": True}
    modes = [
        [mode("can", **near), mode("can", cost=-9.0), mode("mug", cost=-9.0)],
        [mode("can", cost=-9.0, **near), mode("can"), mode("mug", cost=-9.0)],
        [mode("can"), mode("mug", cost=-9.0)],
        [mode("can", same_mode=True), mode("mug", cost=9.0)],
    ]
    views = [script.View("can", x) for x in modes]
    views.append(script.View("", [mode("mug")]))
    certain = ConfidenceModel.constant(known=1.0, precise=1.0)
    found = script.figures(ModeRanking.by_cost(), certain, views, ["can", "mug"])
    assert found["views"] == 5
    assert (found["none_rejected_percent"], found["none_confident_percent"]) == (0.0, 100.0)
    assert found["ours_rejected_percent"] == 0.0
    assert found["right_mode_percent"] == 50.0
    assert found["oracle_percent"] == 75.0
    assert found["right_percent"] == 25.0
    assert found["category_percent"] == 75.0
    # Of ten estimates, two are right; all are certain.
    assert found["ece"] == pytest.approx(8.0 / 10.0, abs=1e-3)


@pytest.mark.parametrize(
    ("category", "yaw", "tilt", "metres", "expected"),
    [
        ("camera", 5.0, 0.0, 0.01, (True, True)),
        ("camera", 15.0, 0.0, 0.01, (True, False)),
        ("camera", 25.0, 0.0, 0.01, (False, False)),
        ("camera", 0.0, 0.0, 0.06, (False, False)),
        ("can", 90.0, 5.0, 0.01, (True, True)),
        ("can", 90.0, 25.0, 0.01, (False, False)),
        ("mug", 0.0, 0.0, 0.0, (False, False)),
    ],
)
def test_a_mode_is_compared_with_the_truth(
    script, monkeypatch, category, yaw, tilt, metres, expected
):
    """A mug is always a mistaken category here."""
    rotation = Rotation.from_euler("YX", [yaw, tilt], degrees=True).as_matrix()
    pose = SimpleNamespace(rotation=rotation, translation=np.array([metres, 0.0, 1.0]))
    monkeypatch.setitem(script.candidate.__globals__, "as_alternative", lambda _: pose)
    truth = SimpleNamespace(
        rotation=np.eye(3),
        translation=np.array([0.0, 0.0, 1.0]),
        symmetric_about_y=category == "can",
        category="can" if category == "mug" else category,
    )
    found = SimpleNamespace(
        instance=SimpleNamespace(category=category),
        features={},
    )
    compared = script.candidate(truth, found, {"code": 1.0})
    assert (compared.same_mode, compared.right) == expected
    assert (compared.category, compared.ranking) == (category, {"code": 1.0})
