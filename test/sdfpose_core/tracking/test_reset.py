"""What starts the tracker over: time, another camera, or a request."""

import numpy as np
from tracker_fakes import CAN, LOST, TENTATIVE, FakeEstimator, make_frame, make_tracker, only, run


def test_a_jump_back_in_time_starts_over_with_new_ids():
    tracker = make_tracker(FakeEstimator())
    run(tracker, [CAN] * 5, start=100)
    result = tracker.step(make_frame(CAN, 3))
    assert result.removed == [1]
    assert (only(result).id, only(result).state, only(result).age) == (2, TENTATIVE, 1)


def test_another_camera_starts_over():
    tracker = make_tracker(FakeEstimator())
    run(tracker, [CAN] * 5)
    result = run(tracker, [CAN], start=5, frame_id="other")[0]
    assert (only(result).id, result.removed) == (2, [1])


def test_reset_drops_objects_but_reuses_no_id():
    tracker = make_tracker(FakeEstimator())
    run(tracker, [CAN] * 5, start=100)
    tracker.reset()
    result = tracker.step(make_frame(CAN, 0))
    assert (only(result).id, result.removed) == (2, [])


def test_a_repeated_stamp_implies_no_motion():
    tracker = make_tracker(FakeEstimator())
    run(tracker, [CAN] * 3)
    again = only(tracker.step(make_frame({5: ("can", (0.02, 0.0, 1.0))}, 2)))
    later = only(tracker.step(make_frame({}, 10)))
    assert (again.id, later.state) == (1, LOST)
    np.testing.assert_allclose(later.estimate.translation, again.estimate.translation)
