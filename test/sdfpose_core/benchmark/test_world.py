"""The world benchmark: a table seen by a camera on an arm, and its figures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tracker_fakes import FakeEstimator

from sdfpose_core.benchmark import world
from sdfpose_core.benchmark.world import PoseError, WorldRun, summarise_world
from sdfpose_core.benchmark.world_sequences import ArmSequence
from sdfpose_core.evaluation.tracks import TrackSample


@pytest.fixture(scope="module")
def images():
    return list(ArmSequence(0, duration_s=1.0, rate_hz=5.0).images())


def test_every_image_has_the_measured_pose_of_the_camera_and_views_of_all_objects(images):
    sequence = ArmSequence(0, duration_s=1.0, rate_hz=5.0)
    assert len(images) == len(sequence) == 5
    for image in images:
        camera = image.frame.camera_pose
        for view, item in zip(image.views, sequence.objects, strict=True):
            error = camera.to_world(view.truth.translation) - item.translation
            assert 0.0 < np.linalg.norm(error) < 0.05
            assert view.truth.category == item.category


def test_mask_ids_change_and_the_images_are_the_same_again(images):
    ids = {tuple(x.truth.mask_id for x in image.views) for image in images}
    assert len(ids) > 1
    again = next(ArmSequence(0, duration_s=1.0, rate_hz=5.0).images())
    np.testing.assert_array_equal(again.frame.depth, images[0].frame.depth)
    np.testing.assert_array_equal(again.frame.mask, images[0].frame.mask)


def test_a_tracker_is_followed_through_the_images(monkeypatch):
    monkeypatch.setattr(world, "_SINGLE_EVERY", 3)
    shares = []
    run = world.track_world(
        FakeEstimator(), ArmSequence(0, duration_s=1.0, rate_hz=5.0), progress=shares.append
    )
    assert sum(shares) == pytest.approx(1.0)
    assert len(run.histories) == 6
    assert {len(x) for x in run.histories} == {5}
    assert all(x.track_id is not None for history in run.histories for x in history)
    assert set(run.copies) == {1}
    assert len(run.last) == 30
    assert np.isfinite([x.centimetres for x in run.last]).all()
    assert len(run.single) == 12
    figures = summarise_world([run])
    assert (figures["images"], figures["objects"], figures["id_switches"]) == (5, 6, 0)
    assert (figures["one_id"], figures["returns"], figures["reidentified"]) == (100.0, 0, None)


def history(*parts):
    """(seconds, track id), None for images in which the object is out of view; 10 Hz."""
    samples, index = [], 0
    for seconds, track in parts:
        for _ in range(round(10 * seconds)):
            away = track is None
            samples.append(TrackSample(0.1 * index, not away, away, track_id=track))
            index += 1
    return samples


def figures(*histories, **changes):
    return summarise_world([WorldRun(["mug"] * len(histories), list(histories), **changes)])


def test_returns_are_those_after_a_long_absence():
    same = history((1.0, 7), (6.0, None), (1.0, 7))
    other = history((1.0, 7), (6.0, None), (1.0, 8))
    short = history((1.0, 7), (2.0, None), (1.0, 8))
    found = figures(same, other, short)
    assert (found["returns"], found["reidentified"], found["id_switches"]) == (2, 50.0, 2)


def test_an_id_counts_within_two_images_of_the_return():
    late = history((1.0, 7), (6.0, None))
    start = 0.1 * len(late)
    for i in range(4):
        late.append(TrackSample(start + 0.1 * i, True, False, track_id=7 if i >= 2 else None))
    assert figures(late)["reidentified"] == 0.0
    late[-3] = TrackSample(start + 0.1, True, False, track_id=7)
    assert figures(late)["reidentified"] == 100.0


def test_the_ratio_is_the_larger_one():
    found = figures(
        history((1.0, 7)),
        copies=[1, 1, 2, 1],
        last=[PoseError(1.0, 0.4)],
        single=[PoseError(2.0, 1.0), PoseError(4.0, 1.0), PoseError(math.inf, math.inf)],
    )
    assert found["one_id"] == 75.0
    assert found["last"] == {"degrees": 1.0, "centimetres": 0.4}
    assert found["single"] == {"degrees": 4.0, "centimetres": 1.0}
    assert found["error_ratio"] == pytest.approx(0.4)


def test_without_images_nothing_is_claimed():
    found = summarise_world([WorldRun([], [[]])])
    assert found["error_ratio"] is found["one_id"] is None
