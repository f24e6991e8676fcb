"""States of tracked objects, from their first image to their removal."""

import numpy as np
import pytest
from tracker_fakes import (
    CAN,
    LOST,
    PERIOD_NS,
    TENTATIVE,
    TRACKED,
    FakeEstimator,
    ids_by_mask,
    make_frame,
    make_tracker,
    only,
    run,
)

from sdfpose_core.tracking.tracker import TrackerConfig


def test_a_confident_object_becomes_tracked_and_keeps_its_id():
    tracks = [only(x) for x in run(make_tracker(FakeEstimator()), [CAN] * 5)]
    assert [x.state for x in tracks] == [TENTATIVE, TENTATIVE, TRACKED, TRACKED, TRACKED]
    assert [x.id for x in tracks] == [1] * 5
    assert [x.age for x in tracks] == [1, 2, 3, 4, 5]
    assert [x.stamp_ns for x in tracks] == [i * PERIOD_NS for i in range(5)]


def test_an_object_of_low_confidence_stays_tentative():
    tracker = make_tracker(FakeEstimator(lambda instance, warm: {"confidence": 0.45}))
    assert all(only(x).state == TENTATIVE for x in run(tracker, [CAN] * 20))


def test_a_missing_object_is_lost_then_removed():
    config = TrackerConfig(remove_after_s=0.4, coast_s=0.1)
    results = run(make_tracker(FakeEstimator(), config), [CAN] * 4 + [{}] * 14)
    states = [x.tracks[0].state if x.tracks else None for x in results]
    # Seen last in image 3; 0.4 s are 12.1 periods.
    assert states == [TENTATIVE] * 2 + [TRACKED] * 2 + [LOST] * 12 + [None] * 2
    assert [x.removed for x in results] == [[]] * 16 + [[1], []]
    assert {x.tracks[0].stamp_ns for x in results[3:16]} == {3 * PERIOD_NS}


def test_an_unconfirmed_object_is_removed_sooner():
    config = TrackerConfig(remove_after_s=2.0, coast_s=0.1)
    results = run(make_tracker(FakeEstimator(), config), [CAN] * 2 + [{}] * 4)
    assert [len(x.tracks) for x in results] == [1, 1, 1, 1, 1, 0]


def test_without_stamps_objects_are_removed_after_a_number_of_images():
    config = TrackerConfig(remove_after_frames=5)
    results = run(make_tracker(FakeEstimator(), config), [CAN] * 4 + [{}] * 6, period_ns=0)
    assert [len(x.tracks) for x in results] == [1] * 9 + [0]


def test_ids_survive_a_low_frame_rate():
    estimator = FakeEstimator()
    results = run(make_tracker(estimator), [CAN] * 5, period_ns=3_000_000_000)
    assert [only(x).id for x in results] == [1] * 5
    assert only(results[-1]).state == TRACKED


def test_a_frame_without_instances_is_valid():
    result = make_tracker(FakeEstimator()).step(make_frame({}, 0))
    assert (result.tracks, result.removed, result.skipped) == ([], [], [])
    assert result.stage_ms["total"] >= result.stage_ms["segment"] >= 0.0


def test_skipped_instances_are_lost_and_reported():
    refuse = False
    tracker = make_tracker(FakeEstimator(lambda instance, warm: None if refuse else {}))
    run(tracker, [CAN] * 3)
    refuse = True
    result = tracker.step(make_frame(CAN | {9: ("spoon", (0.2, 0.0, 1.0))}, 3))
    assert only(result).state == LOST
    assert {x.mask_id: x.category for x in result.skipped} == {5: "can", 9: "spoon"}


def test_an_estimator_error_leaves_the_tracks_unchanged():
    fail = False

    def script(instance, warm):
        if fail:
            raise RuntimeError("out of memory")
        return {}

    tracker = make_tracker(FakeEstimator(script))
    run(tracker, [CAN] * 3)
    fail = True
    with pytest.raises(RuntimeError):
        tracker.step(make_frame(CAN | {6: ("mug", (0.2, 0.0, 1.0))}, 3))
    fail = False
    track = only(tracker.step(make_frame(CAN, 4)))
    assert (track.id, track.state, track.age) == (1, TRACKED, 4)


def test_stage_times_sum_over_all_estimates():
    estimator = FakeEstimator()
    result = run(make_tracker(estimator), [CAN] * 3)[-1]
    assert len(estimator.calls) == 4  # in the last image: followed and detected
    assert 4.0 < result.stage_ms["refine"] < 54.0  # and seen in one more view
    assert set(result.stage_ms) == {"segment", "encode", "refine", "mesh", "total"}


def test_thirty_objects_keep_their_ids():
    names = ("bottle", "can", "mug")
    places = [
        ((-0.4 + 0.16 * (i % 6), -0.32 + 0.15 * (i // 6), 1.0), names[i % 3]) for i in range(30)
    ]
    tracker = make_tracker(FakeEstimator())
    rng = np.random.default_rng(0)
    identity = {}
    for index in range(6):
        masks = 1 + rng.permutation(30)
        objects = {int(m): (name, place) for m, (place, name) in zip(masks, places, strict=True)}
        result = tracker.step(make_frame(objects, index))
        assert len(result.tracks) == 30
        by_mask = ids_by_mask(result)
        ids = {i: by_mask[int(m)] for i, m in enumerate(masks)}
        identity = identity or ids
        assert ids == identity
