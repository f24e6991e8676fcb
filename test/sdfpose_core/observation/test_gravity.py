"""The low-pass filter of an accelerometer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdfpose_core.observation.gravity import GravityFilter, contradicted
from sdfpose_core.observation.support_plane import SupportPlane

SECOND_NS = 1_000_000_000
DOWN_IMAGE = np.array([0.0, -9.81, 0.0])
"""A level camera at rest: y points down."""

TILT = math.radians(10.0)
TILTED = 9.81 * np.array([0.0, -math.cos(TILT), math.sin(TILT)])


def filled(*samples, period_ns=SECOND_NS // 100, start_ns=0):
    gravity = GravityFilter()
    for i, x in enumerate(samples):
        gravity.add(x, start_ns + i * period_ns)
    return gravity


def test_a_level_camera_at_rest_sees_up_in_the_direction_of_minus_y():
    up = filled(*[DOWN_IMAGE] * 10).up(SECOND_NS // 10)
    np.testing.assert_allclose(up, [0.0, -1.0, 0.0], atol=1e-12)


@pytest.mark.parametrize("rate_hz", [50, 400])
def test_a_step_fades_in_with_the_time_constant_at_every_rate(rate_hz):
    """After half a second, 1 - 1/e of it."""
    period_ns = SECOND_NS // rate_hz
    samples = [DOWN_IMAGE] + [TILTED] * rate_hz
    up = filled(*samples, period_ns=period_ns).up(SECOND_NS // 2)
    share = 1.0 - math.exp(-1.0)
    expected = DOWN_IMAGE + share * (TILTED - DOWN_IMAGE)
    np.testing.assert_allclose(up, expected / np.linalg.norm(expected), atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(
    factor=st.one_of(
        st.floats(0.0, 0.89), st.floats(1.11, 10.0), st.sampled_from([math.nan, math.inf])
    )
)
def test_a_sample_that_shows_motion_changes_nothing(factor):
    gravity = filled(*[DOWN_IMAGE] * 10)
    before = gravity.up(SECOND_NS)
    with np.errstate(invalid="ignore"):
        gravity.add(factor * TILTED, SECOND_NS // 2)
    np.testing.assert_array_equal(gravity.up(SECOND_NS), before)


def test_a_silent_imu_says_nothing_after_a_second():
    gravity = filled(DOWN_IMAGE)
    assert gravity.up(SECOND_NS) is not None
    assert gravity.up(SECOND_NS + 1) is None
    assert GravityFilter().up(0) is None


def test_an_image_that_is_processed_late_gets_the_direction_of_its_own_time():
    gravity = filled(DOWN_IMAGE, *[TILTED] * 300)
    np.testing.assert_allclose(gravity.up(0), [0.0, -1.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(gravity.up(3 * SECOND_NS), TILTED / 9.81, atol=1e-3)
    assert gravity.up(-1) is None


def test_what_came_later_is_forgotten_when_time_jumps_back():
    gravity = filled(*[TILTED] * 10, start_ns=100 * SECOND_NS)
    gravity.add(DOWN_IMAGE, SECOND_NS)
    assert gravity.up(100 * SECOND_NS) is None
    np.testing.assert_allclose(gravity.up(SECOND_NS), [0.0, -1.0, 0.0], atol=1e-12)


def test_only_ten_seconds_are_kept():
    gravity = filled(*[DOWN_IMAGE] * 1200)
    assert gravity.up(SECOND_NS) is None
    assert gravity.up(3 * SECOND_NS) is not None


def plane(degrees):
    """A plane that a camera sees under an angle: 0 is a wall ahead, 90 a table, -90 a ceiling."""
    a = math.radians(degrees)
    return SupportPlane(np.array([0.0, -math.sin(a), -math.cos(a)], np.float32), -1.0)


@settings(max_examples=50, deadline=None)
@given(st.floats(20.0, 110.0), st.floats(-180.0, 180.0))
def test_a_table_contradicts_what_is_neither_along_nor_across_its_normal(table, off):
    up = -plane(table + 180.0 + off).normal.astype(np.float64)
    cosine = abs(math.cos(math.radians(off)))
    if abs(cosine - math.cos(math.radians(15.0))) < 1e-3:
        return
    if abs(cosine - math.sin(math.radians(15.0))) < 1e-3:
        return
    level = abs(off) < 15.0
    across = abs(abs(off) - 90.0) < 15.0
    assert contradicted(up, [plane(table)]) == (not level and not across)


def test_one_level_plane_is_enough_and_walls_and_ceilings_contradict_nothing():
    up = plane(90.0).normal.astype(np.float64)
    assert not contradicted(up, [])
    assert not contradicted(up, [plane(45.0), plane(90.0)])
    assert not contradicted(up, [plane(0.0)])
    assert not contradicted(up, [plane(-80.0)])
    assert contradicted(up, [plane(0.0), plane(45.0)])
