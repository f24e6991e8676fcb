"""New objects are detected a few per image, so that results are not late."""

import math

import pytest
from tracker_fakes import LOST, FakeEstimator, make_frame, make_tracker

from sdfpose_core.tracking.config import TrackerConfig
from sdfpose_core.tracking.detector import Detector

ONE_AT_A_TIME = TrackerConfig(detection_budget_s=1e-9)
OBJECTS = {i: ("can", (0.25 * i - 0.6, 0.0, 1.0)) for i in range(1, 5)}


def ids(result):
    return [x.id for x in result.tracks if x.state != LOST]


def test_without_a_limit_one_image_shows_all_objects():
    result = make_tracker(FakeEstimator()).step(make_frame(OBJECTS, 0))
    assert len(ids(result)) == 4
    assert result.waiting == []


@pytest.mark.parametrize("category", ["can", "any"])
def test_objects_that_wait_are_detected_in_the_next_images(category):
    """The first detection always takes place; tracked objects go on meanwhile."""
    tracker = make_tracker(FakeEstimator(), ONE_AT_A_TIME)
    objects = {i: (category, place) for i, (_, place) in OBJECTS.items()}
    shown = []
    for index in range(5):
        result = tracker.step(make_frame(objects, index))
        assert len(result.waiting) == max(3 - index, 0)
        assert result.skipped == []
        shown.append(ids(result))
    assert [len(x) for x in shown] == [1, 2, 3, 4, 4]
    assert shown[-1] == [1, 2, 3, 4]


def test_an_instance_that_is_never_detected_does_not_keep_the_others_waiting():
    estimator = FakeEstimator(lambda instance, warm: None if instance.mask_id == 1 else {})
    tracker = make_tracker(estimator, ONE_AT_A_TIME)
    for index in range(8):
        result = tracker.step(make_frame(OBJECTS, index))
    assert len(ids(result)) == 3


def test_an_object_that_waits_after_a_pause_keeps_its_id():
    """A pause longer than the time after which unseen objects are removed."""
    tracker = make_tracker(FakeEstimator(), ONE_AT_A_TIME)
    for index in range(8):
        before = tracker.step(make_frame(OBJECTS, index))
    for index in range(4):
        result = tracker.step(make_frame(OBJECTS, 400 + index))
        assert len(ids(result)) == index + 1
        assert result.removed == []
    assert ids(result) == ids(before)


def test_a_detector_stops_when_its_time_is_over():
    clock = iter([0.0, 0.4, 1.1, 1.2])
    estimator = FakeEstimator()
    detector = Detector(estimator, 1.0, clock=lambda: next(clock))
    instances = make_tracker(estimator)._estimator.segment(make_frame(OBJECTS, 0))[0]
    found = detector.detect_in_time(instances)
    assert [x.mask_id for x in found] == [1, 2]
    assert detector.waiting == {3, 4}
    assert detector.found(instances[0]) is found[0]
    assert detector.found(instances[3]) is None


def test_an_unlimited_detector_makes_one_call():
    estimator = FakeEstimator()
    detector = Detector(estimator, math.inf)
    instances = make_tracker(estimator)._estimator.segment(make_frame(OBJECTS, 0))[0]
    assert len(detector.detect_in_time(instances)) == 4
    assert len(estimator.calls) == 1
