"""Whether a mug's handle is visible."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdfpose_core.shapes.body import BodyProfile

RADIUS, HEIGHT = 0.04, 0.1
BODY = BodyProfile(0.0, np.array([-0.5 * HEIGHT, 0.5 * HEIGHT]), np.array([RADIUS, RADIUS]))


def body(rng, noise_m, count=3000):
    """Points of the side that faces a camera at +z, evenly spread over its image."""
    x = RADIUS * rng.uniform(-1.0, 1.0, count)
    y = 0.5 * HEIGHT * rng.uniform(-1.0, 1.0, count)
    z = np.sqrt(RADIUS**2 - x**2) + noise_m * rng.normal(size=count)
    return np.stack([x, y, z], axis=1)


def handle(rng, count, azimuth_deg, noise_m=0.0, reach_m=0.03):
    """Points 3 to 30 mm outside the body, 1 cm wide."""
    distance = RADIUS + rng.uniform(0.003, reach_m, count)
    across, azimuth = rng.uniform(-0.005, 0.005, count), np.deg2rad(azimuth_deg)
    x = distance * np.cos(azimuth) - across * np.sin(azimuth)
    z = distance * np.sin(azimuth) + across * np.cos(azimuth)
    y = 0.03 * rng.uniform(-1.0, 1.0, count)
    return np.stack([x, y, z + noise_m * rng.normal(size=count)], axis=1)


def margin(noise_m):
    return 0.002 + 2.0 * noise_m


@settings(max_examples=30, deadline=None)
@given(noise_m=st.floats(0.002, 0.004), seed=st.integers(0, 1000))
def test_noise_is_no_handle(noise_m, seed):
    points = body(np.random.default_rng(seed), noise_m)
    assert np.count_nonzero(BODY.outside(points)) > 0.04 * len(points)
    assert not BODY.handle_visible(points, margin_m=margin(noise_m))


@settings(max_examples=30, deadline=None)
@given(azimuth=st.floats(-30.0, 210.0), noise_m=st.floats(0.0, 0.004), seed=st.integers(0, 1000))
def test_a_handle_is_visible_through_noise(azimuth, noise_m, seed):
    rng = np.random.default_rng(seed)
    points = np.concatenate([body(rng, noise_m), handle(rng, 400, azimuth, noise_m)])
    assert BODY.handle_visible(points, margin_m=margin(noise_m))


@settings(max_examples=30, deadline=None)
@given(noise_m=st.floats(0.0, 0.004), seed=st.integers(0, 1000))
def test_a_partly_occluded_handle_is_visible(noise_m, seed):
    """A third of its pixels is left, and two thirds of the body's."""
    rng = np.random.default_rng(seed)
    points = np.concatenate([body(rng, noise_m, 2000), handle(rng, 130, 0.0, noise_m)])
    assert BODY.handle_visible(points, margin_m=margin(noise_m))


def test_as_many_points_all_around_are_no_handle():
    """Outside the body, they are spread as the body's own points are."""
    rng = np.random.default_rng(0)
    azimuths = np.degrees(np.arccos(np.linspace(-0.95, 0.95, 20)))
    spread = np.concatenate([handle(rng, 10, x) for x in azimuths])
    assert not BODY.handle_visible(np.concatenate([body(rng, 0.0), spread]))
    assert BODY.handle_visible(np.concatenate([body(rng, 0.0), handle(rng, len(spread), 90.0)]))


@pytest.mark.parametrize(("count", "seen"), [(29, False), (31, True)])
def test_a_visible_handle_has_thirty_pixels(count, seen):
    rng = np.random.default_rng(0)
    points = np.concatenate([body(rng, 0.0, 1000), handle(rng, count, 0.0)])
    assert BODY.handle_visible(points) == seen


@pytest.mark.parametrize(("share", "seen"), [(0.008, False), (0.012, True)])
def test_a_visible_handle_has_a_hundredth_of_the_pixels(share, seen):
    rng = np.random.default_rng(0)
    points = np.concatenate([body(rng, 0.0, 10_000), handle(rng, round(10_000 * share), 0.0)])
    assert BODY.handle_visible(points) == seen


def test_what_lies_below_or_far_beside_the_body_is_no_handle():
    rng = np.random.default_rng(0)
    table = handle(rng, 300, 0.0) + np.array([0.0, -HEIGHT, 0.0])
    neighbour = handle(rng, 300, 0.0) + np.array([1.6 * RADIUS, 0.0, 0.0])
    for leaked in (table, neighbour):
        assert not BODY.handle_visible(np.concatenate([body(rng, 0.0), leaked]))


def test_nothing_seen_is_no_handle():
    assert not BODY.handle_visible(np.zeros((0, 3)))
