"""The plane that an object stands on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdfpose_core.observation.support_plane import SupportPlane, find_support


def table(rng, tilt_deg=40.0, count=900, noise_m=0.001):
    """Points of a plane 0.8 m before the camera that rises away from it, and its normal."""
    tilt = np.deg2rad(tilt_deg)
    normal = np.array([0.0, -np.cos(tilt), -np.sin(tilt)])
    along = np.array([0.0, -np.sin(tilt), np.cos(tilt)])
    u, v = rng.uniform(-0.25, 0.25, (2, count))
    points = np.array([0.0, 0.1, 0.8]) + u[:, None] * [1.0, 0.0, 0.0] + v[:, None] * along
    points += noise_m * rng.normal(size=(count, 1)) * normal
    return points.astype(np.float32), normal


def standing(rng, normal, height_m=0.12, count=300):
    """Points of an object that stands on the plane's middle."""
    middle = np.array([0.0, 0.1, 0.8])
    spread = 0.03 * rng.uniform(-1.0, 1.0, (count, 3))
    spread -= (spread @ normal)[:, None] * normal
    return (middle + spread + rng.uniform(0.0, height_m, (count, 1)) * normal).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(tilt=st.floats(12.0, 85.0), seed=st.integers(0, 1000))
def test_a_table_among_other_things(tilt, seed):
    rng = np.random.default_rng(seed)
    around, normal = table(rng, tilt)
    clutter = rng.uniform((-0.15, -0.15, 0.65), (0.15, 0.15, 0.95), (300, 3))
    clutter = clutter[(clutter - [0.0, 0.1, 0.8]) @ normal > 0.0]
    found = find_support(
        np.concatenate([around, clutter.astype(np.float32)]), standing(rng, normal), 0.15
    )
    assert np.degrees(np.arccos(min(found.normal @ normal, 1.0))) < 0.5
    assert np.abs(np.median(found.height(around))) < 0.002
    assert found.height(np.zeros((1, 3), np.float32))[0] > 0.0  # the camera is in front


def test_heights_are_metres_along_the_normal():
    plane = SupportPlane(np.array([0.0, 0.0, -1.0], np.float32), -0.9)
    assert plane.height(np.array([[5.0, 5.0, 0.7]], np.float32)) == pytest.approx([0.2])


def test_what_lies_within_the_noise_is_rather_the_planes():
    plane = SupportPlane(np.array([0.0, 0.0, -1.0], np.float32), -1.0, noise=0.002)
    z = np.array([1.0, 0.997, 0.995, 1.01], np.float32)  # 0, 3 and 5 mm above it, 10 mm below
    points = np.stack([0 * z, 0 * z, z], axis=1)
    assert plane.holds(points, 0.01).tolist() == [True, True, False, True]
    assert plane.holds(points, 0.001).tolist() == [True, False, False, True]


@pytest.mark.parametrize("noise_m", [0.0005, 0.002])
def test_the_noise_of_the_measured_plane(noise_m):
    around, normal = table(np.random.default_rng(0), noise_m=noise_m)
    found = find_support(around, standing(np.random.default_rng(1), normal), 0.15)
    assert found.noise == pytest.approx(noise_m / 0.8**2, rel=0.15)


@settings(max_examples=20, deadline=None)
@given(tilt=st.floats(12.0, 85.0), seed=st.integers(0, 1000))
def test_the_plane_that_another_object_stands_on_is_found_again(tilt, seed):
    """From a plane that is 3 mm off, as from none."""
    rng = np.random.default_rng(seed)
    around, normal = table(rng, tilt)
    points = standing(rng, normal)
    expected = find_support(around, points, 0.15)
    near = SupportPlane(expected.normal, expected.offset + 0.003)
    found = find_support(around, points, 0.15, [near])
    np.testing.assert_allclose(found.normal, expected.normal, atol=1e-3)
    assert found.offset == pytest.approx(expected.offset, abs=5e-4)


def test_a_likely_plane_that_another_may_outdo_is_passed_over():
    """A shelf holds some of the points; the object stands on the table."""
    rng = np.random.default_rng(0)
    around, normal = table(rng)
    points = standing(rng, normal)
    shelf = around[:300] - (0.4 * normal).astype(np.float32)
    shelf_plane = SupportPlane(normal.astype(np.float32), float(np.median(shelf @ normal)))
    everything = np.concatenate([around, shelf])
    expected = find_support(everything, points, 0.15)
    found = find_support(everything, points, 0.15, [shelf_plane])
    assert found.offset == expected.offset
    assert (found.normal == expected.normal).all()


def test_a_plane_in_front_of_the_object_does_not_support_it():
    rng = np.random.default_rng(0)
    around, normal = table(rng)
    assert (
        find_support(around, standing(rng, normal) - 0.2 * normal.astype(np.float32), 0.15) is None
    )


def test_a_plane_far_below_the_object_does_not_support_it():
    rng = np.random.default_rng(0)
    around, normal = table(rng)
    assert (
        find_support(around, standing(rng, normal) + 0.3 * normal.astype(np.float32), 0.15) is None
    )


@pytest.mark.parametrize("count", [0, 3, 99])
def test_too_little_is_no_plane(count):
    rng = np.random.default_rng(0)
    around, normal = table(rng)
    assert find_support(around[:count], standing(rng, normal), 0.15) is None


def test_a_cloud_is_no_plane():
    rng = np.random.default_rng(0)
    cloud = rng.uniform(-0.3, 0.3, (2000, 3)).astype(np.float32) + np.float32([0, 0, 1])
    assert find_support(cloud, cloud[:100] * 0.1 + np.float32([0, 0, 0.9]), 0.15) is None


def test_the_same_input_gives_the_same_plane():
    rng = np.random.default_rng(3)
    around, normal = table(rng, count=3000)
    points = standing(rng, normal)
    one, two = (find_support(around, points, 0.15) for _ in range(2))
    assert np.array_equal(one.normal, two.normal)
    assert one.offset == two.offset
