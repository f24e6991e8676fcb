"""The objects that a tracker follows, as it predicts them for the masks of the next image."""

from __future__ import annotations

import numpy as np
import pytest
from tracker_fakes import CAN, PERIOD_NS, FakeEstimator, make_frame, make_tracker, only, run

from sdfpose_core.tracking.tracker import TrackerConfig


def followed_ids(tracker, index, **options):
    return [x.mask_id for x in tracker.followed(make_frame({}, index, **options))]


def test_a_confirmed_object_is_followed():
    tracker = make_tracker(FakeEstimator())
    counts = []
    for index in range(4):
        counts.append(followed_ids(tracker, index))
        run(tracker, [CAN], start=index)
    assert counts == [[], [], [], [5]]


def test_an_object_is_followed_to_where_it_moves():
    tracker = make_tracker(FakeEstimator())
    speed_m = 0.01  # per image
    # A pixel is two thirds of a step.
    results = run(tracker, [{5: ("can", (speed_m * i, 0.0, 1.0))} for i in range(30)])
    (predicted,) = tracker.followed(make_frame({}, 30))
    step_m = predicted.translation - only(results[-1]).estimate.translation
    np.testing.assert_allclose(step_m, [speed_m, 0.0, 0.0], atol=0.5 * speed_m)


def test_an_object_out_of_view_is_followed_while_its_prediction_is_good():
    tracker = make_tracker(FakeEstimator(), TrackerConfig(coast_s=0.2))
    run(tracker, [CAN] * 4 + [{}])
    last_ns = 3 * PERIOD_NS
    assert followed_ids(tracker, 1, period_ns=last_ns + 199_000_000) == [5]
    assert followed_ids(tracker, 1, period_ns=last_ns + 201_000_000) == []


@pytest.mark.parametrize("confidence", [0.2, 0.8])
def test_an_object_is_followed_while_its_pose_is_confident(confidence):
    confidences = iter([0.9] * 4 + [confidence] * 100)
    tracker = make_tracker(FakeEstimator(lambda instance, warm: {"confidence": next(confidences)}))
    run(tracker, [CAN] * 5)
    assert followed_ids(tracker, 5) == ([5] if confidence > 0.5 else [])


def test_a_new_sequence_begins_with_nothing():
    tracker = make_tracker(FakeEstimator())
    run(tracker, [CAN] * 4)
    assert followed_ids(tracker, 4) == [5]
    assert followed_ids(tracker, 4, frame_id="another") == []
    assert followed_ids(tracker, 1) == []
    assert followed_ids(tracker, 4) == [5]  # asking changes nothing
    tracker.reset()
    assert followed_ids(tracker, 4) == []
