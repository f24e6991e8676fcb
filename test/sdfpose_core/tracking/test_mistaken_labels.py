"""Objects that detectors report under a wrong label."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from simple_estimates import make_alternative
from tracker_fakes import (
    LOST,
    TRACKED,
    FakeEstimator,
    detections,
    make_frame,
    make_tracker,
    only,
    run,
)

from sdfpose_core.estimation.keyframes import Keyframes
from sdfpose_core.tracking.redetection import Redetection
from sdfpose_core.tracking.tracker import TrackerConfig
from sdfpose_core.tracking.verification import VerificationRequest, verify

PLACE = (0.0, 0.0, 1.0)
BOTTLE = {4: ("bottle", PLACE)}
CAN = {4: ("can", PLACE)}
ANY = {4: ("any", PLACE)}


def mistaken(instance, warm):
    """A can that a detector calls a bottle is found as a can where it is searched."""
    return {"category": "can"} if warm is None and instance.category == "bottle" else {}


@pytest.mark.parametrize("refine", ["sdf", "none"])
def test_a_can_labelled_bottle_is_tracked_as_a_can_under_one_id(refine):
    tried = []

    def script(instance, warm):
        tried.append(instance.category)
        return mistaken(instance, warm)

    estimator = FakeEstimator(script, refine=refine)
    tracks = [only(x) for x in run(make_tracker(estimator), [BOTTLE] * 12)]
    assert {(x.id, x.estimate.category) for x in tracks} == {(1, "can")}
    assert tracks[-1].state == TRACKED
    assert tracks[-1].mesh_revision == 1
    # It is searched under its label once, and known as a can from then on.
    assert tried[0] == "bottle"
    assert set(tried[1:]) == {"can"}


def test_it_stays_one_object_while_the_label_changes():
    frames = [BOTTLE, BOTTLE, CAN, CAN, BOTTLE, CAN, ANY, BOTTLE, ANY]
    results = run(make_tracker(FakeEstimator(mistaken)), frames)
    assert {(only(x).id, only(x).estimate.category) for x in results} == {(1, "can")}


def test_a_label_that_it_never_had_is_another_object():
    tracker = make_tracker(FakeEstimator(mistaken))
    run(tracker, [BOTTLE] * 4)
    result = tracker.step(make_frame({4: ("mug", PLACE)}, 4))
    assert [(x.id, x.estimate.category) for x in result.tracks] == [(1, "can"), (2, "mug")]


@pytest.mark.parametrize("shown", ["can", "bottle"])
def test_after_a_pause_its_label_is_tried_again(shown):
    """Another object may be there by now, and its label may be right."""
    present = "can"

    def script(instance, warm):
        return {"category": present} if warm is None and instance.category == "bottle" else {}

    estimator = FakeEstimator(script)
    tracker = make_tracker(estimator)
    run(tracker, [BOTTLE] * 5)
    present = shown
    tracks = [only(x) for x in run(tracker, [BOTTLE] * 3, start=400)]
    assert {(x.id, x.estimate.category) for x in tracks} == {(1, shown)}
    assert tracks[0].mesh_revision == (1 if shown == "can" else 2)


def test_where_an_old_prediction_explains_little_its_label_is_tried_again():
    present = "can"

    def script(instance, warm):
        if warm is None and instance.category == "bottle":
            return {"category": present}
        return {} if instance.category == present else {"confidence": 0.05}

    tracker = make_tracker(FakeEstimator(script))
    run(tracker, [BOTTLE] * 5)
    present = "bottle"
    found = only(tracker.step(make_frame(BOTTLE, 75)))  # 2.3 s later: a warm start
    assert found.estimate.category == "bottle"
    assert found.estimate.confidence == 0.9


def test_a_can_without_enough_points_for_its_category_is_detected_anew():
    """An 'any' mask lists the categories under which enough of it was measured."""

    class Choosy(FakeEstimator):
        def segment(self, frame):
            instances, skipped = super().segment(frame)
            left = [x for x in instances if x.label or x.category == "bottle"]
            return left, skipped

    tracker = make_tracker(Choosy(mistaken))
    run(tracker, [BOTTLE] * 4)
    result = tracker.step(make_frame(ANY, 4))
    assert [x.estimate.category for x in result.tracks if x.state != LOST] == ["can"]


def rivals_of(*shares):
    """Alternatives of another category, by category and probability."""
    return tuple(make_alternative(category=x, at=PLACE, probability=p) for x, p in shares)


def requested(alternatives):
    """The categories that each verification tries."""
    tried = []

    class Watched(FakeEstimator):
        def estimate(self, instances, expected=None, *, draft=False):
            if draft:
                tried.append([x.category for x in instances])
            return super().estimate(instances, expected, draft=draft)

    def script(instance, warm):
        if instance.category != "bottle":
            return None
        rest = 1.0 - sum(x.probability for x in alternatives)
        return {"probability": rest, "alternatives": alternatives}

    run(make_tracker(Watched(script)), [BOTTLE] * 3)
    return tried


def test_a_verification_tries_the_likely_rival_categories():
    alternatives = rivals_of(("mug", 0.2), ("can", 0.3), ("bowl", 0.05))
    assert requested(alternatives) == [["bottle", "can", "mug"]]


def test_a_verification_tries_each_category_once():
    """Rivals of its own category are modes that its own search finds."""
    alternatives = rivals_of(("bottle", 0.3), ("can", 0.2), ("can", 0.1))
    assert requested(alternatives) == [["bottle", "can"]]
    assert requested(()) == [["bottle"]]


def test_a_verification_that_finds_a_rival_category_confirms_nothing():
    """Not even in the same place: there is no common shape to refine."""
    estimator = FakeEstimator(
        lambda instance, warm: {"confidence": 0.95 if instance.category == "can" else 0.6}
    )
    instances, _ = estimator.segment(make_frame(BOTTLE, 0))
    (tracked,) = estimator.estimate(instances).estimates
    request = VerificationRequest(
        1, instances[0], tracked, Keyframes.of(instances[0], tracked), rivals=("can",)
    )
    result = verify(request, estimator, 0.5)
    assert result.detection.category == "can"
    assert result.update is None
    alone = verify(replace(request, rivals=()), estimator, 0.5)
    assert alone.update is not None


@pytest.mark.parametrize("code", [(0.3, -0.2), (0.7, 0.7)])
def test_a_category_that_verifications_outvote_is_corrected_with_a_new_mesh(code):
    """Codes of different categories are different shapes, even if their numbers are the same."""

    def script(instance, warm):
        if instance.category == "can":
            return {"confidence": 0.95, "code": code}
        if warm is not None:
            return {"confidence": 0.6}
        return {"confidence": 0.6, "probability": 0.6, "alternatives": rivals_of(("can", 0.4))}

    tracks = [only(x) for x in run(make_tracker(FakeEstimator(script)), [BOTTLE] * 8)]
    categories = [x.estimate.category for x in tracks]
    corrected = categories.index("can")
    assert categories == ["bottle"] * corrected + ["can"] * (8 - corrected)
    assert 0 < corrected <= 4
    assert {x.id for x in tracks} == {1}
    assert [x.mesh_revision for x in tracks] == [1] * corrected + [2] * (8 - corrected)
    np.testing.assert_allclose(tracks[-1].estimate.code, code)


def test_the_keyframes_of_a_corrected_object_are_of_its_category():
    """Its next verification refines the shape of a can."""

    def script(instance, warm):
        if instance.category == "can":
            return {"confidence": 0.95}
        return {"confidence": 0.6, "probability": 0.6, "alternatives": rivals_of(("can", 0.4))}

    class Watched(FakeEstimator):
        def add_keyframe(self, keyframes, instance, estimates):
            refined.append([x.category for x in keyframes.instances] + [instance.category])
            return super().add_keyframe(keyframes, instance, estimates)

    refined = []
    estimator = Watched(script)
    run(make_tracker(estimator), [BOTTLE] * 12)
    assert refined
    assert all(set(x) == {"can"} for x in refined)
    assert detections(estimator) > 2


def test_a_request_keeps_the_label_of_the_mask():
    """The evidence of the detector counts in a verification as it did in the detection."""
    requests = []

    class Noted(Redetection):
        def update(self, objects, instance_of, now_ns):
            requests.extend(instance_of.values())
            return super().update(objects, instance_of, now_ns)

    estimator = FakeEstimator(mistaken)
    tracker = make_tracker(estimator)
    tracker._redetection = Noted(estimator, TrackerConfig(verification_delay_s=0.0))
    run(tracker, [BOTTLE] * 3)
    assert {(x.category, x.label) for x in requests} == {("can", "bottle")}
