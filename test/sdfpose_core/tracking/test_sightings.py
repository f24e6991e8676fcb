"""An unnamed thing that images show now and then does not take the time of a detection."""

import pytest
from tracker_fakes import FakeEstimator, ids_by_mask, make_frame, make_tracker

from sdfpose_core.tracking.config import TrackerConfig

CAN = {5: ("any", (-0.3, 0.0, 1.0))}
PIECE = {7: ("any", (0.3, 0.0, 1.0))}
LIVE = TrackerConfig(sightings=3)


class Counting(FakeEstimator):
    """Notes the mask ids that are detected from scratch, except the can's."""

    def __init__(self, reject=False, **options):
        super().__init__(self.note, **options)
        self.reject = reject
        self.tried = set()

    def note(self, instance, warm):
        if warm is None and instance.mask_id != 5:
            self.tried.add(instance.mask_id)
        return None if self.reject and instance.middle[0] > 0.0 else {}


@pytest.fixture
def estimator():
    return Counting()


@pytest.fixture
def tracker(estimator):
    """It follows a can since image 0."""
    tracker = make_tracker(estimator, LIVE)
    assert len(tracker.step(make_frame(CAN, 0)).tracks) == 1
    return tracker


def tried_in(tracker, estimator, shown, *, start=1, piece=PIECE, **options):
    """The images, among those that show the piece or not, in which it is detected."""
    found = []
    for index, is_shown in enumerate(shown, start=start):
        estimator.tried.clear()
        tracker.step(make_frame(CAN | piece if is_shown else CAN, index, **options))
        found += [index] if estimator.tried else []
    return found


def test_a_new_thing_is_detected_in_the_third_image_and_waits_until_then(tracker, estimator):
    results = [tracker.step(make_frame(CAN | PIECE, k)) for k in range(1, 5)]
    assert [x.waiting for x in results] == [[7], [7], [], []]
    assert [len(x.tracks) for x in results] == [1, 1, 2, 2]
    assert all(x.skipped == [] for x in results)
    assert estimator.tried == {7}


def test_the_first_objects_are_detected_at_once(estimator):
    tracker = make_tracker(estimator, LIVE)
    result = tracker.step(make_frame(CAN | PIECE, 0))
    assert len(result.tracks) == 2
    assert result.waiting == []


def test_named_things_are_detected_at_once(tracker):
    result = tracker.step(make_frame(CAN | {7: ("mug", (0.3, 0.0, 1.0))}, 1))
    assert len(result.tracks) == 2


def test_the_default_detects_at_once(estimator):
    tracker = make_tracker(estimator)
    tracker.step(make_frame(CAN, 0))
    assert len(tracker.step(make_frame(CAN | PIECE, 1)).tracks) == 2


@pytest.mark.parametrize(
    ("shown", "images"),
    [
        ([1, 0] * 6, []),
        ([1, 1, 0, 0] * 4, []),
        ([1, 0, 0] * 5, []),
        ([1, 1, 0, 1, 1], [5]),
        ([0, 0, 1, 1, 1], [5]),
    ],
)
def test_what_flickers_more_than_it_shows_is_never_tried(tracker, estimator, shown, images):
    assert tried_in(tracker, estimator, shown) == images


def test_things_at_other_places_are_counted_apart(tracker, estimator):
    for index in range(1, 9):
        place = (0.1 + 0.1 * (index % 4), 0.0, 1.0)
        tracker.step(make_frame(CAN | {7: ("any", place)}, index))
    assert estimator.tried == set()


def test_new_ids_and_small_motions_do_not_matter(tracker, estimator):
    for index in range(1, 4):
        place = (0.3 + 0.01 * index, 0.0, 1.0)
        result = tracker.step(make_frame(CAN | {10 + index: ("any", place)}, index))
    assert estimator.tried == {13}
    assert ids_by_mask(result)[13] == 2


def test_a_pause_begins_the_count_anew(tracker, estimator):
    assert tried_in(tracker, estimator, [1, 1]) == []
    assert tried_in(tracker, estimator, [1, 1, 1], start=200) == [202]


def returning(estimator, seconds):
    """The results of three images that show an object again, and a tracker that knew it."""
    tracker = make_tracker(estimator, LIVE)
    shown = [True] * 4 + [False] * round(10 * seconds) + [True] * 3
    results = [
        tracker.step(make_frame(CAN | PIECE if x else CAN, k, period_ns=100_000_000))
        for k, x in enumerate(shown)
    ]
    return results[-3:]


def test_an_object_that_was_seen_lately_needs_no_sightings(estimator):
    results = returning(estimator, seconds=0.5)
    assert [len(ids_by_mask(x)) for x in results] == [2, 2, 2]


def test_an_object_that_was_long_out_of_view_needs_them_and_keeps_its_id(estimator):
    """A piece of something else at the place where it may be would be tried twice."""
    results = returning(estimator, seconds=1.5)
    assert [len(ids_by_mask(x)) for x in results] == [1, 1, 2]
    assert [x.waiting for x in results] == [[7], [7], []]
    assert ids_by_mask(results[-1])[7] == 2


def test_what_was_rejected_is_tried_again_only_if_it_keeps_being_shown():
    estimator = Counting(reject=True)
    tracker = make_tracker(estimator, LIVE)
    tracker.step(make_frame(CAN, 0, period_ns=100_000_000))
    # Rejected at 0.3 s; the next trial is due from 0.8 s on.
    shown = [1, 1, 1, 0, 0, 0, 0, 1, 0, 1, 1, 1]
    assert tried_in(tracker, estimator, shown, period_ns=100_000_000) == [3, 12]


def test_things_that_wait_for_their_turn_keep_it(estimator):
    """One detection an image: four things of the first image need no further sightings."""
    config = TrackerConfig(sightings=4, detection_budget_s=1e-9)
    tracker = make_tracker(estimator, config)
    things = {i: ("any", (0.25 * i - 0.6, 0.0, 1.0)) for i in range(1, 5)}
    shown = [len(tracker.step(make_frame(things, k)).tracks) for k in range(4)]
    assert shown == [1, 2, 3, 4]


@pytest.mark.parametrize("how", ["reset", "an earlier image", "another camera"])
def test_a_new_sequence_counts_anew(tracker, estimator, how):
    assert tried_in(tracker, estimator, [1, 1]) == []
    if how == "reset":
        tracker.reset()
    camera = "other" if how == "another camera" else "camera"
    start = 0 if how == "an earlier image" else 3
    tracker.step(make_frame(CAN, start, frame_id=camera))
    assert tried_in(tracker, estimator, [1, 1], start=start + 1, frame_id=camera) == []


def test_images_without_stamps_count(tracker, estimator):
    images = [1, 1, 1]
    assert tried_in(tracker, estimator, images, period_ns=0) == [3]


def test_an_estimator_that_raises_leaves_the_counts_as_they_were(tracker, estimator):
    tried_in(tracker, estimator, [1])
    working, estimator.estimate = estimator.estimate, None
    with pytest.raises(TypeError):
        tracker.step(make_frame(CAN | PIECE, 2))
    estimator.estimate = working
    assert tried_in(tracker, estimator, [1, 1], start=2) == [3]
