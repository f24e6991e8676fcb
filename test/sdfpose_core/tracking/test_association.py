"""Which instance belongs to which tracked object."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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

from sdfpose_core.tracking.association import associate

TWO_CANS = ("can", (-0.04, 0.0, 0.8)), ("can", (0.04, 0.0, 0.8))


def test_swapped_mask_ids_do_not_swap_track_ids():
    left, right = TWO_CANS
    frames = [{1: left, 2: right}, {2: left, 1: right}] * 5
    results = run(make_tracker(FakeEstimator()), frames)
    for i, result in enumerate(results):
        assert ids_by_mask(result) == ({1: 1, 2: 2} if i % 2 == 0 else {2: 1, 1: 2})


def test_two_cans_that_pass_each_other_keep_their_ids():
    """Side by side, then the farther one slides behind the nearer, while mask ids change."""
    tracker = make_tracker(FakeEstimator())
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


def test_the_remaining_one_of_two_neighbours_keeps_its_id():
    left, right = TWO_CANS
    tracker = make_tracker(FakeEstimator())
    run(tracker, [{1: left, 2: right}] * 4)
    result = tracker.step(make_frame({1: right}, 4))  # under the other's mask id
    assert {x.id: x.state for x in result.tracks} == {1: LOST, 2: TRACKED}


def test_an_instance_outside_the_gate_is_a_new_object():
    tracker = make_tracker(FakeEstimator())
    run(tracker, [CAN] * 4)
    result = tracker.step(make_frame({5: ("can", (0.2, 0.0, 1.0))}, 4))
    assert {x.id: x.state for x in result.tracks} == {1: LOST, 2: TENTATIVE}


def test_an_object_that_returns_after_a_gap_keeps_its_id():
    tracker = make_tracker(FakeEstimator())
    frames = [CAN] * 5 + [{}] * 30 + [{8: ("can", (0.15, 0.02, 1.0))}] * 2
    results = run(tracker, frames)
    assert [x.tracks[0].id for x in results] == [1] * len(frames)
    assert [x.state for r in results[-2:] for x in r.tracks] == [TRACKED] * 2


def test_a_missing_object_never_takes_the_instance_of_a_visible_one():
    """The place of the absent one widens, but it never takes a neighbour's instance."""
    left, right = TWO_CANS
    tracker = make_tracker(FakeEstimator())
    run(tracker, [{1: left, 2: right}] * 4)
    for i in range(4, 50):
        slid = ("can", (0.04 - 0.002 * (i - 4), 0.0, 0.8))
        result = tracker.step(make_frame({2: slid}, i))
        assert {x.id: x.state for x in result.tracks} == {1: LOST, 2: TRACKED}


def test_objects_keep_their_ids_while_the_camera_moves():
    """Objects move by more than half the gate from image to image."""
    step_m = 0.06
    frames = [
        {1: ("can", (-0.3 + step_m * i, 0, 0.9)), 2: ("can", (-0.18 + step_m * i, 0, 0.9))}
        for i in range(7)
    ]
    results = run(make_tracker(FakeEstimator()), frames)
    assert all(ids_by_mask(x) == {1: 1, 2: 2} for x in results)


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
def test_the_assignment_is_the_likeliest(scene):
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


def test_the_mask_id_breaks_ties_of_distance():
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


def test_a_missing_object_may_be_anywhere_on_its_predicted_path():
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
def test_an_object_is_found_again_where_the_camera_left_it(back_s):
    """Its place in the camera frame went on without it."""
    tracker = make_tracker(FakeEstimator())
    places = [("can", (-0.4 + 0.03 * i, 0.0, 1.0)) for i in range(20)]
    run(tracker, [{1: x} for x in places])
    missing = round(back_s / (PERIOD_NS * 1e-9))
    run(tracker, [{}] * missing, start=20)
    results = run(tracker, [{3: x} for x in places[:-4:-1]], start=20 + missing)
    assert [only(x).id for x in results] == [1] * 3


def test_of_two_candidates_the_one_seen_last_wins():
    """The gate of one that is missing is wider; that makes it no likelier."""
    left, right = TWO_CANS
    tracker = make_tracker(FakeEstimator())
    run(tracker, [{1: left, 2: right}] * 4 + [{2: right}] * 3)
    result = tracker.step(make_frame({2: ("can", (0.01, 0.0, 0.8))}, 7))
    assert {x.id: x.state for x in result.tracks} == {1: LOST, 2: TRACKED}
