from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from sdfpose_core.errors import FrameError
from sdfpose_core.masks.polygons import MIN_POINTS, polygon_mask

SHAPE = (30, 40)


def rectangle(x0, y0, x1, y1):
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float64)


def test_the_border_belongs_to_the_polygon():
    expected = np.zeros(SHAPE, np.bool_)
    expected[5:16, 10:31] = True
    np.testing.assert_array_equal(polygon_mask(rectangle(10, 5, 30, 15), SHAPE), expected)


@given(arrays(np.uint8, (12, 15), elements=st.integers(0, 1)))
def test_contours_of_opencv_become_the_pieces_they_are_of(mask):
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    pieces, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    for contour in (x.reshape(-1, 2) for x in contours):
        if len(contour) >= MIN_POINTS:
            piece = pieces == pieces[contour[0, 1], contour[0, 0]]
            np.testing.assert_array_equal(
                polygon_mask(contour.astype(np.float64), mask.shape),
                ndimage.binary_fill_holes(piece),
            )


@given(st.integers(-40, 60), st.integers(-40, 60), st.integers(0, 60), st.integers(0, 60))
def test_what_lies_outside_the_image_is_cut_off(x, y, width, height):
    v, u = np.indices(SHAPE)
    np.testing.assert_array_equal(
        polygon_mask(rectangle(x, y, x + width, y + height), SHAPE),
        (u >= x) & (u <= x + width) & (v >= y) & (v <= y + height),
    )


def test_far_away_points_take_no_time_and_cover_the_image():
    assert polygon_mask(1e9 * rectangle(-1, -1, 1, 1), SHAPE).all()
    assert not polygon_mask(rectangle(1e9, 1e9, 2e9, 2e9), SHAPE).any()


def test_a_polygon_that_crosses_itself_has_no_pixel_twice():
    cross = np.array([[5, 5], [25, 25], [25, 5], [5, 25]], dtype=np.float64)
    mask = polygon_mask(cross, SHAPE)
    assert mask[[12, 12], [7, 23]].all()
    assert not mask[[7, 23], [15, 15]].any()


@pytest.mark.parametrize(
    ("points", "told"),
    [
        (np.zeros((0, 2)), r"shape \(0, 2\).*at least 3"),
        (np.zeros((2, 2)), r"shape \(2, 2\).*at least 3"),
        (np.zeros((4, 3)), r"shape \(4, 3\)"),
        (np.array([[0.0, 0.0], [1.0, np.nan], [2.0, 0.0]]), "not finite"),
        (np.array([[0.0, 0.0], [1.0, np.inf], [2.0, 0.0]]), "not finite"),
    ],
)
def test_what_is_no_polygon_is_refused(points, told):
    with pytest.raises(FrameError, match=told):
        polygon_mask(points, SHAPE)
