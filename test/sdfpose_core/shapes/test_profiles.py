"""Meridians: arcs, offsets and cups against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from sdfpose_core.shapes.profiles import (
    bezier,
    cup,
    fillet_inset,
    join,
    offset_inwards,
    round_corners,
    thin_out,
)


def test_bezier_with_collinear_controls_is_a_straight_line() -> None:
    curve = bezier((0, 0), (1, 1), (2, 2), (3, 3), 10)
    np.testing.assert_allclose(curve[:, 0], curve[:, 1], atol=1e-12)
    np.testing.assert_allclose(curve[[0, -1]], [[0, 0], [3, 3]], atol=1e-12)


def test_rounded_right_angle_is_an_arc_of_the_radius() -> None:
    rounded = round_corners([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]], 0.25, steps=12)
    arc = rounded[1:-1]
    np.testing.assert_allclose(np.hypot(*(arc - [0.75, 0.25]).T), 0.25, rtol=5e-4)
    np.testing.assert_allclose(arc[[0, -1]], [[0.75, 0.0], [1.0, 0.25]], atol=1e-9)


def test_arcs_that_do_not_fit_shrink() -> None:
    square = [[0.0, 0.0], [0.1, 0.0], [0.1, 0.1], [0.0, 0.1]]
    rounded = round_corners(square, 5.0)
    assert np.all(rounded >= -1e-12)
    assert np.all(rounded <= 0.1 + 1e-12)
    assert np.all(np.diff(rounded[:, 1]) >= -1e-12)


def test_zero_radius_keeps_the_corner() -> None:
    corners = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]
    np.testing.assert_array_equal(round_corners(corners, 0.0), corners)


def test_join_drops_repeated_points() -> None:
    joined = join([[0, 0], [1, 0]], [[1, 0], [1, 1]])
    np.testing.assert_array_equal(joined, [[0, 0], [1, 0], [1, 1]])


def test_thinned_curve_stays_within_the_tolerance() -> None:
    angle = np.linspace(0.0, np.pi, 400)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    thin = thin_out(circle, 1e-3)
    assert len(thin) < 80
    between = np.stack(
        [np.interp(angle, np.arctan2(thin[:, 1], thin[:, 0]), thin[:, k]) for k in range(2)]
    )
    assert 1.0 - np.hypot(*between).min() < 1.2e-3


def test_fillet_is_a_quarter_ellipse() -> None:
    y = np.array([0.0, 0.5, 1.0, 2.0])
    inset = fillet_inset(y, radius=2.0, height=1.0)
    np.testing.assert_allclose(inset, [2.0, 2.0 * (1.0 - np.sqrt(0.75)), 0.0, 0.0])


def test_offset_of_a_circle_is_the_smaller_circle() -> None:
    angle = np.linspace(-0.4 * np.pi, 0.0, 200)
    outer = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    inner = offset_inwards(outer, 0.1)
    np.testing.assert_allclose(np.hypot(*inner[2:-2].T), 0.9, atol=1e-4)


@pytest.mark.parametrize("fillet", [0.0, 0.01])
def test_cup_of_a_cylinder(fillet: float) -> None:
    y = np.linspace(0.0, 0.1, 30)
    outer = np.stack([np.full_like(y, 0.04), y], axis=1)
    base = np.array([[0.0, 0.0], [0.04, 0.0]])
    vessel, cavity = cup(base, outer, thickness=0.004, floor=0.006, fillet=fillet)
    np.testing.assert_allclose(vessel[[0, -1]], [[0.0, 0.0], [0.0, 0.006]])
    assert vessel[:, 1].max() == pytest.approx(0.102, abs=1e-4)  # a half-round lip
    assert cavity[:, 0].max() == pytest.approx(0.036, abs=1e-9)
    assert cavity[:, 1].max() > 0.19
