"""Holes that the post-processing of a depth camera fills."""

from __future__ import annotations

import numpy as np
import pytest

from sdfpose_core.simulation.depth_filling import filled


def slope():
    """A plane that recedes to the right."""
    return np.broadcast_to(np.linspace(1.0, 2.0, 101, dtype=np.float32), (60, 101)).copy()


def test_a_hole_in_a_plane_gets_the_plane_s_depth():
    depth = slope()
    depth[20:28, 40:48] = 0.0
    np.testing.assert_allclose(filled(depth, 12, far=False), slope(), atol=1e-6)


def test_a_hole_gets_the_farther_depth_of_its_ends():
    depth = slope()
    depth[20:28, 40:48] = 0.0
    out = filled(depth, 12, far=True)
    np.testing.assert_array_equal(out[20:28, 40:48], slope()[20:28, 48:49].repeat(8, axis=1))


def test_the_middle_of_a_large_hole_and_the_border_stay_missing():
    depth = slope()
    depth[10:50, 20:80] = 0.0
    depth[:, 95:] = 0.0
    out = filled(depth, 8, far=False)
    assert (out[20:40, 30:70] == 0.0).all()
    assert (out[:, 95:] == 0.0).all()


@pytest.mark.parametrize("far", [False, True])
def test_measured_pixels_stay(far):
    rng = np.random.default_rng(0)
    depth = rng.uniform(0.5, 2.0, (60, 80)).astype(np.float32)
    depth[rng.random(depth.shape) < 0.3] = 0.0
    out = filled(depth, 6, far=far)
    np.testing.assert_array_equal(out[depth > 0.0], depth[depth > 0.0])
    assert (out == 0.0).mean() < 0.02
