"""New objects are detected a few per image, so that results are not late."""

import math

import numpy as np
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


@pytest.mark.parametrize("category", ["can", "any"])
def test_mask_ids_that_change_in_step_keep_nobody_waiting(category):
    """One of two objects is never detected, and they exchange their ids in every image."""

    def left_only(instance, warm):
        return {} if np.median(instance.points[:, 0]) < 0.0 else None

    tracker = make_tracker(FakeEstimator(left_only), ONE_AT_A_TIME)
    left, right = (-0.3, 0.0, 1.0), (0.3, 0.0, 1.0)
    for index in range(12):
        places = (left, right) if index % 2 else (right, left)
        objects = {i: (category, x) for i, x in enumerate(places, start=1)}
        result = tracker.step(make_frame(objects, index))
        known = {x.estimate.mask_id for x in result.tracks} | {x.mask_id for x in result.skipped}
        assert known | set(result.waiting) == {1, 2}
        assert not known & set(result.waiting)
    assert len(ids(result)) == 1


@pytest.mark.parametrize("budget_s", [1e-9, math.inf])
def test_an_instance_that_no_category_explains_is_tried_once(budget_s):
    estimator = FakeEstimator(lambda instance, warm: None)
    tracker = make_tracker(estimator, TrackerConfig(detection_budget_s=budget_s))
    result = tracker.step(make_frame({3: ("any", (0.0, 0.0, 1.0))}, 0))
    assert len(estimator.calls) == 1
    assert {x.mask_id for x in result.skipped} == {3}
    assert result.waiting == []


@pytest.mark.parametrize("refine", ["icp", "none"])
def test_a_category_that_was_found_is_not_detected_again(refine):
    estimator = FakeEstimator(refine=refine)
    result = make_tracker(estimator).step(make_frame({3: ("any", (0.0, 0.0, 1.0))}, 0))
    assert ids(result) == [1]
    assert len(estimator.calls) == 1


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
