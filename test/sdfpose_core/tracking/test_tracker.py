import dataclasses
import itertools
import threading
import time
import types

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from sdfpose_core.categories import default_categories
from sdfpose_core.errors import ConfigurationError, MeshError
from sdfpose_core.estimation.estimator import FrameResult
from sdfpose_core.estimation.keyframes import decoder_states
from sdfpose_core.estimation.pose_following import NetworkPrediction
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import InstanceLabel, ObjectEstimate, RgbdFrame, SkippedInstance
from sdfpose_core.observation.segmentation import segment
from sdfpose_core.tracking.association import associate
from sdfpose_core.tracking.motion import PoseFilter, moved, with_yaw_of
from sdfpose_core.tracking.tracker import Tracker as TrackerBesideTrials
from sdfpose_core.tracking.tracker import TrackerConfig, TrackState

CAMERA = PinholeCamera(160, 120, 150.0, 150.0, 79.5, 59.5)
PERIOD_NS = 33_000_000
TENTATIVE, TRACKED, LOST = TrackState.TENTATIVE, TrackState.TRACKED, TrackState.LOST
VERTICES = np.array([[0.0, 0.0, 0.0], [0.1, 0.0, 0.0], [0.0, 0.1, 0.0]], np.float32)


def make_frame(objects, index, period_ns=PERIOD_NS, frame_id="camera"):
    """A square patch per object: {mask id: (category, place of its middle, metres)}."""
    depth = np.zeros((CAMERA.height, CAMERA.width), np.float32)
    mask = np.zeros(depth.shape, np.uint16)
    for mask_id, (_, place) in objects.items():
        u, v = CAMERA.project(np.array([place], np.float32))[0].round().astype(int)
        mask[max(v - 4, 0) : v + 5, max(u - 4, 0) : u + 5] = mask_id
        depth[mask == mask_id] = place[2]
    return RgbdFrame(
        colour=np.zeros((*depth.shape, 3), np.uint8),
        depth=depth,
        mask=mask,
        camera=CAMERA,
        labels={mask_id: InstanceLabel(category) for mask_id, (category, _) in objects.items()},
        stamp_ns=index * period_ns,
        frame_id=frame_id,
    )


def make_estimate(mask_id=1, category="can", place=(0.0, 0.0, 1.0), **changes):
    code = np.array(changes.pop("code", (0.3, -0.2)), np.float32)
    symmetric = changes.get("symmetric_about_y", category in ("bottle", "bowl", "can"))
    covariance = 1e-6 * np.eye(6)
    if symmetric:  # the refinement knows next to nothing of the yaw
        y_axis = changes.get("rotation", np.eye(3))[:, 1]
        covariance[3:, 3:] += 3.0 * np.outer(y_axis, y_axis)
    fields = {
        "mask_id": mask_id,
        "category": category,
        "rotation": np.eye(3),
        "translation": np.array(place, np.float64),
        "scale": 0.15,
        "dimensions_m": np.array([0.07, 0.12, 0.07]),
        "confidence": 0.9,
        "covariance": covariance,
        "symmetric_about_y": symmetric,
        "code": code,
        "decoder_translation": np.array(place, np.float64) + np.array([0.0, 0.002, 0.0]),
        "decoder_scale": 0.16,
        "vertices": VERTICES,
        "faces": np.array([[0, 1, 2]], np.int32),
        "normals": np.zeros((3, 3), np.float32),
        "diagnostics": {"inlier_ratio": 0.9},
    }
    return ObjectEstimate(**(fields | changes))


class FakeEstimator:
    """Finds each object at the middle of its points; `script` changes what it reports.

    The script is called with an instance and its warm start, None in a detection, and returns
    changes to the estimate's fields, or None where there is none.
    """

    def __init__(self, script=lambda instance, warm: {}, refine="sdf"):
        self.categories = default_categories()
        self.config = types.SimpleNamespace(min_points=20, refine=refine)
        self.script = script
        self.calls = []
        self.asked = []
        self.portrayals = []

    @property
    def warm_starts(self):
        """Of the last call."""
        return self.calls[-1]

    def segment(self, frame):
        return segment(frame, self.categories, min_points=self.config.min_points)

    def estimate(self, instances, expected=None, *, draft=False):
        expected = expected or {}
        warm_starts = {i: x.estimate for i, x in expected.items()}
        if instances:
            self.calls.append(warm_starts)
            self.asked.append({i for i, x in expected.items() if x.prediction is None})
        estimates, skipped = [], []
        for instance in instances:
            warm = warm_starts.get(instance.mask_id)
            changes = self.script(instance, warm)
            if changes is None:
                skipped.append(SkippedInstance(instance.mask_id, instance.category, "no surface"))
                continue
            kept = {"rotation": warm.rotation} if warm else {}
            place = np.median(instance.points, axis=0)
            estimates.append(
                make_estimate(instance.mask_id, instance.category, place, **(kept | changes))
            )
        predictions = {
            i: x.prediction or NetworkPrediction(None, None) for i, x in expected.items()
        }
        stage_ms = {"encode": 1.0, "refine": 2.0, "mesh": 0.5}
        return FrameResult(estimates, skipped, stage_ms, predictions)

    looks_at_colour = False

    def finished(self, draft):
        return draft

    def shape_of(self, estimate):
        return None

    def add_keyframe(self, keyframes, instance, estimates):
        """Takes the more confident pose and the mean code of all detections."""
        self.portrayals.append(estimates)
        known = len(keyframes.instances)
        code = (known * keyframes.state.codes[0].numpy() + estimates[-1].code) / (known + 1)
        best = dataclasses.replace(max(estimates, key=lambda x: x.confidence), code=code)
        return keyframes.with_view(instance, decoder_states([best], torch.device("cpu"))), best


def Tracker(estimator, config=None):  # noqa: N802
    """One that waits for its trials."""
    config = dataclasses.replace(config or TrackerConfig(), verification_delay_s=0.0)
    return TrackerBesideTrials(estimator, config)


def run(tracker, frames, start=0, **options):
    """The results of frames given by their objects."""
    return [
        tracker.step(make_frame(objects, index, **options))
        for index, objects in enumerate(frames, start=start)
    ]


def ids_by_mask(result):
    return {x.estimate.mask_id: x.id for x in result.tracks if x.state != LOST}


def only(result):
    assert len(result.tracks) == 1
    return result.tracks[0]


CONFIG = TrackerConfig()
CAN = {5: ("can", (0.0, 0.0, 1.0))}


# --- life of an object ---


def test_an_object_becomes_tracked_after_confident_images_and_keeps_its_id():
    tracks = [only(x) for x in run(Tracker(FakeEstimator()), [CAN] * 5)]
    assert [x.state for x in tracks] == [TENTATIVE, TENTATIVE, TRACKED, TRACKED, TRACKED]
    assert [x.id for x in tracks] == [1] * 5
    assert [x.age for x in tracks] == [1, 2, 3, 4, 5]
    assert [x.stamp_ns for x in tracks] == [i * PERIOD_NS for i in range(5)]


def test_an_object_without_confidence_stays_tentative():
    tracker = Tracker(FakeEstimator(lambda instance, warm: {"confidence": 0.45}))
    assert all(only(x).state == TENTATIVE for x in run(tracker, [CAN] * 20))


def test_a_missing_object_is_lost_then_removed():
    config = TrackerConfig(remove_after_s=0.4, coast_s=0.1)
    results = run(Tracker(FakeEstimator(), config), [CAN] * 4 + [{}] * 14)
    states = [x.tracks[0].state if x.tracks else None for x in results]
    # Seen last in image 3; 0.4 s are 12.1 periods.
    assert states == [TENTATIVE] * 2 + [TRACKED] * 2 + [LOST] * 12 + [None] * 2
    assert [x.removed for x in results] == [[]] * 16 + [[1], []]
    assert {x.tracks[0].stamp_ns for x in results[3:16]} == {3 * PERIOD_NS}


def test_an_object_that_was_never_confirmed_is_given_up_sooner():
    config = TrackerConfig(remove_after_s=2.0, coast_s=0.1)
    results = run(Tracker(FakeEstimator(), config), [CAN] * 2 + [{}] * 4)
    assert [len(x.tracks) for x in results] == [1, 1, 1, 1, 1, 0]


def test_images_without_time_give_up_objects_by_their_number():
    config = TrackerConfig(remove_after_frames=5)
    results = run(Tracker(FakeEstimator(), config), [CAN] * 4 + [{}] * 6, period_ns=0)
    assert [len(x.tracks) for x in results] == [1] * 9 + [0]


def test_slow_images_do_not_part_an_object_from_its_id():
    estimator = FakeEstimator()
    results = run(Tracker(estimator), [CAN] * 5, period_ns=3_000_000_000)
    assert [only(x).id for x in results] == [1] * 5
    assert only(results[-1]).state == TRACKED


def test_a_frame_without_instances_is_no_error():
    result = Tracker(FakeEstimator()).step(make_frame({}, 0))
    assert (result.tracks, result.removed, result.skipped) == ([], [], [])
    assert result.stage_ms["total"] >= result.stage_ms["segment"] >= 0.0


def test_what_the_estimator_skips_is_lost_and_told():
    refuse = False
    tracker = Tracker(FakeEstimator(lambda instance, warm: None if refuse else {}))
    run(tracker, [CAN] * 3)
    refuse = True
    result = tracker.step(make_frame(CAN | {9: ("spoon", (0.2, 0.0, 1.0))}, 3))
    assert only(result).state == LOST
    assert {x.mask_id: x.category for x in result.skipped} == {5: "can", 9: "spoon"}


def test_a_failing_estimator_leaves_no_trace():
    fail = False

    def script(instance, warm):
        if fail:
            raise RuntimeError("out of memory")
        return {}

    tracker = Tracker(FakeEstimator(script))
    run(tracker, [CAN] * 3)
    fail = True
    with pytest.raises(RuntimeError):
        tracker.step(make_frame(CAN | {6: ("mug", (0.2, 0.0, 1.0))}, 3))
    fail = False
    track = only(tracker.step(make_frame(CAN, 4)))
    assert (track.id, track.state, track.age) == (1, TRACKED, 4)


def test_stage_times_of_all_estimates_add_up():
    estimator = FakeEstimator()
    result = run(Tracker(estimator), [CAN] * 3)[-1]
    assert len(estimator.calls) == 4  # in the last image: followed and detected
    assert 4.0 < result.stage_ms["refine"] < 54.0  # and seen in one more view
    assert set(result.stage_ms) == {"segment", "encode", "refine", "mesh", "total"}


# --- time ---


def test_time_that_jumps_back_starts_over_with_new_ids():
    tracker = Tracker(FakeEstimator())
    run(tracker, [CAN] * 5, start=100)
    result = tracker.step(make_frame(CAN, 3))
    assert result.removed == [1]
    assert (only(result).id, only(result).state, only(result).age) == (2, TENTATIVE, 1)


def test_another_camera_starts_over():
    tracker = Tracker(FakeEstimator())
    run(tracker, [CAN] * 5)
    result = run(tracker, [CAN], start=5, frame_id="other")[0]
    assert (only(result).id, result.removed) == (2, [1])


def test_reset_forgets_objects_but_not_which_ids_were_used():
    tracker = Tracker(FakeEstimator())
    run(tracker, [CAN] * 5, start=100)
    tracker.reset()
    result = tracker.step(make_frame(CAN, 0))
    assert (only(result).id, result.removed) == (2, [])


def test_the_same_stamp_twice_is_no_motion():
    tracker = Tracker(FakeEstimator())
    run(tracker, [CAN] * 3)
    again = only(tracker.step(make_frame({5: ("can", (0.02, 0.0, 1.0))}, 2)))
    later = only(tracker.step(make_frame({}, 10)))
    assert (again.id, later.state) == (1, LOST)
    np.testing.assert_allclose(later.estimate.translation, again.estimate.translation)


# --- association ---

TWO_CANS = ("can", (-0.04, 0.0, 0.8)), ("can", (0.04, 0.0, 0.8))


def test_mask_ids_that_swap_between_two_objects_do_not_swap_theirs():
    left, right = TWO_CANS
    frames = [{1: left, 2: right}, {2: left, 1: right}] * 5
    results = run(Tracker(FakeEstimator()), frames)
    for i, result in enumerate(results):
        assert ids_by_mask(result) == ({1: 1, 2: 2} if i % 2 == 0 else {2: 1, 1: 2})


def test_two_cans_that_pass_each_other_keep_their_ids():
    """Side by side, then the farther one slides behind the nearer, while mask ids change."""
    tracker = Tracker(FakeEstimator())
    for i in range(40):
        near = ("can", (-0.12 + 0.006 * i, 0.0, 0.6))
        far = ("can", (0.12 - 0.006 * i, 0.0, 0.75))
        masks = (1, 2) if i % 3 else (2, 1)
        result = tracker.step(make_frame({masks[1]: far, masks[0]: near}, i))
        seen = {x.id: x.estimate.translation[2] for x in result.tracks if x.state != LOST}
        if i == 0:
            names = {round(z, 2): track_id for track_id, z in seen.items()}
        for track_id, depth in seen.items():
            assert names[round(depth, 2)] == track_id
    assert len(result.tracks) == 2


def test_one_of_two_neighbours_vanishes_and_the_other_keeps_its_id():
    left, right = TWO_CANS
    tracker = Tracker(FakeEstimator())
    run(tracker, [{1: left, 2: right}] * 4)
    result = tracker.step(make_frame({1: right}, 4))  # under the other's mask id
    assert {x.id: x.state for x in result.tracks} == {1: LOST, 2: TRACKED}


def test_an_object_of_another_category_is_another_object():
    tracker = Tracker(FakeEstimator())
    run(tracker, [CAN] * 4)
    result = tracker.step(make_frame({5: ("mug", CAN[5][1])}, 4))
    assert [(x.id, x.estimate.category, x.state) for x in result.tracks] == [
        (1, "can", LOST),
        (2, "mug", TENTATIVE),
    ]


def test_labels_of_detectors_name_the_same_category():
    results = run(Tracker(FakeEstimator()), [{1: ("mug", CAN[5][1])}, {1: ("cup", CAN[5][1])}])
    assert only(results[1]).id == 1


def test_an_object_that_is_too_far_off_is_another_one():
    tracker = Tracker(FakeEstimator())
    run(tracker, [CAN] * 4)
    result = tracker.step(make_frame({5: ("can", (0.2, 0.0, 1.0))}, 4))
    assert {x.id: x.state for x in result.tracks} == {1: LOST, 2: TENTATIVE}


def test_an_object_that_returns_after_a_gap_gets_its_id_back():
    tracker = Tracker(FakeEstimator())
    frames = [CAN] * 5 + [{}] * 30 + [{8: ("can", (0.15, 0.02, 1.0))}] * 2
    results = run(tracker, frames)
    assert [x.tracks[0].id for x in results] == [1] * len(frames)
    assert [x.state for r in results[-2:] for x in r.tracks] == [TRACKED] * 2


def test_one_that_was_just_seen_goes_before_one_that_has_been_away():
    """The place of the absent one widens, but it never takes a neighbour's instance."""
    left, right = TWO_CANS
    tracker = Tracker(FakeEstimator())
    run(tracker, [{1: left, 2: right}] * 4)
    for i in range(4, 50):
        slid = ("can", (0.04 - 0.002 * (i - 4), 0.0, 0.8))
        result = tracker.step(make_frame({2: slid}, i))
        assert {x.id: x.state for x in result.tracks} == {1: LOST, 2: TRACKED}


def test_a_moving_camera_is_predicted():
    """Objects move by more than half the gate from image to image."""
    step_m = 0.06
    frames = [
        {1: ("can", (-0.3 + step_m * i, 0, 0.9)), 2: ("can", (-0.18 + step_m * i, 0, 0.9))}
        for i in range(7)
    ]
    results = run(Tracker(FakeEstimator()), frames)
    assert all(ids_by_mask(x) == {1: 1, 2: 2} for x in results)


def test_thirty_objects_at_once():
    names = ("bottle", "can", "mug")
    places = [
        ((-0.4 + 0.16 * (i % 6), -0.32 + 0.15 * (i // 6), 1.0), names[i % 3]) for i in range(30)
    ]
    tracker = Tracker(FakeEstimator())
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


def at_rest(places):
    """Paths (T, 2, 3) of objects that are expected at one place."""
    return np.stack([places, places], axis=1)


points = st.lists(st.tuples(*[st.floats(-0.5, 0.5)] * 3), min_size=0, max_size=4)


@st.composite
def scenes(draw):
    predicted = np.array(draw(points), np.float64).reshape(-1, 3)
    observed = np.array(draw(points), np.float64).reshape(-1, 3)
    gates = np.array([draw(st.floats(0.05, 1.0)) for _ in predicted])
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    shape = (len(predicted), len(observed))
    return predicted, gates, observed, rng.random(shape) < 0.7, rng.random(shape) < 0.2


@settings(max_examples=100, deadline=None)
@given(scenes())
def test_no_assignment_is_likelier_than_the_one_chosen(scene):
    predicted, gates, observed, compatible, preferred = scene
    pairs = associate(
        at_rest(predicted), gates, observed, compatible=compatible, preferred=preferred
    )

    def cost(t, i):
        return np.sum((predicted[t] - observed[i]) ** 2) / gates[t] ** 2

    assert len({t for t, _ in pairs}) == len({i for _, i in pairs}) == len(pairs)
    assert all(compatible[t, i] and cost(t, i) < 1.0 for t, i in pairs)
    chosen = sum(cost(t, i) - 1.0 for t, i in pairs)
    for count in range(min(len(predicted), len(observed)) + 1):
        for ts in itertools.combinations(range(len(predicted)), count):
            for js in itertools.permutations(range(len(observed)), count):
                if all(compatible[t, i] for t, i in zip(ts, js, strict=True)):
                    other = sum(cost(t, i) - 1.0 for t, i in zip(ts, js, strict=True))
                    assert chosen <= other + 0.04 + 1e-9  # four preferences of 0.01


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8))
def test_objects_that_move_less_than_half_their_distance_are_never_mixed_up(seed, count):
    """Whatever the order of the instances, and whatever their mask ids say."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1]), axis=-1).reshape(-1, 3) * 0.3
    predicted = grid[rng.permutation(8)[:count]]
    step = rng.normal(size=(count, 3))
    step *= 0.14 * rng.random((count, 1)) / np.linalg.norm(step, axis=1, keepdims=True)
    order = rng.permutation(count)
    pairs = associate(
        at_rest(predicted),
        np.full(count, 0.15),
        (predicted + step)[order],
        compatible=np.ones((count, count), bool),
        preferred=rng.random((count, count)) < 0.0,
    )
    assert [order[i] for _, i in pairs] == list(range(count))


def test_the_mask_id_decides_where_distances_do_not():
    predicted = np.array([[-0.01, 0.0, 1.0], [0.01, 0.0, 1.0]])
    observed = np.array([[0.0, 0.01, 1.0], [0.0, -0.01, 1.0]])
    for preferred in (np.eye(2, dtype=bool), ~np.eye(2, dtype=bool)):
        pairs = associate(
            at_rest(predicted),
            np.full(2, 0.1),
            observed,
            compatible=np.ones((2, 2), bool),
            preferred=preferred,
        )
        assert all(preferred[t, i] for t, i in pairs)


def test_what_is_out_of_sight_is_anywhere_on_its_way():
    ends = np.array([[0.0, 0.0, 1.0], [0.4, 0.0, 1.0]])
    for place, possible in (
        ((0.0, 0.04, 1.0), True),
        ((0.2, 0.04, 1.0), True),
        ((0.4, 0.04, 1.0), True),
        ((0.2, 0.06, 1.0), False),
        ((-0.06, 0.0, 1.0), False),
        ((0.46, 0.0, 1.0), False),
    ):
        pairs = associate(
            ends[None],
            np.array([0.05]),
            np.array([place]),
            compatible=np.ones((1, 1), bool),
            preferred=np.zeros((1, 1), bool),
        )
        assert pairs == ([(0, 0)] if possible else [])


@pytest.mark.parametrize("back_s", [0.6, 1.8])
def test_an_object_that_the_camera_looked_away_from_is_back_where_it_left(back_s):
    """Its place in the camera frame went on without it."""
    tracker = Tracker(FakeEstimator())
    places = [("can", (-0.4 + 0.03 * i, 0.0, 1.0)) for i in range(20)]
    run(tracker, [{1: x} for x in places])
    missing = round(back_s / (PERIOD_NS * 1e-9))
    run(tracker, [{}] * missing, start=20)
    results = run(tracker, [{3: x} for x in places[:-4:-1]], start=20 + missing)
    assert [only(x).id for x in results] == [1] * 3


def test_of_two_that_may_be_it_the_one_seen_last_is():
    """The gate of one that is missing is wider; that makes it no likelier."""
    left, right = TWO_CANS
    tracker = Tracker(FakeEstimator())
    run(tracker, [{1: left, 2: right}] * 4 + [{2: right}] * 3)
    result = tracker.step(make_frame({2: ("can", (0.01, 0.0, 0.8))}, 7))
    assert {x.id: x.state for x in result.tracks} == {1: LOST, 2: TRACKED}


# --- prediction ---


def turning(index, speed=0.3, turn=1.0):
    """Pose at an image's time of an object that moves along x and turns about the depth axis."""
    t = index * PERIOD_NS * 1e-9
    return np.array([-0.2 + speed * t, 0.0, 1.0]), Rotation.from_rotvec(
        [0, 0, turn * t]
    ).as_matrix()


def test_motion_is_carried_through_a_gap_and_dies_away():
    index = 0
    estimator = FakeEstimator(
        lambda instance, warm: dict(
            zip(("translation", "rotation"), turning(index), strict=True), symmetric_about_y=False
        )
    )
    tracker = Tracker(estimator)
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
    tracker = Tracker(estimator)
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
    tracker = Tracker(estimator)
    reported = []
    for index in range(100):
        reported.append(yaw_deg(only(tracker.step(make_frame(CAN, index))).estimate.rotation))
    assert np.ptp(np.degrees(yaws)) > 350.0
    assert np.abs(np.diff(np.unwrap(reported, period=360.0))).max() < 15.0


def test_a_hidden_handle_goes_on_turning_with_its_mug():
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

    tracker = Tracker(FakeEstimator(script))
    errors = []
    for index in range(40):
        track = only(tracker.step(make_frame({1: ("mug", (0.0, 0.0, 1.0))}, index)))
        truth = np.degrees(rate * index * PERIOD_NS * 1e-9)
        errors.append(abs(yaw_deg(track.estimate.rotation) - truth))
    assert max(errors[5:hidden_from]) < 1.0
    assert errors[hidden_from + 10] < 3.0
    assert errors[-1] < 10.0  # it has turned by 26 degrees


def test_single_precision_may_leave_a_negative_variance():
    covariance = np.diag([1e-6] * 5 + [-1e-7])
    tracker = Tracker(FakeEstimator(lambda instance, warm: {"covariance": covariance}))
    track = only(run(tracker, [{1: ("mug", (0.0, 0.0, 1.0))}] * 5)[-1])
    np.testing.assert_allclose(track.estimate.rotation, np.eye(3), atol=1e-6)


def test_rotations_stay_rotations():
    estimate = make_estimate(rotation=Rotation.from_rotvec([0.1, 0.2, 0.3]).as_matrix() * 1.0001)
    turn = Rotation.from_rotvec([1e-3, 2e-3, 0.0]).as_matrix().astype(np.float32).astype(float)
    for _ in range(1000):
        estimate = moved(estimate, turn, np.zeros(3))
    np.testing.assert_allclose(estimate.rotation.T @ estimate.rotation, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("refine", ["icp", "none"])
def test_without_sdf_refinement_every_image_is_detected(refine):
    """There a warm start would only be handed back."""
    estimator = FakeEstimator(refine=refine)
    places = [(-0.2 + 0.02 * i, 0.0, 1.0) for i in range(20)]
    results = run(Tracker(estimator), [{1: ("can", x)} for x in places])
    assert not any(estimator.calls)
    assert {only(x).id for x in results} == {1}
    last = only(results[-1])
    assert last.state == TRACKED
    np.testing.assert_allclose(last.estimate.translation, places[-1], atol=8e-3)


# --- size, shape and mesh ---


def test_size_and_shape_come_from_detections_of_the_same_pose_and_stay_between_them():
    codes = np.random.default_rng(0).normal(size=(20, 2))
    index = 0
    estimator = FakeEstimator(
        lambda instance, warm: {"code": codes[index] if warm is None else warm.code}
    )
    tracker = Tracker(estimator)
    reported, seen_at = [], [0]
    for index in range(20):
        before = len(estimator.portrayals)
        reported.append(only(tracker.step(make_frame(CAN, index))).estimate.code)
        if len(estimator.portrayals) > before:
            seen_at.append(index)
    assert seen_at == [0, 2, 6, 14]  # after 2, 4, 8 images
    for index, code in enumerate(reported):
        views = [codes[i] for i in seen_at if i <= index]
        np.testing.assert_allclose(code, np.mean(views, axis=0), rtol=1e-5)


@pytest.mark.parametrize("found", [{"confidence": 0.4}, {"rotation": np.diag([1.0, -1.0, -1.0])}])
def test_a_detection_without_confidence_or_of_another_pose_says_nothing_of_the_shape(found):
    first = True
    estimator = FakeEstimator(lambda instance, warm: {} if warm or first else found)
    tracker = Tracker(estimator)
    run(tracker, [CAN])
    first = False
    run(tracker, [CAN] * 2, start=1)
    assert cold_calls(estimator) == 2
    assert not estimator.portrayals


def test_a_surface_that_views_do_not_agree_on_leaves_the_shape_as_it_was():
    class Undecided(FakeEstimator):
        def add_keyframe(self, keyframes, instance, estimates):
            raise MeshError("no surface")

    tracks = [only(x) for x in run(Tracker(Undecided()), [CAN] * 5)]
    assert all(np.allclose(x.estimate.code, (0.3, -0.2)) for x in tracks)
    assert tracks[-1].state == TRACKED


def test_the_revision_counts_meshes_that_differ():
    changes = [
        {},
        {"scale": 0.15005},  # 0.03 %
        {"scale": 0.1501},
        {"scale": 0.15016},  # 0.11 % since the mesh was made
        {"scale": 0.15016, "code": (0.5, 0.5)},
        {"scale": 0.15016, "code": (0.5, 0.5)},
    ]
    index = 0
    tracker = Tracker(FakeEstimator(lambda instance, warm: changes[index]))
    revisions = []
    for index in range(len(changes)):
        revisions.append(only(tracker.step(make_frame(CAN, index))).mesh_revision)
    assert revisions == [1, 1, 1, 2, 3, 3]


def test_without_a_mesh_there_is_no_revision():
    empty = np.zeros((0, 3), np.float32)
    tracker = Tracker(FakeEstimator(lambda instance, warm: {"vertices": empty}))
    assert [only(x).mesh_revision for x in run(tracker, [CAN] * 3)] == [0, 0, 0]


# --- doubt ---


def cold_calls(estimator):
    return sum(1 for x in estimator.calls if not x)


LAPTOP = {1: ("laptop", (0.0, 0.0, 1.0))}
TURNED = np.diag([-1.0, 1.0, -1.0])


def images_of_tests(estimator, tracker, count):
    """Numbers of the images of a laptop in which its pose is put to the test."""
    tested = []
    for index in range(count):
        before = cold_calls(estimator)
        tracker.step(make_frame(LAPTOP, index))
        if cold_calls(estimator) > before:
            tested.append(index)
    return tested


def test_the_pose_of_a_settled_object_is_put_to_the_test_ever_less_often():
    estimator = FakeEstimator()
    tested = images_of_tests(estimator, Tracker(estimator), 140)
    assert np.diff(tested).tolist() == [2, 4, 8, 16, 32, 32, 32]


def test_a_shape_that_all_sides_agree_with_is_tested_less_often_still():
    """From the sixth view on, if the last one left it as it is."""
    estimator = FakeEstimator(lambda instance, warm: {"code": (0.5, -0.25)})
    tracker = Tracker(estimator, TrackerConfig(redetect_frames=8, settled_frames=64))
    tested = images_of_tests(estimator, tracker, 200)
    # Views: 1 at first, then one in each test.
    assert np.diff(tested).tolist() == [2, 4, 8, 8, 8, 16, 32, 64]


def test_detections_are_spread_over_images():
    objects = {i: ("can", (-0.4 + 0.1 * i, 0.0, 1.0)) for i in range(1, 8)}
    estimator = FakeEstimator()
    run(Tracker(estimator), [objects] * 12)
    assert cold_calls(estimator) == 1 + 10  # all at first, then one by one


def test_a_first_detection_that_was_wrong_is_outvoted():
    """It was rather sure of itself; the others are of another opinion."""
    estimator = FakeEstimator(
        lambda instance, warm: {"rotation": warm.rotation if warm else rotation, "confidence": 0.9}
    )
    tracker = Tracker(estimator)
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
        def finished(self, draft):
            raise MeshError("no surface")

    tracker = Tracker(
        Hollow(lambda _, warm: {"rotation": warm.rotation if warm else rotation, "confidence": 0.9})
    )
    rotation = TURNED
    run(tracker, [LAPTOP])
    rotation = np.eye(3)
    tracks = [only(x) for x in run(tracker, [LAPTOP] * 12, start=1)]
    assert {x.id for x in tracks} == {1}
    for track in tracks:
        np.testing.assert_allclose(track.estimate.rotation, TURNED, atol=1e-6)


def test_a_detection_that_is_wrong_once_does_not_turn_a_settled_object():
    index = wrong_at = 0

    def script(instance, warm):
        if warm is None and index == wrong_at:
            return {"rotation": TURNED, "confidence": 0.99}
        return {}

    for wrong_at in (6, 14, 30):  # noqa: B007
        tracker = Tracker(FakeEstimator(script))
        for index in range(40):
            track = only(tracker.step(make_frame(LAPTOP, index)))
            np.testing.assert_allclose(track.estimate.rotation, np.eye(3), atol=1e-9)


def test_a_pose_in_doubt_is_given_up_for_a_better_one():
    """It jumps to the better one and keeps its id; its shape is another one as well."""
    wrong = False

    def script(instance, warm):
        if not wrong:
            return {}
        if warm is None or np.allclose(warm.rotation, TURNED):
            return {"rotation": TURNED, "confidence": 0.8, "code": (1.0, 1.0)}
        return {"confidence": 0.1}

    estimator = FakeEstimator(script)
    tracker = Tracker(estimator)
    run(tracker, [LAPTOP] * 32)
    wrong = True
    tracks = [only(x) for x in run(tracker, [LAPTOP] * 12, start=32)]
    confidences = [x.estimate.confidence for x in tracks]
    assert confidences == sorted(confidences)
    assert 4 <= confidences.count(0.1) <= 10
    np.testing.assert_allclose(tracks[-1].estimate.rotation, TURNED, atol=1e-6)
    np.testing.assert_allclose(tracks[-1].estimate.code, (1.0, 1.0))
    assert {x.id for x in tracks} == {1}


def test_a_detection_without_confidence_changes_nothing():
    """Nor is it tried in every image."""

    def script(instance, warm):
        changes = {"confidence": 0.1, "symmetric_about_y": False}
        return changes if warm else changes | {"rotation": TURNED, "confidence": 0.14}

    estimator = FakeEstimator(script)
    results = []
    tracker = Tracker(estimator)
    for index in range(100):
        results.append(tracker.step(make_frame(LAPTOP, index)))
    # The first image's own; then every image in doubt counts for four.
    assert cold_calls(estimator) == 1 + 1 + 1 + 1 + 1 + (100 - 1 - 1 - 1 - 2 - 4) // 8
    assert all(np.allclose(only(x).estimate.rotation, TURNED) for x in results)
    assert len({x.tracks[0].id for x in results}) == 1


def test_residuals_that_explode_are_a_reason_at_once():
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
        tracker = Tracker(estimator)
        run(tracker, [CAN] * settled)
        calls = cold_calls(estimator)
        wrong = True
        tracker.step(make_frame(CAN, settled))
        assert cold_calls(estimator) == calls + 1
        assert only(tracker.step(make_frame(CAN, settled + 1))).estimate.confidence == 0.9


def asked_in_turn(objects, period_ns, frames, config=None):
    """Whom the network is asked about in each image after the first."""
    estimator = FakeEstimator()
    run(Tracker(estimator, config), [objects] * frames, period_ns=period_ns)
    followed = zip(estimator.calls, estimator.asked, strict=True)
    return [asked for warm_starts, asked in followed if warm_starts]


def test_the_network_is_always_asked_about_fronts_and_sometimes_about_round_objects():
    objects = {1: ("can", (-0.2, 0.0, 1.0)), 2: ("mug", (0.0, 0.0, 1.0))}
    asked = asked_in_turn(objects, 100_000_000, 18, TrackerConfig(network_interval_s=0.4))
    assert all(2 in x for x in asked)
    assert [1 in x for x in asked] == [True, False, False, False] * 4 + [True]


def test_round_objects_take_turns_with_the_network():
    objects = {i: ("can", (-0.3 + 0.15 * i, 0.0, 1.0)) for i in range(1, 5)}
    asked = asked_in_turn(objects, 100_000_000, 14, TrackerConfig(network_interval_s=0.4))
    assert asked[0] == {1, 2, 3, 4}
    # Never is an answer older than four images.
    for first in range(1, len(asked) - 3):
        assert set().union(*asked[first : first + 4]) == {1, 2, 3, 4}


def test_where_images_come_slowly_or_without_time_the_network_is_always_asked():
    for period_ns in (1_000_000_000, 0):
        asked = asked_in_turn(CAN, period_ns, 5)
        assert asked == [{5}] * 4


# --- trials beside the images ---

BESIDE = TrackerConfig(
    verification_delay_s=0.1
)  # 3.03 periods: the outcome is used in the fourth image


class Gated(FakeEstimator):
    """Its tests wait until they are let through."""

    def __init__(self, *args):
        super().__init__(*args)
        self.gate = threading.Event()
        self.begun = []

    def estimate(self, instances, expected=None, *, draft=False):
        if draft:
            self.begun.append([x.mask_id for x in instances])
            assert self.gate.wait(10.0)
        return super().estimate(instances, expected, draft=draft)


def test_images_do_not_wait_for_a_trial_before_its_time():
    estimator = Gated()
    tracker = TrackerBesideTrials(estimator, BESIDE)
    run(tracker, [CAN] * 6)  # a request begins in the third, and is due in the seventh
    assert len(estimator.portrayals) == 0
    estimator.gate.set()
    run(tracker, [CAN], start=6)
    assert len(estimator.portrayals) == 1


def test_a_trial_is_waited_for_when_its_time_has_come():
    estimator = Gated()
    tracker = TrackerBesideTrials(estimator, BESIDE)
    run(tracker, [CAN] * 6)
    threading.Timer(0.2, estimator.gate.set).start()
    start = time.perf_counter()
    run(tracker, [CAN], start=6)
    assert time.perf_counter() - start > 0.1
    assert len(estimator.portrayals) == 1


def test_what_a_trial_found_has_moved_as_the_object_has():
    """It was taken for turned about y; meanwhile it slid along and turned about z."""
    index = 0
    truth = [Rotation.from_euler("z", 5 * i, degrees=True).as_matrix() for i in range(12)]
    wrong = np.diag([-1.0, 1.0, -1.0])

    def script(instance, warm):
        right = warm is not None and warm.rotation[2, 2] > 0.5
        if (warm is None and index > 0) or right:
            return {"rotation": truth[index], "confidence": 0.99}
        return {"rotation": truth[index] @ wrong, "confidence": 0.7}

    tracker = TrackerBesideTrials(FakeEstimator(script), BESIDE)
    tracks = []
    for index in range(12):
        place = (-0.1 + 0.01 * index, 0.0, 1.0)
        tracks.append(only(tracker.step(make_frame({1: ("mug", place)}, index))))
    error = [
        np.degrees(Rotation.from_matrix(x.estimate.rotation.T @ t).magnitude())
        for x, t in zip(tracks, truth, strict=True)
    ]
    assert min(error[:6]) > 170.0  # the request of the third image is heard in the seventh
    assert max(error[6:]) < 1.5
    places = [x.estimate.translation[0] for x in tracks]
    np.testing.assert_allclose(places, -0.1 + 0.01 * np.arange(12), atol=8e-3)
    assert {x.id for x in tracks} == {1}


def test_one_trial_at_a_time():
    estimator = Gated()
    estimator.gate.set()
    objects = {i: ("can", (-0.4 + 0.1 * i, 0.0, 1.0)) for i in range(1, 5)}
    run(TrackerBesideTrials(estimator, BESIDE), [objects] * 11)
    # In the third image and, as others wait, in every second since: each object before any comes
    # twice.
    assert len(estimator.begun) in (4, 5)  # the last one may not have begun yet
    assert sorted(estimator.begun[:4]) == [[1], [2], [3], [4]]


def test_the_least_certain_object_goes_first():
    confidence = {1: 0.8, 2: 0.6, 3: 0.7}
    estimator = Gated(lambda instance, warm: {"confidence": confidence[instance.mask_id]})
    estimator.gate.set()
    objects = {i: ("can", (-0.4 + 0.1 * i, 0.0, 1.0)) for i in confidence}
    run(TrackerBesideTrials(estimator, BESIDE), [objects] * 8)
    assert estimator.begun[:3] == [[2], [3], [1]]


def test_the_outcome_for_an_object_that_was_found_anew_is_dropped():
    estimator = Gated()
    tracker = TrackerBesideTrials(estimator, dataclasses.replace(BESIDE, verification_delay_s=3.0))
    run(tracker, [CAN] * 4 + [{}] * 60)  # a request began; the object went out of sight for 2 s
    estimator.gate.set()
    before = only(run(tracker, [CAN], start=64)[0])
    assert cold_calls(estimator) >= 2  # found anew
    after = only(run(tracker, [CAN] * 40, start=65)[-1])
    assert after.mesh_revision == before.mesh_revision
    np.testing.assert_array_equal(after.estimate.code, before.estimate.code)


@pytest.mark.parametrize("how", ["reset", "jump", "removal"])
def test_the_outcome_for_an_object_that_is_forgotten_is_dropped(how):
    estimator = Gated()
    tracker = TrackerBesideTrials(
        estimator, dataclasses.replace(BESIDE, coast_s=0.05, confirm_frames=5)
    )
    run(tracker, [CAN] * 3, start=100)
    start = 101
    if how == "reset":
        tracker.reset()
    elif how == "jump":
        start = 0
    else:
        result = run(tracker, [{}] * 3, start=103)[-1]
        assert result.removed == [1] or not result.tracks
        start = 106
    estimator.gate.set()
    results = run(tracker, [CAN] * 2, start=start)
    assert [only(x).id for x in results] == [2, 2]
    assert only(results[-1]).mesh_revision == 1


def test_the_same_images_give_the_same_poses_however_long_a_trial_takes():
    """Whether it is done long before its time, or is waited for."""
    seen = []
    for delay_s in (0.0, 0.02):
        rng = np.random.default_rng(0)

        def script(instance, warm, rng=rng, delay_s=delay_s):
            if warm is not None:
                return {}
            time.sleep(delay_s)
            return {"code": (len(instance.points) / 100.0, 0.5)}

        tracker = TrackerBesideTrials(FakeEstimator(script), BESIDE)
        places = [(0.01 * rng.normal(), 0.0, 1.0 + 0.02 * rng.random()) for _ in range(20)]
        tracks = [only(x) for x in run(tracker, [{1: ("mug", x)} for x in places])]
        seen.append([(x.estimate.translation, x.estimate.code, x.mesh_revision) for x in tracks])
    for one, other in zip(*seen, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
    assert seen[0][-1][2] > 1


# --- trials of images that come by themselves ---

LIVE = dataclasses.replace(BESIDE, wait_for_verification=False)


def until(condition):
    deadline = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_live_images_do_not_wait_for_a_trial_whose_time_has_come():
    estimator = Gated(lambda instance, warm: {"code": (float(len(estimator.calls)), 0.5)})
    tracker = TrackerBesideTrials(estimator, LIVE)
    before = only(run(tracker, [CAN] * 12)[-1])  # due in the seventh
    assert len(estimator.portrayals) == 0
    assert len(estimator.begun) == 1
    estimator.gate.set()
    images = itertools.count(12)

    def changed():
        now = only(run(tracker, [CAN], start=next(images))[0])
        return now.mesh_revision > before.mesh_revision

    until(changed)


def test_a_live_image_that_contradicts_its_object_does_not_wait_for_the_test():
    wrong = False

    def script(instance, warm):
        if wrong and warm is not None and not np.allclose(warm.rotation, TURNED):
            return {"confidence": 0.1, "diagnostics": {"inlier_ratio": 0.2}}
        return {"rotation": TURNED, "confidence": 0.99} if wrong else {"confidence": 0.7}

    estimator = Gated(script)
    tracker = TrackerBesideTrials(estimator, dataclasses.replace(LIVE, verification_delay_s=5.0))
    run(tracker, [LAPTOP] * 2)
    wrong = True
    tracks = run(tracker, [LAPTOP] * 3, start=2)
    assert not np.allclose(only(tracks[-1]).estimate.rotation, TURNED)
    estimator.gate.set()

    def mended():
        index = len(estimator.calls)
        track = only(run(tracker, [LAPTOP], start=index)[0])
        time.sleep(0.01)
        return np.allclose(track.estimate.rotation, TURNED, atol=1e-6)

    until(mended)  # long before the five seconds that others are given


def test_trials_of_what_is_believed_take_no_more_than_their_share():
    def script(instance, warm):
        if warm is None:
            time.sleep(0.02)
        return {"confidence": 0.95}

    def begun(share):
        estimator = Gated(script)
        estimator.gate.set()
        config = dataclasses.replace(
            LIVE,
            verification_delay_s=1e-3,
            verification_share=share,
            redetect_frames=1,
            settled_frames=1,
        )
        tracker = TrackerBesideTrials(estimator, config)
        for index in range(100):
            tracker.step(make_frame(CAN, index))
            time.sleep(0.005)
        return len(estimator.begun)

    assert 1 <= begun(0.05) <= 6
    assert begun(1.0) > 10


def test_what_goes_wrong_in_a_trial_is_told_when_its_time_has_come():
    def script(instance, warm):
        if warm is None and index > 0:
            raise RuntimeError("out of memory")
        return {}

    index = 0
    tracker = TrackerBesideTrials(FakeEstimator(script), BESIDE)
    for index in range(6):
        tracker.step(make_frame(CAN, index))
    with pytest.raises(RuntimeError, match="out of memory"):
        tracker.step(make_frame(CAN, 6))
    assert only(tracker.step(make_frame(CAN, 7))).id == 1


def test_an_object_that_the_image_contradicts_is_not_kept_waiting():
    wrong = False

    def script(instance, warm):
        if wrong and warm is not None and not np.allclose(warm.rotation, TURNED):
            return {"confidence": 0.1, "diagnostics": {"inlier_ratio": 0.2}}
        return {"rotation": TURNED, "confidence": 0.99} if wrong else {"confidence": 0.7}

    tracker = TrackerBesideTrials(
        FakeEstimator(script), dataclasses.replace(BESIDE, verification_delay_s=5.0)
    )
    run(tracker, [LAPTOP] * 5)
    wrong = True
    track = only(run(tracker, [LAPTOP], start=5)[0])
    np.testing.assert_allclose(track.estimate.rotation, TURNED, atol=1e-6)


# --- objects that are not where they were expected ---


def caught(reach_m, confidence=0.9):
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


def test_an_object_that_speeds_up_is_refined_from_where_it_is_as_well():
    estimator = FakeEstimator(caught(0.02))
    tracker = Tracker(estimator)
    run(tracker, [CAN] * 4)
    calls = len(estimator.calls)
    place = (0.05, 0.0, 1.0)
    track = only(tracker.step(make_frame({5: ("can", place)}, 4)))
    assert len(estimator.calls) == calls + 2
    assert cold_calls(estimator) == 2  # in the first image and in the third
    np.testing.assert_allclose(track.estimate.translation, place, atol=0.005)
    assert track.estimate.confidence == 0.9


def test_one_that_is_where_it_was_expected_is_refined_once():
    estimator = FakeEstimator(caught(0.02))
    tracker = Tracker(estimator)
    run(tracker, [CAN] * 4)
    calls = len(estimator.calls)
    tracker.step(make_frame({5: ("can", (0.02, 0.0, 1.0))}, 4))
    assert len(estimator.calls) == calls + 1


def test_points_that_are_left_of_a_hidden_object_do_not_draw_it_away():
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

    tracker = Tracker(FakeEstimator(script))
    run(tracker, [CAN] * 4)
    track = only(tracker.step(make_frame({5: ("can", (0.06, 0.0, 1.0))}, 4)))
    assert track.id == 1
    np.testing.assert_allclose(track.estimate.translation, CAN[5][1], atol=0.005)


def test_a_pose_without_confidence_moves_an_object_little():
    covariance = 1e-5 * np.eye(6)
    moved_by = {}
    for confidence in (0.9, 0.5, 0.01):
        motion = PoseFilter.start(make_estimate(category="mug", covariance=covariance), CONFIG)
        predicted, motion = motion.predict(make_estimate(category="mug"), 0.01, CONFIG)
        seen = make_estimate(
            category="mug", place=(0.02, 0.0, 1.0), confidence=confidence, covariance=covariance
        )
        fused, _ = motion.correct(predicted, seen)
        moved_by[confidence] = fused.translation[0]
        assert fused.confidence == confidence
        np.testing.assert_array_equal(fused.covariance, covariance)
    assert moved_by[0.9] == moved_by[0.5] > 0.01
    assert moved_by[0.01] < 0.1 * moved_by[0.9]


def test_a_handle_that_comes_into_view_is_looked_for():
    """The refinement is caught where the handle is not, and rather content with it."""
    truth = Rotation.from_euler("y", 120, degrees=True).as_matrix()
    hidden = True

    def script(instance, warm):
        if hidden:
            return {"symmetric_about_y": True}
        if warm is None or np.allclose(warm.rotation, truth):
            return {"rotation": truth, "confidence": 0.95}
        return {"confidence": 0.8}

    estimator = FakeEstimator(script)
    tracker = Tracker(estimator)
    mug = {1: ("mug", (0.0, 0.0, 1.0))}
    run(tracker, [mug] * 10)
    assert cold_calls(estimator) == 3
    hidden = False
    tracks = [only(x) for x in run(tracker, [mug] * 10, start=10)]
    assert [x.estimate.confidence for x in tracks] == [0.8] + [0.95] * 9
    assert cold_calls(estimator) == 6
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

    tracker = Tracker(FakeEstimator(script))
    run(tracker, [CAN] * 4)
    lost = True
    track = [only(x) for x in run(tracker, [CAN] * 3, start=4)][-1]
    expected = Rotation.from_euler("XY", [10, 40], degrees=True).as_matrix()
    assert track.estimate.confidence == 0.9
    np.testing.assert_allclose(track.estimate.rotation[:, 1], expected[:, 1], atol=1e-9)
    turned_by = Rotation.from_matrix(yaw.T @ track.estimate.rotation).magnitude()
    assert np.degrees(turned_by) == pytest.approx(10.0)


def test_a_bottle_that_is_not_round_keeps_the_yaw_that_explains_it():
    arbitrary = Rotation.from_euler("y", 90, degrees=True).as_matrix()
    lost = False

    known = {"covariance": 1e-6 * np.eye(6)}

    def script(instance, warm):
        if warm is None:
            return known | ({"rotation": arbitrary} if lost else {})
        fits = not lost or np.allclose(warm.rotation, arbitrary)
        return known | ({} if fits else {"confidence": 0.1})

    tracker = Tracker(FakeEstimator(script))
    bottle = {5: ("bottle", (0.0, 0.0, 1.0))}
    run(tracker, [bottle] * 4)
    lost = True
    track = [only(x) for x in run(tracker, [bottle] * 4, start=4)][-1]
    assert track.estimate.confidence == 0.9
    np.testing.assert_allclose(track.estimate.rotation, arbitrary, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.floats(0.001, 2.0), st.floats(0.001, 2.0))
def test_two_predictions_are_one(first_s, second_s):
    config = TrackerConfig()
    estimate = make_estimate(category="mug")
    motion = dataclasses.replace(
        PoseFilter.start(estimate, config), velocity=np.array([0.1, -0.2, 0.3, 0.0, 0.5, 0.0])
    )
    whole, after_whole = motion.predict(estimate, first_s + second_s, config)
    halfway, motion = motion.predict(estimate, first_s, config)
    both, after_both = motion.predict(halfway, second_s, config)
    np.testing.assert_allclose(both.translation, whole.translation, atol=1e-12)
    np.testing.assert_allclose(both.rotation, whole.rotation, atol=1e-12)
    np.testing.assert_allclose(after_both.velocity, after_whole.velocity, atol=1e-12)
    np.testing.assert_allclose(after_both.covariance, after_whole.covariance, atol=1e-12)


def test_velocities_do_not_grow_beyond_their_standard_deviation():
    config = TrackerConfig(speed_sd_m_s=0.3, turn_sd_rad_s=2.0)
    estimate = make_estimate(category="mug")
    _, motion = PoseFilter.start(estimate, config).predict(estimate, 20.0, config)
    sd = np.sqrt(np.diag(motion.covariance)[6:])
    np.testing.assert_allclose(sd, [0.3] * 3 + [2.0] * 3, rtol=1e-6)


# --- moving an estimate ---

rotvecs = st.tuples(*[st.floats(-3.0, 3.0)] * 3).map(np.array)
shifts = st.tuples(*[st.floats(-2.0, 2.0)] * 3).map(np.array)


@settings(max_examples=50, deadline=None)
@given(rotvecs, rotvecs, shifts)
def test_a_moved_estimate_moves_as_a_rigid_body(first, turn, shift):
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(6, 6))
    before = make_estimate(
        rotation=Rotation.from_rotvec(first).as_matrix(), covariance=factor @ factor.T
    )
    R = Rotation.from_rotvec(turn).as_matrix()
    after = moved(before, R, shift)
    mesh = before.vertices @ before.rotation.T + before.translation
    np.testing.assert_allclose(
        after.vertices @ after.rotation.T + after.translation, mesh @ R.T + shift, atol=1e-9
    )
    # The decoder's origin stays where it is in the object frame.
    for x in (before, after):
        offset = x.rotation.T @ (x.decoder_translation - x.translation)
        np.testing.assert_allclose(
            offset, before.rotation.T @ np.array([0.0, 0.002, 0.0]), atol=1e-9
        )
    direction = rng.normal(size=6)
    moved_direction = np.concatenate([R @ direction[:3], R @ direction[3:]])
    np.testing.assert_allclose(
        moved_direction @ after.covariance @ moved_direction,
        direction @ before.covariance @ direction,
        rtol=1e-9,
    )


@settings(max_examples=50, deadline=None)
@given(rotvecs, rotvecs)
def test_the_nearest_yaw_is_the_nearest_and_keeps_the_axis(first, second):
    estimate = make_estimate(rotation=Rotation.from_rotvec(first).as_matrix())
    reference = make_estimate(rotation=Rotation.from_rotvec(second).as_matrix())
    turned = with_yaw_of(estimate, reference)
    np.testing.assert_allclose(turned.rotation[:, 1], estimate.rotation[:, 1], atol=1e-9)
    np.testing.assert_allclose(turned.translation, estimate.translation, atol=1e-12)
    yaws = Rotation.from_euler("y", np.linspace(0.0, 2.0 * np.pi, 72)[:, None]).as_matrix()
    traces = np.trace(reference.rotation.T @ estimate.rotation @ yaws, axis1=1, axis2=2)
    assert np.trace(reference.rotation.T @ turned.rotation) >= traces.max() - 1e-9


# --- configuration ---


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accept_confidence": 1.5}, "accept_confidence is 1.5: expected 0 to 1"),
        ({"verification_delay_s": -0.1}, "verification_delay_s is -0.1: expected 0 or more"),
        (
            {"settled_frames": 16},
            "redetect_frames is 32: expected at most settled_frames, 16",
        ),
        ({"confirm_frames": 0}, "confirm_frames is 0: expected more than 0"),
        ({"coast_s": float("nan")}, "coast_s is nan: expected more than 0"),
        (
            {"drop_confidence": 0.6},
            "drop_confidence is 0.6: expected at most accept_confidence, 0.5",
        ),
        ({"coast_s": 4.0}, "coast_s is 4.0: expected at most remove_after_s, 3.0"),
    ],
)
def test_values_out_of_range_are_named(changes, message):
    with pytest.raises(ConfigurationError, match=message):
        TrackerConfig(**changes)


def test_a_mask_of_any_category_is_decided_once():
    """Detected as what explains it, then followed as that: the others are not tried again."""
    tried = []

    def script(instance, warm):
        tried.append(instance.category)
        return {} if instance.category == "mug" else None

    tracker = Tracker(FakeEstimator(script))
    objects = {4: ("any", (0.0, 0.0, 1.0))}
    first = only(tracker.step(make_frame(objects, 0)))
    assert set(tried) == set(default_categories())
    tried.clear()
    second = only(tracker.step(make_frame(objects, 1)))
    assert set(tried) == {"mug"}
    assert (first.id, first.estimate.category) == (second.id, second.estimate.category)
    assert second.estimate.category == "mug"
