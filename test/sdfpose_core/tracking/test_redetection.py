"""Verification of poses by re-detection, and the network queries between."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from tracker_fakes import (
    CAN,
    LAPTOP,
    REJECTED,
    TURNED,
    FakeEstimator,
    detections,
    make_frame,
    make_tracker,
    only,
    precision,
    run,
)

from sdfpose_core.errors import MeshError
from sdfpose_core.tracking.tracker import TrackerConfig


def verified_images(estimator, tracker, count):
    """Numbers of the images of a laptop in which its pose is put to the test."""
    verified = []
    for index in range(count):
        before = detections(estimator)
        tracker.step(make_frame(LAPTOP, index))
        if detections(estimator) > before:
            verified.append(index)
    return verified


def test_a_settled_pose_is_verified_less_and_less_often():
    estimator = FakeEstimator()
    verified = verified_images(estimator, make_tracker(estimator), 140)
    assert np.diff(verified).tolist() == [2, 4, 8, 16, 32, 32, 32]


def test_a_settled_shape_is_verified_less_often_still():
    """From the sixth view on, if the last one left it as it is."""
    estimator = FakeEstimator(lambda instance, warm: {"code": (0.5, -0.25)})
    tracker = make_tracker(estimator, TrackerConfig(redetect_frames=8, settled_frames=64))
    verified = verified_images(estimator, tracker, 200)
    # Views: 1 at first, then one in each test.
    assert np.diff(verified).tolist() == [2, 4, 8, 8, 8, 16, 32, 64]


def test_detections_are_spread_over_images():
    objects = {i: ("can", (-0.4 + 0.1 * i, 0.0, 1.0)) for i in range(1, 8)}
    estimator = FakeEstimator()
    run(make_tracker(estimator), [objects] * 12)
    assert detections(estimator) == 1 + 10  # all at first, then one by one


def test_a_wrong_first_detection_is_outvoted():
    """It was rather sure of itself; the others are of another opinion."""
    estimator = FakeEstimator(
        lambda instance, warm: {"rotation": warm.rotation if warm else rotation, "confidence": 0.9}
    )
    tracker = make_tracker(estimator)
    rotation = TURNED
    tracks = [only(x) for x in run(tracker, [LAPTOP])]
    rotation = np.eye(3)
    tracks += [only(x) for x in run(tracker, [LAPTOP] * 6, start=1)]
    right = [np.allclose(x.estimate.rotation, np.eye(3)) for x in tracks]
    # Votes after two images and after two more: ln 9 each, for and against.
    assert right == [False] * 4 + [True] * 3
    assert {x.id for x in tracks} == {1}


def test_a_better_detection_without_a_surface_changes_nothing():
    class Hollow(FakeEstimator):
        def with_full_mesh(self, draft):
            raise MeshError("no surface")

    tracker = make_tracker(
        Hollow(lambda _, warm: {"rotation": warm.rotation if warm else rotation, "confidence": 0.9})
    )
    rotation = TURNED
    run(tracker, [LAPTOP])
    rotation = np.eye(3)
    tracks = [only(x) for x in run(tracker, [LAPTOP] * 12, start=1)]
    assert {x.id for x in tracks} == {1}
    for track in tracks:
        np.testing.assert_allclose(track.estimate.rotation, TURNED, atol=1e-6)


@pytest.mark.parametrize(("confidence", "images"), [(0.6, 2), (0.9, 4), (0.999, 4)])
def test_what_turns_out_to_be_of_no_category_is_given_up(confidence, images):
    """The surer the first detection was, the more rejections it takes: after images 2 and 4."""

    def script(instance, warm):
        if warm is None and index > 0:
            return REJECTED
        return {"confidence": confidence}

    tracker = make_tracker(FakeEstimator(script))
    counts = []
    for index in range(8):
        counts.append(len(tracker.step(make_frame(LAPTOP, index)).tracks))
    assert counts.index(0) == images
    assert not any(counts[images:])


def test_one_wrong_detection_does_not_turn_a_settled_object():
    index = wrong_at = 0

    def script(instance, warm):
        if warm is None and index == wrong_at:
            return {"rotation": TURNED, "confidence": 0.99}
        return {}

    for wrong_at in (6, 14, 30):  # noqa: B007
        tracker = make_tracker(FakeEstimator(script))
        for index in range(40):
            track = only(tracker.step(make_frame(LAPTOP, index)))
            np.testing.assert_allclose(track.estimate.rotation, np.eye(3), atol=1e-9)


def test_an_uncertain_pose_gives_way_to_a_better_one():
    """It jumps to the better one and keeps its id; its shape is another one as well."""
    wrong = False

    def script(instance, warm):
        if not wrong:
            return {}
        if warm is None or np.allclose(warm.rotation, TURNED):
            return {"rotation": TURNED, "confidence": 0.8, "code": (1.0, 1.0)}
        return {"confidence": 0.1}

    estimator = FakeEstimator(script)
    tracker = make_tracker(estimator)
    run(tracker, [LAPTOP] * 32)
    wrong = True
    tracks = [only(x) for x in run(tracker, [LAPTOP] * 12, start=32)]
    confidences = [precision(x) for x in tracks]
    assert confidences == sorted(confidences)
    assert 4 <= confidences.count(0.1) <= 10
    assert tracks[-1].estimate.probability > 0.5
    np.testing.assert_allclose(tracks[-1].estimate.rotation, TURNED, atol=1e-6)
    np.testing.assert_allclose(tracks[-1].estimate.code, (1.0, 1.0))
    assert {x.id for x in tracks} == {1}


def test_a_detection_of_low_confidence_changes_nothing():
    """Nor is it tried in every image."""

    def script(instance, warm):
        changes = {"confidence": 0.1, "symmetric_about_y": False}
        return changes if warm else changes | {"rotation": TURNED, "confidence": 0.14}

    estimator = FakeEstimator(script)
    results = []
    tracker = make_tracker(estimator)
    for index in range(100):
        results.append(tracker.step(make_frame(LAPTOP, index)))
    # The first image's own; then every image in doubt counts for four.
    assert detections(estimator) == 1 + 1 + 1 + 1 + 1 + (100 - 1 - 1 - 1 - 2 - 4) // 8
    assert all(np.allclose(only(x).estimate.rotation, TURNED) for x in results)
    assert len({x.tracks[0].id for x in results}) == 1


def test_exploding_residuals_trigger_a_detection_at_once():
    better = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    wrong = False

    def script(instance, warm):
        if not wrong:
            return {}
        if warm is None or np.allclose(warm.rotation[:, 1], better[:, 1]):
            return {"rotation": better}
        return {"confidence": 0.25, "diagnostics": {"inlier_ratio": 0.3}}

    for settled in (1, 5, 31):
        wrong = False
        estimator = FakeEstimator(script)
        tracker = make_tracker(estimator)
        run(tracker, [CAN] * settled)
        calls = detections(estimator)
        wrong = True
        tracker.step(make_frame(CAN, settled))
        assert detections(estimator) == calls + 1
        assert precision(only(tracker.step(make_frame(CAN, settled + 1)))) == 0.9


def queried_by_image(objects, period_ns, frames, config=None):
    """Whom the network is queried about in each image after the first."""
    estimator = FakeEstimator()
    run(make_tracker(estimator, config), [objects] * frames, period_ns=period_ns)
    followed = zip(estimator.calls, estimator.queried, strict=True)
    return [queried for warm_starts, queried in followed if warm_starts]


def test_the_network_is_queried_always_for_fronts_and_sometimes_for_round_objects():
    objects = {1: ("can", (-0.2, 0.0, 1.0)), 2: ("mug", (0.0, 0.0, 1.0))}
    queried = queried_by_image(objects, 100_000_000, 18, TrackerConfig(network_interval_s=0.4))
    assert all(2 in x for x in queried)
    assert [1 in x for x in queried] == [True, False, False, False] * 4 + [True]


def test_round_objects_take_turns_in_network_queries():
    objects = {i: ("can", (-0.3 + 0.15 * i, 0.0, 1.0)) for i in range(1, 5)}
    queried = queried_by_image(objects, 100_000_000, 14, TrackerConfig(network_interval_s=0.4))
    assert queried[0] == {1, 2, 3, 4}
    # Never is an answer older than four images.
    for first in range(1, len(queried) - 3):
        assert set().union(*queried[first : first + 4]) == {1, 2, 3, 4}


def test_the_network_is_always_queried_for_slow_or_unstamped_images():
    for period_ns in (1_000_000_000, 0):
        queried = queried_by_image(CAN, period_ns, 5)
        assert queried == [{5}] * 4
