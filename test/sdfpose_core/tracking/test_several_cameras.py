"""Several cameras in one world: what each sees counts for all."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from tracker_fakes import (
    DELAYED,
    PERIOD_NS,
    TRACKED,
    FakeEstimator,
    make_frame,
    make_tracker,
    only,
)

from sdfpose_core.observation.camera_pose import MeasuredCameraPose
from sdfpose_core.tracking.tracker import TrackState

PLACE = np.array([0.1, 0.05, 1.0])
"""Of the object in the world."""


def beside(degrees):
    """A camera 1 m before the object, turned about it."""
    turn = Rotation.from_euler("y", degrees, degrees=True).as_matrix()
    return MeasuredCameraPose(turn, PLACE - turn @ [0.0, 0.0, 1.0])


CAMERAS = {"left": beside(0.0), "right": beside(90.0)}


def view(name, index, *, category="can", seen=True, shift_ns=0):
    """What a camera sees of the object before a wall; mask ids differ from camera to camera."""
    camera = CAMERAS[name]
    mask_id = 5 if name == "left" else 7
    objects = {mask_id: (category, tuple(camera.to_camera(PLACE)))} if seen else {}
    frame = make_frame(objects, index, frame_id=name)
    depth = np.where(frame.depth > 0.0, frame.depth, np.float32(3.0))
    return dataclasses.replace(
        frame, depth=depth, camera_pose=camera, stamp_ns=frame.stamp_ns + shift_ns
    )


def both(tracker, count, start=0, **options):
    return [
        tracker.step(view(name, start + i, **options)) for i in range(count) for name in CAMERAS
    ]


def test_an_object_has_one_id_at_one_place():
    results = both(make_tracker(FakeEstimator()), 6)
    assert {x.id for result in results for x in result.tracks} == {1}
    track = only(results[-1])
    assert track.state == TRACKED
    assert track.seen
    np.testing.assert_allclose(track.world.translation, PLACE, atol=0.01)
    np.testing.assert_allclose(track.estimate.translation, [0.0, 0.0, 1.0], atol=0.01)


def test_images_of_one_time_all_count():
    """They are no images without stamps, each of which begins the filter anew."""
    tracker = make_tracker(FakeEstimator())
    both(tracker, 4)
    (known,) = tracker._objects
    alone = make_tracker(FakeEstimator())
    for i in range(4):
        alone.step(view("left", i))
    (single,) = alone._objects
    place = [x.motion.covariance[:3, :3].trace() for x in (known, single)]
    assert place[0] < 0.8 * place[1]


def test_what_one_camera_sees_the_other_does_not_lose():
    tracker = make_tracker(FakeEstimator())
    for i in range(8):
        tracker.step(view("left", i))
        track = only(tracker.step(view("right", i, seen=False)))
    assert track.state == TRACKED
    assert not track.seen  # in this image


def test_the_other_counts_when_the_camera_is_silent():
    tracker = make_tracker(FakeEstimator())
    for i in range(8):
        tracker.step(view("left", i))
        tracker.step(view("right", i, seen=False))
    states = [
        [x.state for x in tracker.step(view("right", i, seen=False)).tracks]
        for i in range(8, 8 + 3 * round(1e9 / PERIOD_NS))
    ]
    assert states[0] == [TRACKED]
    assert states[-1] != [TRACKED]


def test_a_late_clock_begins_nothing_anew_but_an_older_image_of_the_same_camera_does():
    tracker = make_tracker(FakeEstimator())
    results = [
        tracker.step(view(name, i, shift_ns=0 if name == "left" else -3 * PERIOD_NS))
        for i in range(10, 16)
        for name in CAMERAS
    ]
    assert {x.id for result in results for x in result.tracks} == {1}
    assert {x.id for x in tracker.step(view("left", 2)).tracks} == {2}


def test_without_camera_poses_another_camera_begins_anew():
    tracker = make_tracker(FakeEstimator())
    frames = [dataclasses.replace(view(x, i), camera_pose=None) for i, x in enumerate(CAMERAS)]
    assert [only(tracker.step(x)).id for x in frames] == [1, 2]


def detections(calls):
    return sum(not warm for warm in calls)


@pytest.mark.parametrize("hidden", [True, False])
def test_a_further_camera_detects_what_the_first_one_leaves_open(hidden):
    """The left one does not see the handle; the right one does, on another side."""
    turned = Rotation.from_euler("y", 130, degrees=True).as_matrix()

    def script(instance, warm):
        if instance.mask_id == 5:
            covariance = 1e-6 * np.eye(6)
            covariance[4, 4] += 0.5 * hidden
            return {"covariance": covariance, "symmetric_about_y": hidden}
        in_right = CAMERAS["right"].rotation.T @ turned
        return {} if warm else {"rotation": in_right}

    estimator = FakeEstimator(script)
    tracker = make_tracker(estimator)
    tracker.step(view("left", 0, category="mug"))
    track = only(tracker.step(view("right", 0, category="mug")))
    assert detections(estimator.calls) == 1 + hidden
    expected = turned if hidden else np.eye(3)
    np.testing.assert_allclose(track.world.rotation, expected, atol=0.01)


def test_the_yaw_of_a_round_object_is_no_reason_to_detect_it_again():
    estimator = FakeEstimator()
    both(make_tracker(estimator), 1, category="can")
    assert detections(estimator.calls) == 1


def test_things_that_need_sightings_are_counted_by_camera():
    """An image of the other camera that does not show a thing takes none of them away."""
    config = dataclasses.replace(DELAYED, sightings=3)
    tracker = make_tracker(FakeEstimator(), config)
    both(tracker, 2)
    found = []
    for i in range(2, 8):
        frame = view("left", i)
        mask = np.zeros_like(frame.mask)
        mask[20:30, 20:30] = 9
        depth = np.where(mask > 0, np.float32(1.5), frame.depth)
        labels = dict(frame.labels) | {9: dataclasses.replace(frame.labels[5], category="any")}
        frame = dataclasses.replace(
            frame, mask=np.where(mask > 0, mask, frame.mask), depth=depth, labels=labels
        )
        found.append(len(tracker.step(frame).tracks))
        tracker.step(view("right", i, seen=False))
    assert found[0] == 1
    assert max(found) == 2


def test_an_unseen_state_is_that_of_the_camera_that_looked_last():
    tracker = make_tracker(FakeEstimator())
    both(tracker, 8)
    away = dataclasses.replace(
        view("left", 200, seen=False),
        camera_pose=MeasuredCameraPose(np.diag([-1.0, 1.0, -1.0]), PLACE),
    )
    assert only(tracker.step(away)).state == TrackState.UNOBSERVED
