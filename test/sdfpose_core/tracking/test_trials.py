"""Whether an unnamed thing is an object is found out in the background of live images."""

import dataclasses
import threading
from itertools import pairwise

import pytest
from tracker_fakes import REJECTED, FakeEstimator, ids_by_mask, make_frame

from sdfpose_core.categories import default_categories
from sdfpose_core.observation.segmentation import segment
from sdfpose_core.tracking import trials
from sdfpose_core.tracking.tracker import Tracker, TrackerConfig
from sdfpose_core.tracking.verification import Trial, attempt
from sdfpose_core.tracking.verifier import Verifier

CAN = {5: ("can", (-0.3, 0.0, 1.0))}
THING = {7: ("any", (0.3, 0.0, 1.0))}
OTHER = {8: ("any", (0.0, 0.2, 1.0))}
LIVE = TrackerConfig(wait_for_verification=False, redetect_frames=128)


class Watched(FakeEstimator):
    """Notes what is tried in the background, and detected in the tracking thread.

    Everything unnamed is a mug, or nothing. Trials wait until `gate` is set.
    """

    def __init__(self, *, reject=False, confidence=0.99, **options):
        super().__init__(self.judge, **options)
        self.reject, self.confidence = reject, confidence
        self.gate = threading.Event()
        self.gate.set()
        self.tried, self.verified, self.detected = [], [], []

    def judge(self, instance, warm):
        if warm is None and instance.unknown:
            if self.reject:
                return None
            return {"confidence": 0.9 if instance.category == "mug" else 0.2}
        return {"confidence": self.confidence}

    def estimate(self, instances, expected=None, *, draft=False):
        if draft and instances[0].unknown and len(instances) > 1:
            self.tried.append(instances[0].mask_id)
            assert self.gate.wait(10.0)
        elif draft:
            self.verified.append(instances[0].mask_id)
        else:
            new = [x for x in instances if x.unknown and x.mask_id not in (expected or {})]
            self.detected += [(x.mask_id, x.category) for x in new]
        return super().estimate(instances, expected, draft=draft)


@pytest.fixture
def estimator():
    return Watched()


def started(estimator, config=LIVE):
    """A tracker that follows a can since image 0."""
    tracker = Tracker(estimator, config)
    assert len(step(tracker, CAN, 0).tracks) == 1
    return tracker


def step(tracker, objects, index, **options):
    """The result of an image, at 10 Hz, once the work in the background is done or waits."""
    result = tracker.step(make_frame(objects, index, period_ns=100_000_000, **options))
    if tracker._estimator.gate.is_set():
        settle(tracker)
    return result


def settle(tracker):
    running = tracker._redetection.verifier._running
    if running is not None:
        running[2].result(10.0)


def test_a_thing_that_passes_is_detected_under_the_category_that_was_found(estimator):
    tracker = started(estimator)
    results = [step(tracker, CAN | THING, k) for k in range(1, 6)]
    assert estimator.tried == [7]
    assert estimator.detected == [(7, "mug")]
    assert results[0].waiting == [7]
    assert all(x.skipped == [] for x in results)
    assert ids_by_mask(results[-1]) == {5: 1, 7: 2}
    assert results[-1].waiting == []


def test_images_do_not_wait_for_a_trial(estimator):
    tracker = started(estimator)
    estimator.gate.clear()
    results = [step(tracker, CAN | THING, k) for k in range(1, 8)]
    assert [x.waiting for x in results] == [[7]] * 7
    assert estimator.detected == []
    estimator.gate.set()
    settle(tracker)
    step(tracker, CAN | THING, 8)
    assert ids_by_mask(step(tracker, CAN | THING, 9)) == {5: 1, 7: 2}


def test_a_thing_needs_its_sightings_first(estimator):
    tracker = started(estimator, dataclasses.replace(LIVE, sightings=3))
    for k in (1, 2):
        assert step(tracker, CAN | THING, k).waiting == [7]
    assert estimator.tried == []
    for k in range(3, 10):
        result = step(tracker, CAN | THING, k)
    assert estimator.tried == [7]
    assert len(result.tracks) == 2


def test_what_fails_never_takes_the_time_of_an_image():
    estimator = Watched(reject=True)
    tracker = started(estimator)
    found = []
    for k in range(1, 60):
        before = len(estimator.tried)
        result = step(tracker, CAN | THING, k)
        found += [k] if len(estimator.tried) > before else []
        assert {x.mask_id for x in result.skipped} | set(result.waiting) == {7}
    assert estimator.detected == []
    # Half a second, one, two, ... after the image that uses the result; a verification may come
    # between.
    waits = [b - a for a, b in pairwise(found)]
    for wait, least in zip(waits, (6, 11, 21), strict=False):
        assert least <= wait <= least + 3
    assert len(waits) >= 3


def test_the_reason_is_told_under_the_id_of_the_image():
    estimator = Watched(reject=True)
    tracker = started(estimator)
    for k in range(1, 5):
        result = step(tracker, CAN | {10 + k: THING[7]}, k)
    assert {(x.mask_id, x.reason) for x in result.skipped} == {(14, "no surface")}
    assert estimator.tried == [11] or estimator.tried == [12]


def test_a_trial_tells_why_nothing_was_detected():
    thing = segment(make_frame(THING, 0), default_categories())[0]
    outcome = attempt(Trial(1, tuple(thing)), FakeEstimator(lambda instance, warm: REJECTED))
    assert outcome.detection is None
    assert outcome.rejected
    assert {x.category for x in outcome.skipped} == set(default_categories())


def test_a_thing_that_moves_on_slowly_keeps_its_trial(estimator):
    tracker = started(estimator)
    for k in range(1, 6):
        result = step(tracker, CAN | {10 + k: ("any", (0.3 + 0.01 * k, 0.0, 1.0))}, k)
    assert len(estimator.tried) == 1
    assert len(estimator.detected) == 1
    assert len(result.tracks) == 2


def test_a_thing_that_leaves_before_the_result_is_forgotten(estimator):
    tracker = started(estimator)
    estimator.gate.clear()
    step(tracker, CAN | THING, 1)
    for k in range(2, 15):
        step(tracker, CAN, k)
    estimator.gate.set()
    settle(tracker)
    step(tracker, CAN, 15)
    assert estimator.tried == [7]
    assert step(tracker, CAN | THING, 16).waiting == [7]
    assert estimator.detected == []
    for k in range(17, 24):
        step(tracker, CAN | THING, k)
    assert estimator.tried == [7, 7]
    assert estimator.detected == [(7, "mug")]


@pytest.mark.parametrize("how", ["reset", "an earlier image", "another camera"])
def test_a_new_sequence_drops_the_trial(estimator, how):
    tracker = started(estimator)
    estimator.gate.clear()
    step(tracker, CAN | THING, 1)
    if how == "reset":
        tracker.reset()
    camera = "other" if how == "another camera" else "camera"
    start = 0 if how == "an earlier image" else 2
    step(tracker, CAN, start, frame_id=camera)
    estimator.gate.set()
    result = step(tracker, CAN | THING, start + 1, frame_id=camera)
    assert result.waiting == [7]
    assert estimator.detected == []


def test_things_are_tried_one_at_a_time_and_in_the_order_in_which_they_came(estimator):
    tracker = started(estimator)
    things = {i: ("any", (0.15 * (i - 12), 0.2, 1.0)) for i in range(10, 15)}
    step(tracker, CAN | {14: things[14]}, 1)
    step(tracker, CAN | {13: things[13], 14: things[14]}, 2)
    for k in range(3, 14):
        result = step(tracker, CAN | things, k)
    assert [i for i in estimator.tried if i > 12] == [14, 13]
    assert sorted(estimator.tried) == [10, 11, 12, 13, 14]
    assert len(ids_by_mask(result)) == 6


def test_the_first_objects_are_detected_at_once(estimator):
    tracker = Tracker(estimator, LIVE)
    assert len(step(tracker, CAN | THING, 0).tracks) == 2
    assert estimator.tried == []


def test_first_objects_that_wait_for_their_turn_need_no_trial(estimator):
    """Also if they have moved meanwhile. What comes later needs one."""
    tracker = Tracker(estimator, dataclasses.replace(LIVE, detection_budget_s=1e-9))
    things = {i: ("any", (0.25 * i - 0.6, 0.0, 1.0)) for i in range(1, 5)}
    (first,) = ids_by_mask(step(tracker, things, 0))
    things = {i: (x, (u, v + 0.2 * (i != first), z)) for i, (x, (u, v, z)) in things.items()}
    assert [len(step(tracker, things, k).tracks) for k in range(1, 4)] == [2, 3, 4]
    assert estimator.tried == []
    for k in range(4, 9):
        step(tracker, things | {9: ("any", (0.0, -0.3, 1.0))}, k)
    assert estimator.tried == [9]


def test_first_objects_are_excused_for_a_while_only(estimator, monkeypatch):
    monkeypatch.setattr(trials, "_PATIENCE_S", -1.0)
    monkeypatch.setattr(Verifier, "ready", property(lambda self: True))
    tracker = Tracker(estimator, dataclasses.replace(LIVE, detection_budget_s=1e-9))
    things = {i: ("any", (0.25 * i - 0.6, 0.0, 1.0)) for i in range(1, 5)}
    for k in range(3):
        step(tracker, things, k)
    assert len(estimator.tried) >= 1


@pytest.mark.parametrize(
    "changes", [{"wait_for_verification": True}, {"verification_delay_s": 0.0}, {"refine": "icp"}]
)
def test_without_a_background_everything_is_detected_at_once(changes):
    estimator = Watched(refine=changes.pop("refine", "sdf"))
    tracker = started(estimator, dataclasses.replace(LIVE, **changes))
    assert len(step(tracker, CAN | THING, 1).tracks) == 2
    assert estimator.tried == []


def test_named_things_need_no_trial(estimator):
    tracker = started(estimator)
    assert len(step(tracker, CAN | {7: ("mug", THING[7][1])}, 1).tracks) == 2


def test_things_do_not_wait_for_ever_for_a_process_that_starts(estimator, monkeypatch):
    tracker = started(estimator)
    monkeypatch.setattr(Verifier, "ready", property(lambda self: False))
    assert step(tracker, CAN | THING, 1).waiting == [7]
    assert step(tracker, CAN | THING, 2).waiting == [7]
    monkeypatch.setattr(trials, "_PATIENCE_S", 0.0)
    assert step(tracker, CAN | THING, 3).waiting == []
    assert estimator.tried == []
    assert {i for i, _ in estimator.detected} == {7}


def test_a_closed_tracker_detects_without_trials(estimator, monkeypatch):
    tracker = started(estimator)
    tracker.close()
    monkeypatch.setattr(trials, "_PATIENCE_S", 0.0)
    assert len(step(tracker, CAN | THING, 1).tracks) == 2


def lost_and_back(estimator, shown):
    """Detections and trials of a thing that may be an object which was long out of view."""
    tracker = Tracker(estimator, dataclasses.replace(LIVE, confirm_frames=2))
    for k in range(4):
        step(tracker, CAN | THING, k)
    for k in range(4, 19):
        step(tracker, CAN, k)
    estimator.detected.clear()
    estimator.reject = not shown
    return [step(tracker, CAN | THING, k) for k in range(19, 29)]


def test_what_may_be_a_lost_object_is_tried_and_keeps_its_id(estimator):
    results = lost_and_back(estimator, shown=True)
    assert estimator.tried == [7]
    assert estimator.detected == [(7, "mug")]
    assert ids_by_mask(results[-1]) == {5: 1, 7: 2}


def test_what_turns_out_to_be_no_lost_object_rests(estimator):
    results = lost_and_back(estimator, shown=False)
    assert estimator.detected == []
    assert len(estimator.tried) == 2  # at once, and after half a second
    assert ids_by_mask(results[-1]) == {5: 1}


def test_trials_and_verifications_take_turns():
    """The can is never certain, and there is always something new."""
    estimator = Watched(reject=True, confidence=0.55)
    order = []
    tracker = started(estimator, dataclasses.replace(LIVE, redetect_frames=1, settled_frames=1))
    for k in range(1, 31):
        places = {10 + k % 2: ("any", (0.1 * (k // 4 % 6), 0.1 + 0.1 * (k // 24), 1.0))}
        before = len(estimator.tried), len(estimator.verified)
        step(tracker, CAN | places, k)
        order += ["trial"] * (len(estimator.tried) - before[0])
        order += ["verification"] * (len(estimator.verified) - before[1])
    assert "trial" in order
    assert "verification" in order
    for first in range(len(order) - 3):
        assert len(set(order[first : first + 4])) == 2, order


def test_an_error_in_a_trial_is_raised_and_the_thing_tried_again(estimator):
    tracker = started(estimator)
    estimator.gate.clear()
    step(tracker, CAN | THING, 1)
    working, estimator.script = estimator.script, None
    estimator.gate.set()
    with pytest.raises(TypeError):
        settle(tracker)
    estimator.script = working
    with pytest.raises(TypeError):
        step(tracker, CAN | THING, 2)
    for k in range(3, 10):
        result = step(tracker, CAN | THING, k)
    assert ids_by_mask(result) == {5: 1, 7: 2}
