"""Predicted states, and refinement that starts from them."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from simple_estimates import make_alternative
from tracker_fakes import (
    CAN,
    LOST,
    PERIOD_NS,
    TRACKED,
    FakeEstimator,
    detections,
    make_frame,
    make_tracker,
    only,
    run,
)


def turning(index, speed=0.3, turn=1.0):
    """Pose at an image's time of an object that moves along x and turns about the depth axis."""
    t = index * PERIOD_NS * 1e-9
    return np.array([-0.2 + speed * t, 0.0, 1.0]), Rotation.from_rotvec(
        [0, 0, turn * t]
    ).as_matrix()


def test_rival_modes_go_with_the_object_and_every_detection_counts():
    """Each detection finds the same two modes. The object slides along and is lost."""
    rival = make_alternative(at=(-0.1, 0.05, 1.0))

    def script(instance, warm):
        if warm is None:
            return {"probability": 0.75, "alternatives": (rival,), "confidence": 0.4}
        return {"confidence": 0.4}

    tracker = make_tracker(FakeEstimator(script))
    tracks = []
    for index in range(12):
        shown = {1: ("mug", (-0.1 + 0.01 * index, 0.0, 1.0))} if index < 10 else {}
        tracks.append(only(tracker.step(make_frame(shown, index))))
    assert tracks[-1].state == LOST
    offset = rival.translation - tracks[0].estimate.translation
    # Odds of 3, and in each of the verifications another 3, less as they are not independent.
    odds = [3.0] * 2 + [3.0**1.6] * 4 + [3.0**2.2] * 6
    for x, expected in zip((y.estimate for y in tracks), odds, strict=True):
        (mode,) = x.alternatives
        assert x.probability + mode.probability == pytest.approx(1.0)
        assert x.probability / mode.probability == pytest.approx(expected)
        np.testing.assert_allclose(mode.translation - x.translation, offset, atol=1e-9)
    assert tracks[-1].estimate.translation[0] > 0.0


def test_motion_is_predicted_through_a_gap_and_dies_away():
    index = 0
    estimator = FakeEstimator(
        lambda instance, warm: dict(
            zip(("translation", "rotation"), turning(index), strict=True), symmetric_about_y=False
        )
    )
    tracker = make_tracker(estimator)
    for index in range(12):
        place, _ = turning(index)
        last = only(tracker.step(make_frame({1: ("mug", place)}, index)))
    lost = [only(tracker.step(make_frame({}, i))) for i in range(12, 70)]
    place, rotation = turning(13)
    np.testing.assert_allclose(lost[1].estimate.translation, place, atol=0.002)
    np.testing.assert_allclose(lost[1].estimate.rotation, rotation, atol=0.01)
    # v coast_s (1 - exp(-t / coast_s)): after long, the way of a second.
    way = [x.estimate.translation[0] - last.estimate.translation[0] for x in lost]
    assert np.all(np.diff(way) > 0.0)
    assert way[-1] == pytest.approx(0.3 * (1.0 - np.exp(-58 * 0.033)), rel=0.05)
    confidence = [x.estimate.confidence for x in lost]
    assert confidence[0] < 0.9
    assert np.all(np.diff(confidence) < 0.0)
    variances = np.array([np.diag(x.estimate.covariance) for x in lost])
    assert np.all(np.diff(variances, axis=0) > 0.0)


def test_warm_starts_are_predictions_until_the_gap_is_too_long():
    estimator = FakeEstimator()
    tracker = make_tracker(estimator)
    places = [(-0.2 + 0.02 * i, 0.0, 1.0) for i in range(21)]
    for i in range(10):
        tracker.step(make_frame({i + 1: ("can", places[i])}, i))
    assert estimator.warm_starts.keys() == {10}
    # Pixels are 7 mm wide; without a prediction it would be 20 mm behind.
    np.testing.assert_allclose(estimator.warm_starts[10].translation, places[9], atol=8e-3)
    tracker.step(make_frame({}, 10))
    tracker.step(make_frame({3: ("can", places[11])}, 11))
    assert estimator.warm_starts.keys() == {3}
    for i in range(12, 50):
        tracker.step(make_frame({}, i))
    estimator.calls.clear()
    result = tracker.step(make_frame({4: ("can", places[20])}, 50))
    assert only(result).id == 1
    assert estimator.calls[0] == {}


def yaw_deg(rotation):
    return np.degrees(np.arctan2(rotation[0, 2], rotation[0, 0]))


def test_a_round_object_does_not_spin():
    """Although every image finds another yaw."""
    index = 0
    yaws = np.random.default_rng(0).uniform(-np.pi, np.pi, 100)
    estimator = FakeEstimator(
        lambda instance, warm: {"rotation": Rotation.from_euler("y", yaws[index]).as_matrix()}
    )
    tracker = make_tracker(estimator)
    reported = []
    for index in range(100):
        reported.append(yaw_deg(only(tracker.step(make_frame(CAN, index))).estimate.rotation))
    assert np.ptp(np.degrees(yaws)) > 350.0
    assert np.abs(np.diff(np.unwrap(reported, period=360.0))).max() < 15.0


def test_a_hidden_handle_keeps_turning_with_its_mug():
    """What an image leaves open comes from the motion before."""
    rate, hidden_from = np.radians(40.0), 20
    y_axis = np.array([0.0, 1.0, 0.0])
    open_yaw = np.diag([1e-6] * 6)
    open_yaw[3:, 3:] += np.radians(90.0) ** 2 * np.outer(y_axis, y_axis)

    def script(instance, warm):
        if index < hidden_from:
            yaw = rate * index * PERIOD_NS * 1e-9
            return {"rotation": Rotation.from_euler("y", yaw).as_matrix()}
        return {"symmetric_about_y": True, "covariance": open_yaw}  # stays where it started

    tracker = make_tracker(FakeEstimator(script))
    errors = []
    for index in range(40):
        track = only(tracker.step(make_frame({1: ("mug", (0.0, 0.0, 1.0))}, index)))
        truth = np.degrees(rate * index * PERIOD_NS * 1e-9)
        errors.append(abs(yaw_deg(track.estimate.rotation) - truth))
    assert max(errors[5:hidden_from]) < 1.0
    assert errors[hidden_from + 10] < 3.0
    assert errors[-1] < 10.0  # it has turned by 26 degrees


def test_a_slightly_negative_variance_is_accepted():
    covariance = np.diag([1e-6] * 5 + [-1e-7])
    tracker = make_tracker(FakeEstimator(lambda instance, warm: {"covariance": covariance}))
    track = only(run(tracker, [{1: ("mug", (0.0, 0.0, 1.0))}] * 5)[-1])
    np.testing.assert_allclose(track.estimate.rotation, np.eye(3), atol=1e-6)


@pytest.mark.parametrize("refine", ["icp", "none"])
def test_without_sdf_refinement_every_image_is_a_detection(refine):
    """There a warm start would only be handed back."""
    estimator = FakeEstimator(refine=refine)
    places = [(-0.2 + 0.02 * i, 0.0, 1.0) for i in range(20)]
    results = run(make_tracker(estimator), [{1: ("can", x)} for x in places])
    assert not any(estimator.calls)
    assert {only(x).id for x in results} == {1}
    last = only(results[-1])
    assert last.state == TRACKED
    np.testing.assert_allclose(last.estimate.translation, places[-1], atol=8e-3)


def limited_reach(reach_m, confidence=0.9):
    """A refinement that finds the middle of the points from `reach_m` around it and no farther."""

    def script(instance, warm):
        at = np.median(instance.points, axis=0)
        if warm is None or np.linalg.norm(warm.translation - at) < reach_m:
            return {"confidence": confidence}
        return {
            "translation": warm.translation,
            "decoder_translation": warm.decoder_translation,
            "confidence": 0.01,
        }

    return script


def test_an_accelerating_object_is_also_refined_from_its_points():
    estimator = FakeEstimator(limited_reach(0.02))
    tracker = make_tracker(estimator)
    run(tracker, [CAN] * 4)
    calls = len(estimator.calls)
    place = (0.05, 0.0, 1.0)
    track = only(tracker.step(make_frame({5: ("can", place)}, 4)))
    assert len(estimator.calls) == calls + 2
    assert detections(estimator) == 2  # in the first image and in the third
    np.testing.assert_allclose(track.estimate.translation, place, atol=0.005)
    assert track.estimate.confidence == 0.9


def test_an_object_at_its_predicted_place_is_refined_once():
    estimator = FakeEstimator(limited_reach(0.02))
    tracker = make_tracker(estimator)
    run(tracker, [CAN] * 4)
    calls = len(estimator.calls)
    tracker.step(make_frame({5: ("can", (0.02, 0.0, 1.0))}, 4))
    assert len(estimator.calls) == calls + 1


def test_the_visible_rest_of_a_hidden_object_does_not_move_it():
    """Its middle is off, and the pose that was expected explains the points better."""

    def script(instance, warm):
        if warm is None:
            return {}
        place = warm.translation
        return {
            "translation": place,
            "decoder_translation": place,
            "confidence": 0.8 if np.linalg.norm(place - CAN[5][1]) < 0.01 else 0.3,
        }

    tracker = make_tracker(FakeEstimator(script))
    run(tracker, [CAN] * 4)
    track = only(tracker.step(make_frame({5: ("can", (0.06, 0.0, 1.0))}, 4)))
    assert track.id == 1
    np.testing.assert_allclose(track.estimate.translation, CAN[5][1], atol=0.005)


def test_a_handle_that_comes_into_view_triggers_a_detection():
    """The refinement is limited_reach where the handle is not, and rather content with it."""
    truth = Rotation.from_euler("y", 120, degrees=True).as_matrix()
    hidden = True

    def script(instance, warm):
        if hidden:
            return {"symmetric_about_y": True}
        if warm is None or np.allclose(warm.rotation, truth):
            return {"rotation": truth, "confidence": 0.95}
        return {"confidence": 0.8}

    estimator = FakeEstimator(script)
    tracker = make_tracker(estimator)
    mug = {1: ("mug", (0.0, 0.0, 1.0))}
    run(tracker, [mug] * 10)
    assert detections(estimator) == 3
    hidden = False
    tracks = [only(x) for x in run(tracker, [mug] * 10, start=10)]
    assert [x.estimate.confidence for x in tracks] == [0.8] + [0.95] * 9
    assert all(x.estimate.probability == 1.0 for x in tracks)  # no yaw was known before
    assert detections(estimator) == 6
    np.testing.assert_allclose(tracks[-1].estimate.rotation, truth, atol=1e-6)


def test_a_round_object_keeps_its_yaw_through_a_new_detection():
    """A detection's yaw is arbitrary; it is refined again from the one that is known."""
    yaw = Rotation.from_euler("y", 40, degrees=True).as_matrix()
    arbitrary = Rotation.from_euler("XY", [10, 170], degrees=True).as_matrix()
    lost = False

    def script(instance, warm):
        if warm is None:
            return {"rotation": arbitrary if lost else yaw}
        return {"confidence": 0.1} if lost and np.allclose(warm.rotation, yaw) else {}

    tracker = make_tracker(FakeEstimator(script))
    run(tracker, [CAN] * 4)
    lost = True
    track = [only(x) for x in run(tracker, [CAN] * 3, start=4)][-1]
    expected = Rotation.from_euler("XY", [10, 40], degrees=True).as_matrix()
    assert track.estimate.confidence == 0.9
    np.testing.assert_allclose(track.estimate.rotation[:, 1], expected[:, 1], atol=1e-9)
    turned_by = Rotation.from_matrix(yaw.T @ track.estimate.rotation).magnitude()
    assert np.degrees(turned_by) == pytest.approx(10.0)


def test_a_non_round_bottle_takes_the_yaw_that_fits():
    arbitrary = Rotation.from_euler("y", 90, degrees=True).as_matrix()
    lost = False

    known = {"covariance": 1e-6 * np.eye(6)}

    def script(instance, warm):
        if warm is None:
            return known | ({"rotation": arbitrary} if lost else {})
        fits = not lost or np.allclose(warm.rotation, arbitrary)
        return known | ({} if fits else {"confidence": 0.1})

    tracker = make_tracker(FakeEstimator(script))
    bottle = {5: ("bottle", (0.0, 0.0, 1.0))}
    run(tracker, [bottle] * 4)
    lost = True
    track = [only(x) for x in run(tracker, [bottle] * 4, start=4)][-1]
    assert track.estimate.confidence == 0.9
    np.testing.assert_allclose(track.estimate.rotation, arbitrary, atol=1e-9)


@pytest.mark.parametrize("pause_s", [8.5, 12.0, 18.0])
def test_after_a_pause_objects_are_detected_from_scratch(pause_s):
    """A busy node, a paused bag: the last image showed the object, but long ago."""
    estimator = FakeEstimator()
    tracker = make_tracker(estimator)
    before = only(run(tracker, [CAN] * 5)[-1])
    pause = round(pause_s / (PERIOD_NS * 1e-9))
    after = only(tracker.step(make_frame(CAN, 5 + pause)))
    assert estimator.warm_starts == {}
    assert (after.id, after.state) == (before.id, TRACKED)
    tracker.step(make_frame(CAN, 6 + pause))
    assert estimator.warm_starts.keys() == CAN.keys()


def test_slow_images_are_warm_starts():
    estimator = FakeEstimator()
    run(make_tracker(estimator), [CAN] * 4, period_ns=5_000_000_000)
    assert estimator.warm_starts.keys() == CAN.keys()


def test_images_with_long_pauses_keep_ids_and_detect():
    estimator = FakeEstimator()
    results = run(make_tracker(estimator), [CAN] * 6, period_ns=9_000_000_000)
    assert {only(x).id for x in results} == {1}
    assert all(not call for call in estimator.calls)


def test_after_a_pause_a_moved_object_keeps_its_id_within_its_gate():
    """The camera has moved on meanwhile: all objects are elsewhere, in the same order."""
    tracker = make_tracker(FakeEstimator())
    objects = {i: ("can", (-0.3 + 0.2 * i, 0.0, 1.0)) for i in (1, 2, 3)}
    ids = {x.estimate.mask_id: x.id for x in run(tracker, [objects] * 4)[-1].tracks}
    moved_on = {i: ("can", (x + 0.05, 0.0, 1.0)) for i, (_, (x, _, _)) in objects.items()}
    result = tracker.step(make_frame(moved_on, 400))
    assert {x.estimate.mask_id: x.id for x in result.tracks} == ids
