"""Tracking in the world: a camera that moves round objects that stand still."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from tracker_fakes import (
    CAMERA,
    PERIOD_NS,
    REJECTED,
    FakeEstimator,
    make_estimate,
    make_frame,
    make_tracker,
    only,
)

from sdfpose_core.errors import FrameError
from sdfpose_core.observation.camera_pose import MeasuredCameraPose
from sdfpose_core.tracking.motion import PoseFilter
from sdfpose_core.tracking.tracker import TrackerConfig, TrackState
from sdfpose_core.tracking.world import in_camera, in_world, place_sd_m

HALF_TURN = 0.5 * np.pi
PLACE = np.array([0.1, 0.05, 1.0])
"""Of the object in the world, and in the camera frame at the start."""


def looking(right_rad=0.0, at=(0.0, 0.0, 0.0)):
    """A camera that looks ahead in the world, or is turned to the right."""
    turn = Rotation.from_rotvec([0.0, right_rad, 0.0]).as_matrix()
    return MeasuredCameraPose(turn, np.array(at, np.float64))


def view(index, camera, place=PLACE, *, masked=True, wall_m=3.0, mask_id=5):
    """What a camera sees of one object before a wall; without `masked`, nothing names it."""
    seen = None if place is None else camera.to_camera(place)
    ahead = seen is not None and seen[2] > 0.1
    frame = make_frame({mask_id: ("can", tuple(seen))} if ahead else {}, index)
    depth = np.where(frame.depth > 0.0, frame.depth, np.float32(wall_m))
    mask = frame.mask if masked else np.zeros_like(frame.mask)
    return dataclasses.replace(frame, depth=depth, mask=mask, camera_pose=camera)


def follow(tracker, cameras, start=0, **options):
    return [tracker.step(view(start + i, x, **options)) for i, x in enumerate(cameras)]


def sweep(count, speed_m=0.02):
    """A camera that moves to the right and turns a little to the left."""
    return [looking(-0.01 * i, at=(speed_m * i, 0.0, 0.0)) for i in range(count)]


# --- frames ---


@given(seed=st.integers(0, 1000))
def test_an_estimate_goes_to_the_world_and_back(seed):
    rng = np.random.default_rng(seed)
    camera = MeasuredCameraPose(Rotation.random(random_state=seed).as_matrix(), rng.normal(size=3))
    estimate = make_estimate(rotation=Rotation.random(random_state=seed + 1).as_matrix())
    world = in_world(estimate, camera)
    np.testing.assert_allclose(world.translation, camera.to_world(estimate.translation), atol=1e-12)
    back = in_camera(world, camera)
    np.testing.assert_allclose(back.rotation, estimate.rotation, atol=1e-9)
    np.testing.assert_allclose(back.translation, estimate.translation, atol=1e-9)
    grown = back.covariance - estimate.covariance
    np.testing.assert_allclose(grown, camera.covariance_at(estimate.translation), atol=1e-12)


def test_without_a_camera_pose_nothing_is_done():
    estimate = make_estimate()
    assert in_world(estimate, None) is estimate
    assert in_camera(estimate, None) is estimate
    assert place_sd_m(np.diag([4.0, 1.0, 1.0]), PLACE, None) == 2.0


class Recording(FakeEstimator):
    """Keeps what it found; nothing is verified."""

    def __init__(self):
        super().__init__(refine="none")
        self.found = []

    def estimate(self, instances, expected=None, *, draft=False):
        result = super().estimate(instances, expected, draft=draft)
        self.found += result.estimates
        return result


def test_without_camera_poses_a_track_is_the_filter_in_the_camera_frame():
    """Bit for bit."""
    estimator, config = Recording(), TrackerConfig()
    tracker = make_tracker(estimator)
    expected = motion = None
    for i in range(12):
        track = only(tracker.step(make_frame({5: ("can", (0.1 + 0.01 * i, 0.05, 1.0))}, i)))
        (seen,) = estimator.found[-1:]
        if motion is None:
            expected, motion = seen, PoseFilter.start(seen, config)
        else:
            predicted, motion = motion.predict(expected, 1e-9 * PERIOD_NS, config)
            expected, motion = motion.correct(predicted, seen)
        np.testing.assert_array_equal(track.estimate.translation, expected.translation)
        np.testing.assert_array_equal(track.estimate.rotation, expected.rotation)
        np.testing.assert_array_equal(track.estimate.covariance, expected.covariance)
        assert track.world is None
        assert not motion.at_rest


# --- objects that stand still ---


def test_an_object_that_stands_still_has_one_place_whatever_the_camera_does():
    tracker = make_tracker(FakeEstimator())
    results = follow(tracker, sweep(40))
    assert {only(x).id for x in results} == {1}
    places = np.array([only(x).world.translation for x in results[30:]])
    assert places.std(axis=0).max() < 0.002
    np.testing.assert_allclose(places[-1], PLACE, atol=0.02)
    track = only(results[-1])
    np.testing.assert_allclose(
        track.estimate.translation, sweep(40)[-1].to_camera(track.world.translation), atol=1e-9
    )


def test_it_starts_where_it_stood_after_the_camera_has_jumped():
    """In the camera frame it is far from where it was."""
    estimator = FakeEstimator()
    tracker = make_tracker(estimator)
    follow(tracker, [looking()] * 30)
    estimator.calls.clear()
    (result,) = follow(tracker, [looking(0.25, at=(-0.3, 0.1, 0.1))], start=30)
    assert only(result).id == 1
    start = next(x[5] for x in reversed(estimator.calls) if x).translation
    np.testing.assert_allclose(
        start, looking(0.25, at=(-0.3, 0.1, 0.1)).to_camera(only(result).world.translation),
        atol=0.01,
    )  # fmt: skip


def test_errors_of_the_camera_poses_average_out_while_it_stands_still():
    rng = np.random.default_rng(0)
    tracker = make_tracker(FakeEstimator())
    errors = []
    for i in range(90):
        frame = view(i, looking())
        noisy = MeasuredCameraPose(np.eye(3), rng.normal(scale=0.004, size=3))
        track = only(tracker.step(dataclasses.replace(frame, camera_pose=noisy)))
        errors.append(np.linalg.norm(track.world.translation - PLACE))
    first = only(make_tracker(FakeEstimator()).step(view(0, looking()))).world.translation
    bias = np.linalg.norm(first - PLACE)
    assert errors[-1] < bias + 0.0025
    assert track.world.covariance[0, 0] > 0.0


def test_a_correction_of_an_object_at_rest_counts_like_an_image():
    """It has the error of a camera pose. A new shape, or a new pose, may be elsewhere, though."""
    tracker = make_tracker(FakeEstimator())
    follow(tracker, [looking()] * 60)
    (known,) = tracker._objects
    assert known.motion.at_rest
    before = in_camera(known.estimate, known.camera)
    offset = np.array([0.005, 0.0, 0.0])

    def shift(grown_m=0.0, *, jumped=False):
        after = dataclasses.replace(
            before, translation=before.translation + offset, scale=before.scale + grown_m
        )
        found = known.corrected(
            before, after, known.keyframes, known.belief, TrackerConfig(), jumped=jumped
        )
        assert found.motion.at_rest == (not jumped)
        assert found.estimate.scale == pytest.approx(after.scale)
        return float((found.estimate.translation - known.estimate.translation)[0])

    assert 0.0 < shift() < 0.001
    assert shift() < shift(0.01) < 0.005
    assert shift(jumped=True) == pytest.approx(0.005)


# --- objects out of view ---

AWAY = [looking(HALF_TURN)] * 400
"""For 13 s, longer than any lost object is kept."""


def test_an_object_outside_the_view_stays_and_has_its_id_again_at_once():
    estimator = FakeEstimator()
    tracker = make_tracker(estimator)
    before = only(follow(tracker, sweep(40))[-1])
    results = follow(tracker, AWAY, start=40)
    for result in results:
        track = only(result)
        assert track.state == TrackState.UNOBSERVED
        assert not track.seen
        assert not result.removed
        np.testing.assert_allclose(track.world.translation, before.world.translation)
        assert track.estimate.confidence == before.estimate.confidence
    assert track.unseen_s(439 * PERIOD_NS) == pytest.approx(400e-9 * PERIOD_NS)
    (back,) = follow(tracker, [sweep(40)[-1]], start=440, mask_id=9)
    assert (only(back).id, only(back).state) == (1, TrackState.TRACKED)
    assert {9} in [x.keys() for x in estimator.calls]  # not detected from scratch


def test_an_object_behind_something_stays():
    tracker = make_tracker(FakeEstimator())
    follow(tracker, [looking()] * 40)
    hidden = [tracker.step(view(40 + i, looking(), None, wall_m=0.5)) for i in range(200)]
    assert all(only(x).state == TrackState.UNOBSERVED for x in hidden)
    (back,) = follow(tracker, [looking()], start=240)
    assert only(back).id == 1


def test_one_that_should_be_visible_and_is_not_is_given_up():
    """The wall is seen through the place where it stood."""
    tracker = make_tracker(FakeEstimator())
    follow(tracker, [looking()] * 40)
    gone = [tracker.step(view(40 + i, looking(), None)) for i in range(120)]
    assert only(gone[0]).state == TrackState.LOST
    assert not gone[-1].tracks
    assert [x.removed for x in gone if x.removed] == [[1]]


def test_one_that_was_taken_away_unobserved_is_given_up_when_its_place_is_in_view_again():
    tracker = make_tracker(FakeEstimator())
    follow(tracker, [looking()] * 40)
    follow(tracker, AWAY, start=40)
    empty = [tracker.step(view(440 + i, looking(), None)) for i in range(120)]
    assert only(empty[0]).state == TrackState.LOST
    assert not empty[-1].tracks


def test_one_without_depth_may_be_there():
    tracker = make_tracker(FakeEstimator())
    follow(tracker, [looking()] * 40)
    blind = [tracker.step(view(40 + i, looking(), None, wall_m=0.0)) for i in range(150)]
    assert only(blind[-1]).state == TrackState.UNOBSERVED


def test_tentative_objects_do_not_stay():
    tracker = make_tracker(FakeEstimator())
    follow(tracker, [looking()])
    results = follow(tracker, AWAY[:60], start=1)
    assert only(results[0]).state == TrackState.LOST
    assert not results[-1].tracks


def test_objects_out_of_view_claim_no_pixels_in_masks():
    tracker = make_tracker(FakeEstimator())
    follow(tracker, [looking()] * 40)
    assert len(tracker.followed(view(40, looking()))) == 1
    follow(tracker, AWAY[:10], start=40)
    assert not tracker.followed(view(50, looking(HALF_TURN)))
    assert len(tracker.followed(view(50, looking()))) == 1


# --- objects that move ---


def test_an_object_that_moves_is_followed_while_the_camera_moves_as_well():
    tracker = make_tracker(FakeEstimator())
    follow(tracker, sweep(40))
    for i in range(60):
        camera = sweep(100)[40 + i]
        place = PLACE + np.array([0.0, 0.0, min(0.01 * i, 0.3)])
        track = only(tracker.step(view(40 + i, camera, place)))
        assert track.id == 1
        if i > 4:
            error = track.estimate.translation - camera.to_camera(place)
            assert np.linalg.norm(error) < 0.04


def test_keyframes_of_an_object_that_moved_have_no_place_in_common():
    estimator = FakeEstimator()
    tracker = make_tracker(estimator)
    follow(tracker, sweep(70))
    placed = [x.camera_pose for x in tracker._objects[0].keyframes.instances]
    assert placed[0] is None  # it may have moved when it was detected
    assert sum(x is not None for x in placed) >= 2
    follow(tracker, sweep(74)[70:], start=70, place=PLACE + np.array([0.0, 0.0, 0.05]))
    assert all(x.camera_pose is None for x in tracker._objects[0].keyframes.instances)


def test_the_first_image_that_shows_it_elsewhere_adds_no_view_at_its_place():
    tracker = make_tracker(FakeEstimator())
    follow(tracker, [looking()] * 40)
    assert tracker._objects[0].at_rest
    follow(tracker, [looking()], start=40, place=PLACE + np.array([0.0, 0.0, 0.05]))
    (known,) = tracker._objects
    assert known.rest.at_rest  # one image is not enough...
    assert not known.at_rest  # ...but its views are not trusted


def test_a_thing_without_an_estimate_is_recognised_while_the_camera_moves():
    """It is not tried again in every image."""
    estimator = FakeEstimator(lambda instance, warm: REJECTED)
    tracker = make_tracker(estimator)
    results = follow(tracker, sweep(10, speed_m=0.06))
    assert not any(x.tracks for x in results)
    assert len(estimator.calls) == 1


# --- bad input ---


def test_frames_with_and_without_camera_poses_do_not_mix():
    tracker = make_tracker(FakeEstimator())
    follow(tracker, [looking()] * 3)
    bare = dataclasses.replace(view(3, looking()), camera_pose=None)
    with pytest.raises(FrameError, match="has no camera_pose, unlike the earlier ones"):
        tracker.step(bare)
    assert only(follow(tracker, [looking()], start=4)[0]).id == 1  # nothing is lost
    tracker.reset()
    tracker.step(bare)
    with pytest.raises(FrameError, match="has a camera_pose, unlike the earlier ones"):
        follow(tracker, [looking()], start=4)


def test_the_camera_of_the_tests_sees_the_object():
    assert CAMERA.contains(CAMERA.project(PLACE))
