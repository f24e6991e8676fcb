"""Cases of the benchmark of poses."""

import pickle

import pytest

from sdfpose_core.benchmark import poses
from sdfpose_core.categories import default_categories
from sdfpose_core.estimation.estimator import EstimatorConfig, PoseEstimator
from sdfpose_core.samples import sample_frame


@pytest.mark.parametrize("colour", [False, True])
def test_cases_have_colour_where_it_is_asked_for(monkeypatch, colour):
    monkeypatch.setattr(poses, "MODELS", 1)
    monkeypatch.setattr(poses, "_DISTRACTORS", 1)
    (case,) = poses.synthetic_cases("can", 1, 0, colour=colour)
    assert (case.instance.colour is not None) is colour


def test_outcomes_hold_no_points_images_or_meshes(monkeypatch):
    """Thousands of outcomes are kept: none may grow with the size of its image or mesh."""
    monkeypatch.setattr(poses, "MODELS", 1)
    monkeypatch.setattr(poses, "_DISTRACTORS", 1)
    estimator = PoseEstimator(EstimatorConfig(device="cpu", refine="none"))
    (outcome,) = poses.run_cases(estimator, poses.synthetic_cases("can", 1, 0), samples=100)
    assert outcome.reported is not None
    assert len(pickle.dumps(outcome)) < 5_000


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
