"""What is no object of a category does not take the time of a detection in every image."""

import numpy as np
import pytest
from tracker_fakes import LOST, FakeEstimator, make_frame, make_tracker

from sdfpose_core.tracking.config import TrackerConfig

BOX = {7: ("any", (0.3, 0.0, 1.0))}
CAN = {5: ("any", (-0.3, 0.0, 1.0))}
CONFIG = TrackerConfig(retry_after_s=0.5, retry_at_most_s=2.0)


class Rejecting(FakeEstimator):
    """Finds objects on the left, and a reason against everything on the right."""

    rejecting = True

    def __init__(self, **options):
        super().__init__(self.left_only, **options)
        self.tried = []

    def left_only(self, instance, warm):
        if warm is None and instance.category == "mug":
            self.tried.append(instance.mask_id)
        return {} if not self.rejecting or instance.middle[0] < 0.0 else None


@pytest.fixture
def estimator():
    return Rejecting()


@pytest.fixture
def tracker(estimator):
    return make_tracker(estimator, CONFIG)


def trials(tracker, estimator, frames):
    """Stamps, seconds, of the frames in which mask 7 or its successors are tried."""
    found = []
    for frame in frames:
        estimator.tried.clear()
        tracker.step(frame)
        found += [round(1e-9 * frame.stamp_ns, 2)] if estimator.tried else []
    return found


def images(seconds, objects=BOX, start=0):
    """Frames at 10 Hz."""
    return [make_frame(objects, start + k, period_ns=100_000_000) for k in range(10 * seconds)]


def grown(frame, pixels):
    """The frame with a mask 7 that reaches farther to all sides."""
    v, u = np.nonzero(frame.mask == 7)
    part = (
        slice(v.min() - pixels, v.max() + 1 + pixels),
        slice(u.min() - pixels, u.max() + 1 + pixels),
    )
    frame.mask[part] = 7
    frame.depth[part] = 1.0
    return frame


def test_the_time_between_trials_doubles_up_to_a_limit(tracker, estimator):
    assert trials(tracker, estimator, images(9)) == [0.0, 0.5, 1.5, 3.5, 5.5, 7.5]


def test_the_reason_is_told_with_every_image(tracker):
    for frame in images(1):
        result = tracker.step(frame)
        assert {x.mask_id for x in result.skipped} == {7}
        assert {x.reason for x in result.skipped} == {"no surface"}
        assert result.tracks == []
        assert result.waiting == []


def test_objects_are_found_and_followed_meanwhile(tracker, estimator):
    tracker.step(make_frame(BOX, 0))
    results = [tracker.step(make_frame(BOX | CAN, k)) for k in range(1, 5)]
    assert [[x.id for x in result.tracks] for result in results] == [[1]] * 4
    assert set(estimator.tried) == {5, 7}


def test_new_ids_and_small_motions_do_not_matter(tracker, estimator):
    frames = [make_frame({k + 1: ("any", (0.3 + 0.01 * k, 0.0, 1.0))}, k) for k in range(10)]
    assert trials(tracker, estimator, frames) == [0.0]
    assert {
        x.mask_id for x in tracker.step(make_frame({99: ("any", (0.4, 0, 1))}, 10)).skipped
    } == {99}


def test_another_thing_is_tried_at_once(tracker, estimator):
    """Also where it comes beside the one that was rejected."""
    tracker.step(make_frame(BOX, 0))
    estimator.tried.clear()
    tracker.step(make_frame(BOX | {8: ("any", (0.37, 0.0, 1.0))}, 1))
    assert estimator.tried == [8]


def test_a_mask_that_changes_is_tried_after_the_shortest_wait(tracker, estimator):
    assert trials(tracker, estimator, images(2)) == [0.0, 0.5, 1.5]
    # The next trial would be at 3.5 s.
    later = [grown(x, 2) for x in images(2, start=20)]
    assert trials(tracker, estimator, later)[0] == 2.0


def test_another_label_is_tried_at_once(tracker, estimator):
    tracker.step(make_frame(BOX, 0))
    estimator.tried.clear()
    tracker.step(make_frame({7: ("mug", BOX[7][1])}, 1))
    assert estimator.tried == [7]


def test_what_is_found_later_is_no_longer_rejected(tracker, estimator):
    frames = images(3)
    tracker.step(frames[0])
    estimator.rejecting = False
    seen = [bool(tracker.step(x).tracks) for x in frames[1:8]]
    assert seen == [False] * 4 + [True] * 3


def test_what_went_away_is_forgotten(tracker, estimator):
    assert trials(tracker, estimator, images(2)) == [0.0, 0.5, 1.5]
    tracker.step(make_frame({}, 31, period_ns=100_000_000))
    assert trials(tracker, estimator, images(1, start=32)) == [3.2, 3.7]


@pytest.mark.parametrize("how", ["reset", "an earlier image", "another camera"])
def test_a_new_sequence_starts_without_rejections(how, tracker, estimator):
    tracker.step(make_frame(BOX, 3))
    estimator.tried.clear()
    if how == "reset":
        tracker.reset()
    camera = "other" if how == "another camera" else "camera"
    tracker.step(make_frame(BOX, 2 if how == "an earlier image" else 4, frame_id=camera))
    assert estimator.tried == [7]


def test_images_without_stamps_are_always_tried(tracker, estimator):
    for _ in range(3):
        frame = make_frame(BOX, 0)
        tracker.step(frame)
    assert estimator.tried == [7] * 3
    assert len(tracker._cameras.of(frame).rejections._known) == 1


def test_waiting_does_not_shorten_the_pauses():
    """One detection an image: a rejected thing that waits for its trial stays rejected."""
    estimator = Rejecting()
    tracker = make_tracker(estimator, TrackerConfig(detection_budget_s=1e-9))
    boxes = {i: ("any", (0.1 * i, 0.0, 1.0)) for i in range(1, 5)}
    for frame in images(3, boxes):
        result = tracker.step(frame)
        assert {x.mask_id for x in result.skipped} | set(result.waiting) == set(boxes)
    assert len(estimator.tried) <= 3 * len(boxes)


def test_estimators_that_detect_in_every_image_leave_it_out_too():
    estimator = Rejecting(refine="icp")
    tracker = make_tracker(estimator, CONFIG)
    for k in range(4):
        result = tracker.step(make_frame(BOX | CAN, k))
        assert [x.estimate.mask_id for x in result.tracks if x.state != LOST] == [5]
    assert estimator.tried.count(7) == 1
    assert estimator.tried.count(5) >= 1


def test_an_estimator_that_raises_leaves_the_rejections_as_they_were(tracker, estimator):
    frame = make_frame(BOX, 0)
    tracker.step(frame)
    before = tracker._cameras.of(frame).rejections._known
    estimator.estimate = None
    with pytest.raises(TypeError):
        tracker.step(make_frame(BOX | CAN, 1))
    assert tracker._cameras.of(frame).rejections._known is before
