"""Cases of the benchmark of poses."""

import pickle
import types

import numpy as np
import pytest
from simple_estimates import UPSIDE_DOWN, make_alternative, make_estimate

from sdfpose_core.benchmark import poses
from sdfpose_core.benchmark.outcomes import PoseCase
from sdfpose_core.categories import default_categories
from sdfpose_core.estimation.estimator import EstimatorConfig, FrameResult, PoseEstimator
from sdfpose_core.observation.frame import GroundTruth
from sdfpose_core.samples import sample_frame

AT = np.array([0.0, 0.0, 0.8])


@pytest.mark.parametrize("colour", [False, True])
def test_cases_have_colour_where_it_is_asked_for(monkeypatch, colour):
    monkeypatch.setattr(poses, "MODELS", 1)
    monkeypatch.setattr(poses, "_DISTRACTORS", 1)
    (case,) = poses.synthetic_cases("can", 1, 0, colour=colour)
    assert (case.instances[0].colour is not None) is colour


def test_outcomes_hold_no_points_images_or_meshes(monkeypatch):
    """Thousands of outcomes are kept: none may grow with the size of its image or mesh."""
    monkeypatch.setattr(poses, "MODELS", 1)
    monkeypatch.setattr(poses, "_DISTRACTORS", 1)
    estimator = PoseEstimator(EstimatorConfig(device="cpu", refine="none"))
    (outcome,) = poses.run_cases(estimator, poses.synthetic_cases("can", 1, 0), samples=100)
    assert outcome.reported is not None
    assert len(pickle.dumps(outcome)) < 5_000


def test_outcomes_know_the_rank_of_the_right_mode(monkeypatch):
    """The estimator's modes are the rivals, not only those likely enough to be reported."""
    rivals = {"upside down": make_alternative("can", AT, UPSIDE_DOWN)}
    rivals["right"] = make_alternative("can", AT, np.eye(3))
    monkeypatch.setattr(poses, "as_alternative", rivals.get)
    truth = GroundTruth(7, "can", "one", np.eye(3), AT, np.full(3, 0.1), True)
    chosen = make_estimate("can", AT, UPSIDE_DOWN, mask_id=7)
    found = FrameResult([chosen], [], {}, modes={7: ["chosen", "upside down", "right"]})
    estimator = types.SimpleNamespace(estimate=lambda instances: found)
    (outcome,) = poses.run_cases(estimator, [PoseCase("one", (), truth)])
    assert outcome.right_rank == 3
    assert outcome.is_wrong_mode


def test_labels_can_be_kept_from_the_estimator():
    categories = default_categories()
    (told,), (untold,) = (
        list(poses.real_cases([sample_frame()], categories, ["mug"], [], category_known=known))
        for known in (True, False)
    )
    assert [x.category for x in told.instances] == ["mug"]
    assert {x.category for x in untold.instances} >= {"mug", "can", "bottle"}
    assert {x.mask_id for x in untold.instances} == {told.truth.mask_id}
    assert untold.truth.category == "mug"  # the evaluation knows
    assert untold.name == told.name


def test_real_cases_are_read_one_frame_at_a_time():
    folders = poses.real_folders(sample_frame())
    done = []
    cases = poses.real_cases(
        folders, default_categories(), ["mug"], [], progress=lambda: done.append(1)
    )
    assert next(cases).truth.category == "mug"
    assert done == []
    assert list(cases) == []
    assert len(done) == len(folders) == 1
