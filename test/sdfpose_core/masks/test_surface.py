from __future__ import annotations

import numpy as np
import pytest

from sdfpose_core.masks.surface import find_surface


def grid(width_m, depth_m, at, spacing_m=0.01):
    """Points of a level rectangle below and before the camera (y down)."""
    x, z = np.meshgrid(
        np.arange(-0.5 * width_m, 0.5 * width_m, spacing_m),
        np.arange(-0.5 * depth_m, 0.5 * depth_m, spacing_m),
    )
    points = np.stack([x, np.zeros_like(x), z], axis=-1).reshape(-1, 3)
    return (points + at).astype(np.float32)


TABLE = grid(1.0, 0.6, (0.0, 0.4, 1.0))
WALL = grid(2.0, 1.0, (0.0, 1.8, 0.0))[:, [0, 2, 1]] - np.float32([0.0, 0.4, 0.0])


def test_the_normal_points_to_the_camera():
    surface = find_surface(TABLE, 0.15, 0.0)
    np.testing.assert_allclose(surface.plane.normal, [0.0, -1.0, 0.0], atol=1e-5)
    assert surface.plane.offset == pytest.approx(-0.4)
    assert surface.plane.height(np.zeros((1, 3), np.float32))[0] == pytest.approx(0.4)


def test_a_table_counts_for_more_than_a_wall():
    thin = WALL[::2]
    assert len(thin) > len(TABLE)
    surface = find_surface(np.concatenate([TABLE, thin]), 0.15, 0.0)
    assert surface.plane.normal[1] == pytest.approx(-1.0, abs=1e-3)


def test_a_wall_is_found_where_there_is_nothing_else():
    surface = find_surface(WALL, 0.15, 0.0)
    assert surface.plane.normal[2] == pytest.approx(-1.0, abs=1e-3)


def test_the_area_ends_at_the_edge_and_has_no_hole_under_an_object():
    hidden = np.abs(TABLE - [0.1, 0.4, 1.0])[:, [0, 2]].max(axis=1) < 0.15
    surface = find_surface(TABLE[~hidden], 0.15, 0.04)
    above = np.array([
        [0.1, 0.3, 1.0],  # over the hole
        [0.52, 0.2, 1.0],  # over the edge, within the margin
        [0.60, 0.4, 1.0],
        [0.0, 0.4, 1.5],
    ], dtype=np.float32)  # fmt: skip
    assert surface.supports(above).tolist() == [True, True, False, False]


def test_another_surface_at_the_same_height_does_not_belong_to_it():
    other = grid(0.3, 0.3, (1.5, 0.4, 1.0))
    surface = find_surface(np.concatenate([TABLE, other]), 0.15, 0.04)
    between_and_on = np.array([[1.0, 0.3, 1.0], [1.5, 0.3, 1.0]], dtype=np.float32)
    assert not surface.supports(between_and_on).any()


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((0, 3), np.float32),
        np.ones((500, 3), np.float32) * np.float32([0.0, 0.0, 1.0]),
        grid(1.0, 0.6, (0.0, 0.001, 1.0)),
        np.random.default_rng(0).uniform([-1, -1, 1], [1, 1, 3], (5000, 3)),
    ],
    ids=["no points", "one place", "edge-on", "a cloud"],
)
def test_what_is_no_plane(points):
    surface = find_surface(points.astype(np.float32), 0.15, 0.04)
    assert surface is None


def test_noise_is_measured():
    rng = np.random.default_rng(0)
    noisy = TABLE + np.float32([0.0, 1.0, 0.0]) * rng.normal(
        scale=0.002, size=(len(TABLE), 1)
    ).astype(np.float32)
    surface = find_surface(noisy, 0.15, 0.0)
    assert surface.plane.noise == pytest.approx(0.002, rel=0.3)
