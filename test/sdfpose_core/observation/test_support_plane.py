"""The plane that an object stands on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdfpose_core.observation.support_plane import SupportPlane, dominant_planes, find_supports


def find_support(around, points, diagonal_m, *planes):
    """The support of an object of one size."""
    (found,) = find_supports(around, points, [diagonal_m], *planes)
    return found


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


@settings(max_examples=60, deadline=None)
@given(
    tilt=st.floats(12.0, 85.0),
    alike=st.integers(0, 360),
    line=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_points_that_coincide_or_lie_on_a_line_make_no_plane(tilt, alike, line, seed):
    """The table holds half of the other points, too few for least squares through all of them.

    A real plane goes through any line and a third point, so lines have to be a little shorter.
    """
    rng = np.random.default_rng(seed)
    alike = alike // 2 if line else alike
    around, normal = table(rng, tilt, count=(900 - alike) // 2)
    clutter = rng.uniform((-0.2, -0.2, 0.5), (0.2, 0.2, 1.1), (8000, 3))
    clutter = clutter[(clutter - [0.0, 0.1, 0.8]) @ normal > 0.02][: len(around)]
    along = np.linspace(0.0, 0.2 if line else 0.0, alike)[:, None]
    degenerate = np.array([0.05, -0.05, 0.65]) + along * [-0.6, 0.0, 0.8]
    cloud = rng.permutation(np.concatenate([around, clutter, degenerate]).astype(np.float32))
    planes = dominant_planes(cloud)
    found = find_support(cloud, standing(rng, normal), 0.15)
    nearest = max(planes, key=lambda x: x.normal @ normal)
    for plane in (found, nearest):
        assert np.degrees(np.arccos(min(plane.normal @ normal, 1.0))) < 1.5
        assert np.abs(np.median(plane.height(around))) < 0.003
    for plane in planes:  # the points of each spread over an area
        near = cloud[np.abs(plane.height(cloud)) < 0.006]
        assert np.linalg.eigvalsh(np.cov(near.T))[1] > 0.005**2


@pytest.mark.parametrize("degenerate", ["point", "line"])
def test_nothing_but_a_point_or_a_line_is_no_plane(degenerate):
    along = np.linspace(0.0, 0.3 if degenerate == "line" else 0.0, 500)[:, None]
    cloud = (np.array([0.1, 0.1, 0.7]) + along * [0.6, 0.0, 0.8]).astype(np.float32)
    assert dominant_planes(cloud) == []
    assert find_support(cloud, cloud[:100], 0.15) is None


def test_planes_that_point_up_come_before_larger_ones():
    rng = np.random.default_rng(0)
    ground, normal = table(rng, count=600)
    wall = rng.uniform((-1.0, -1.0, 1.5), (1.0, 1.0, 1.5), (1400, 3)).astype(np.float32)
    first, second = dominant_planes(np.concatenate([wall, ground]))
    assert first.normal @ normal > 0.999
    assert second.normal == pytest.approx([0.0, 0.0, -1.0], abs=0.01)
    # With gravity known, the image's vertical counts for nothing.
    up = np.array([0.0, 0.0, -1.0])
    assert dominant_planes(np.concatenate([wall, ground]), up)[0].normal[2] < -0.99


def test_the_planes_of_the_image_come_before_those_around_the_object():
    """A board holds most of the points around the object."""
    rng = np.random.default_rng(0)
    around, normal = table(rng, count=250)
    tilted, _ = table(rng, 75.0, count=650)
    board = tilted + np.float32([0.1, 0.0, 0.0]) - (0.05 * normal).astype(np.float32)
    everything, points = np.concatenate([around, board]), standing(rng, normal)
    desk = SupportPlane(normal.astype(np.float32), float(np.median(around @ normal)), 0.001)
    found = find_support(everything, points, 0.15, [desk])
    np.testing.assert_array_equal(found.normal, desk.normal)
    assert found.offset == pytest.approx(desk.offset, abs=1e-3)


def test_the_points_around_the_object_adjust_the_offset():
    rng = np.random.default_rng(0)
    around, normal = table(rng)
    plane = SupportPlane(normal.astype(np.float32), float(np.median(around @ normal)), 0.001)
    biased = SupportPlane(plane.normal, plane.offset + 0.003, plane.noise)
    found = find_support(around, standing(rng, normal), 0.15, [biased])
    assert found.offset == pytest.approx(plane.offset, abs=5e-4)
    assert found.noise == plane.noise


def test_a_plane_of_the_image_far_below_gives_way_to_one_around_the_object():
    """The floor is the image's plane; the object stands on a table."""
    rng = np.random.default_rng(0)
    around, normal = table(rng)
    floor = SupportPlane(normal.astype(np.float32), float(np.median(around @ normal)) - 0.7)
    found = find_support(around, standing(rng, normal), 0.15, [floor])
    assert np.abs(np.median(found.height(around))) < 0.002


def test_a_plane_of_the_image_needs_no_points_around_the_object():
    rng = np.random.default_rng(0)
    around, normal = table(rng)
    desk = SupportPlane(normal.astype(np.float32), float(np.median(around @ normal)))
    found = find_support(around[:0], standing(rng, normal), 0.15, [desk])
    assert found.offset == desk.offset


@pytest.mark.parametrize(
    ("normal", "up"),
    [
        ((0.0, -1.0, 0.0), True),
        ((0.0, -0.5, -0.866), True),
        ((0.0, 0.05, -0.999), True),  # the camera looks straight down
        ((0.0, 0.3, -0.954), False),  # a wall, seen by a camera that looks down a little
        ((1.0, 0.0, 0.0), False),
        ((0.0, 1.0, 0.0), False),
    ],
)
def test_only_a_table_tells_where_up_is(normal, up):
    plane = SupportPlane(np.array(normal, np.float32), -1.0)
    assert (plane.up is not None) == up


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


def test_each_size_has_the_support_that_it_has_alone():
    """A floor half a metre below is near to a large object only."""
    rng = np.random.default_rng(3)
    around, normal = table(rng)
    floor = SupportPlane(normal.astype(np.float32), float(normal @ [0.0, 0.1, 0.8]) - 0.1)
    points = standing(rng, normal) + 0.05 * normal.astype(np.float32)
    sizes = [0.05, 0.5, 0.15, 0.05]
    together = find_supports(around, points, sizes, [floor])
    for size, found in zip(sizes, together, strict=True):
        alone = find_support(around, points, size, [floor])
        assert (found is None) == (alone is None)
        if found is not None and alone is not None:
            np.testing.assert_array_equal(found.normal, alone.normal)
            assert found.offset == alone.offset
    assert together[0] is None
    assert together[1] is not None
