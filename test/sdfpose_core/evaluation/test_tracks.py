"""Figures of tracking on histories made by hand."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from sdfpose_core.evaluation.tracks import (
    TrackSample,
    drift,
    first_modes,
    flips,
    gaps,
    id_switches,
)

HIDDEN, PARTLY = object(), object()


def turned(axes, degrees):
    return Rotation.from_euler(axes, degrees, degrees=True).as_matrix()


def history(ids):
    """Glimpses 0.1 s apart: a track's id, None for a miss, HIDDEN, or PARTLY."""
    return [
        TrackSample(0.1 * i, visible=False, hidden=x is HIDDEN, track_id=7 if x is PARTLY else None)
        if x in (HIDDEN, PARTLY)
        else TrackSample(0.1 * i, visible=True, hidden=False, track_id=x)
        for i, x in enumerate(ids)
    ]


# --- id switches ---


@pytest.mark.parametrize(
    ("ids", "switches"),
    [
        ([], []),
        ([1, 1, 1], []),
        ([1, 1, 2, 2], [2]),
        ([None, 1, None, None, 1], []),
        ([1, None, 2, 1], [2, 3]),  # what was last is remembered over misses
        ([1, HIDDEN, HIDDEN, HIDDEN, 2], [4]),
        ([1, PARTLY, 1], []),  # nothing is asked of a track there
        ([None, None], []),
    ],
)
def test_id_switches(ids, switches):
    assert id_switches(history(ids)) == switches


def test_two_tracks_that_change_places_are_two_switches():
    assert sum(len(id_switches(history(x))) for x in ([1, 1, 2, 2], [2, 2, 1, 1])) == 2


# --- gaps ---


def found_gaps(ids):
    return [(x.first, x.last, x.recovered) for x in gaps(history(ids))]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([1, HIDDEN, HIDDEN, HIDDEN, 1], [(1, 3, True)]),
        ([1, HIDDEN, HIDDEN, HIDDEN, 2, 1], [(1, 3, False)]),
        ([1, HIDDEN, HIDDEN, 2], []),  # too short
        ([1, PARTLY, PARTLY, PARTLY, 1], []),  # never hidden
        ([1, PARTLY, HIDDEN, HIDDEN, HIDDEN, PARTLY, 1], [(1, 5, True)]),
        ([1, None, HIDDEN, HIDDEN, HIDDEN, None, 1], [(2, 4, True)]),
        ([None, HIDDEN, HIDDEN, HIDDEN, 1], [(1, 3, False)]),
        ([1, HIDDEN, HIDDEN, HIDDEN, None], [(1, 3, False)]),
        ([HIDDEN] * 5 + [1, 1], []),  # it was not there before
        ([1, 1] + [HIDDEN] * 5, []),  # it does not come back
        ([1, *[HIDDEN] * 3, 1, 1, *[HIDDEN] * 4, 2], [(1, 3, True), (6, 9, False)]),
    ],
)
def test_gaps(ids, expected):
    assert found_gaps(ids) == expected


# --- flips ---


def posed(reports, truths=None, ids=None, symmetric=False, degrees=None):
    """Visible glimpses with rotations, by Euler angles."""
    count = len(reports)
    truths = truths or [np.eye(3)] * count
    return [
        TrackSample(
            0.1 * i,
            visible=True,
            hidden=False,
            true_rotation=truths[i],
            symmetric_about_y=symmetric,
            track_id=(ids or [1] * count)[i],
            rotation=reports[i],
            degrees=(degrees or [0.0] * count)[i],
        )
        for i in range(count)
    ]


def test_a_turn_that_the_object_did_not_make_is_a_flip():
    reports = [turned("y", x) for x in (0, 5, 180, 180)]
    (flip,) = flips(posed(reports, degrees=[0.0, 5.0, 180.0, 180.0]))
    assert (flip.frame, flip.corrective) == (2, False)
    assert flip.degrees == pytest.approx(175.0)


def test_a_flip_back_mends():
    found = flips(posed([turned("y", x) for x in (0, 90, 0)], degrees=[0.0, 90.0, 0.0]))
    assert [(x.frame, x.corrective) for x in found] == [(1, False), (2, True)]


def test_a_turn_of_the_object_is_none():
    turns = [turned("zx", (80 * i, 70 * i)) for i in range(5)]
    off = turned("x", 20)
    assert flips(posed([x @ off for x in turns], turns)) == []
    # Had the track stayed where it was, each of these would be one.
    assert len(flips(posed([np.eye(3)] * 5, turns))) == 4


def test_turns_up_to_thirty_degrees_are_none():
    assert flips(posed([turned("x", 0), turned("x", 29.9)])) == []
    assert len(flips(posed([turned("x", 0), turned("x", 30.1)]))) == 1


def test_the_yaw_of_symmetric_objects_may_jump():
    assert flips(posed([turned("y", x) for x in (0, 170, 20)], symmetric=True)) == []
    (flip,) = flips(posed([turned("y", 0), turned("xy", (120, 45))], symmetric=True))
    assert flip.degrees == pytest.approx(120.0)


def test_no_flip_between_two_tracks_or_over_a_gap():
    reports = [np.eye(3), turned("x", 180)]
    assert flips(posed(reports, ids=[1, 2])) == []
    before, after = posed(reports)
    assert flips([before, *history([HIDDEN]), after]) == []
    assert flips([before, *history([None]), after]) == []


# --- first modes ---


def modes_of(samples):
    return [(x.wrong, x.mended) for x in first_modes(samples)]


def off_by(errors, ids=None):
    """Reported rotations with errors about x, in degrees, of an object that turns."""
    truths = [turned("zx", (80 * i, 70 * i)) for i in range(len(errors))]
    reports = [x @ turned("x", y) for x, y in zip(truths, errors, strict=True)]
    return posed(reports, truths, ids, degrees=errors)


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([0.0] * 3, (False, False)),
        ([29.9] + [180.0] * 9, (False, False)),  # what comes later is a flip
        ([180.0] * 20, (True, False)),
        ([180.0] * 9 + [5.0] * 9, (True, True)),
        ([180.0] * 11 + [5.0] * 9, (True, False)),  # too late: images are 0.1 s apart
        ([180.0, 5.0] + [180.0] * 18, (True, False)),  # not for long
        ([float("inf")] * 5 + [5.0] * 15, (True, True)),  # it was of another category
    ],
)
def test_a_wrong_first_mode_is_to_be_mended_within_a_second(errors, expected):
    samples = off_by([0.0 if x == float("inf") else x for x in errors])
    samples = [replace(x, degrees=y) for x, y in zip(samples, errors, strict=True)]
    assert modes_of(samples) == [expected]


def test_each_track_has_a_first_mode_of_its_own():
    assert modes_of(off_by([180.0, 180.0, 5.0, 5.0], [1, 1, 2, 2])) == [
        (True, False),
        (False, False),
    ]
    assert modes_of(history([None, HIDDEN, PARTLY])) == []


def mug(yaws, handle_from):
    """A mug at rest, reported with some yaws; its handle is seen from an image on."""
    samples = posed([turned("y", x) for x in yaws])
    return [
        replace(x, symmetric_about_y=i < handle_from, degrees=0.0 if i < handle_from else yaws[i])
        for i, x in enumerate(samples)
    ]


def test_a_guessed_handle_is_judged_where_it_is_seen():
    guessed = [90.0] * 30
    assert modes_of(mug(guessed, handle_from=99)) == [(False, False)]  # nobody ever knows
    assert modes_of(mug(guessed, handle_from=15)) == [(True, False)]
    # The second begins with the first view of the handle.
    assert modes_of(mug([90.0] * 20 + [0.0] * 10, handle_from=15)) == [(True, True)]
    assert modes_of(mug([90.0] * 27 + [0.0] * 3, handle_from=15)) == [(True, False)]
    assert modes_of(mug([10.0] * 30, handle_from=15)) == [(False, False)]


def test_a_mug_upside_down_is_wrong_without_its_handle():
    samples = [replace(x, symmetric_about_y=True) for x in off_by([180.0] * 3 + [0.0] * 17)]
    samples[-1] = replace(samples[-1], symmetric_about_y=False)
    assert modes_of(samples) == [(True, True)]


# --- drift ---


def life(degrees, centimetres, track_id=1, start_s=0.0, step_s=0.1):
    return [
        TrackSample(
            start_s + step_s * i,
            visible=True,
            hidden=False,
            track_id=track_id,
            degrees=degrees[i],
            centimetres=centimetres[i],
        )
        for i in range(len(degrees))
    ]


def test_drift_is_the_last_quarter_minus_the_first_after_settling():
    # 0.5 s, five frames, to settle; then four quarters of four.
    degrees = [90.0] * 5 + [1.0, 2.0, 3.0, 50.0] + [7.0] * 8 + [4.0, 5.0, 6.0, 60.0]
    centimetres = [9.0] * 5 + [0.5] * 4 + [3.0] * 8 + [0.4] * 4
    found = drift([life(degrees, centimetres)])
    assert found.degrees == pytest.approx(5.5 - 2.5)
    assert found.centimetres == pytest.approx(-0.1)
    assert found.tracks == 1


def test_drift_is_the_median_over_tracks_and_short_ones_have_none():
    def growing(by):
        return [0.0] * 13 + [by] * 12

    histories = [
        life(growing(1.0), growing(0.1)),
        life(growing(2.0), growing(0.3)) + life(growing(30.0), growing(3.0), 2, start_s=9.0),
        life([5.0] * 20, [5.0] * 20),  # 15 frames after settling
    ]
    found = drift(histories)
    assert (found.degrees, found.tracks) == (2.0, 3)
    assert found.centimetres == pytest.approx(0.3)


def test_frames_without_the_object_do_not_count_for_drift():
    steady = life([1.0] * 30, [1.0] * 30)
    assert drift([steady[:15] + history([HIDDEN] * 9 + [None] * 4) + steady[15:]]).degrees == 0.0


def test_no_drift_without_tracks():
    found = drift([history([None] * 40)])
    assert (found.degrees, found.centimetres, found.tracks) == (None, None, 0)
