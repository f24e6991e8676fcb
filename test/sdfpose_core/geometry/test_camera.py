import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdfpose_core.errors import FrameError
from sdfpose_core.geometry.camera import PinholeCamera


def number(low, high):
    return st.floats(low, high, allow_nan=False)


cameras = st.builds(
    PinholeCamera,
    width=st.integers(1, 2000),
    height=st.integers(1, 2000),
    fx=number(10, 3000),
    fy=number(10, 3000),
    cx=number(-100, 2000),
    cy=number(-100, 2000),
)
points = st.tuples(number(-3, 3), number(-3, 3), number(0.1, 10)).map(np.array)
CAMERA = PinholeCamera(width=640, height=480, fx=600.0, fy=590.0, cx=320.0, cy=240.0)


def test_known_pixels():
    np.testing.assert_allclose(CAMERA.project(np.array([0.0, 0.0, 2.0])), [320.0, 240.0])
    # One metre to the right and one down at two metres: half a focal length each.
    np.testing.assert_allclose(CAMERA.project(np.array([1.0, 1.0, 2.0])), [620.0, 535.0])
    np.testing.assert_allclose(
        CAMERA.rays(np.array([[320, 240], [920, 240]])), [[0, 0, 1], [1, 0, 1]]
    )
    np.testing.assert_allclose(
        CAMERA.back_project(np.array([920, 830]), np.array(0.5)), [0.5, 0.5, 0.5]
    )


@given(cameras, points)
def test_back_projection_undoes_projection(camera, point):
    pixel = camera.project(point)
    np.testing.assert_allclose(
        camera.back_project(pixel, point[2]), point, rtol=1e-5, atol=1e-5 * point[2]
    )


@given(cameras, points, st.integers(-50, 50), st.integers(-50, 50))
def test_a_crop_moves_pixels_by_its_corner(camera, point, left, top):
    cropped = camera.crop(left, top, 30, 20)
    assert (cropped.width, cropped.height) == (30, 20)
    np.testing.assert_allclose(
        cropped.project(point), camera.project(point) - np.array([left, top]), rtol=1e-9, atol=1e-6
    )


@given(cameras, points, st.integers(1, 3000), st.integers(1, 3000))
def test_resizing_keeps_the_edges_of_the_image(camera, point, width, height):
    resized = camera.resize(width, height)
    before = (camera.project(point) + 0.5) / [camera.width, camera.height]
    after = (resized.project(point) + 0.5) / [width, height]
    np.testing.assert_allclose(after, before, rtol=1e-9, atol=1e-9)


@given(cameras, st.integers(1, 3000), st.integers(1, 3000))
def test_resizing_back_gives_the_same_camera(camera, width, height):
    again = camera.resize(width, height).resize(camera.width, camera.height)
    np.testing.assert_allclose(again.matrix, camera.matrix, rtol=1e-9, atol=1e-6)


def test_halving_an_image_averages_pairs_of_pixel_centres():
    half = CAMERA.resize(320, 240)
    # Pixel centres 0 and 1 become the centre 0 of the small image.
    assert half.cx == pytest.approx((CAMERA.cx - 0.5) / 2)
    assert half.fx == pytest.approx(CAMERA.fx / 2)


def test_the_matrix_is_read_back():
    again = PinholeCamera.from_matrix(CAMERA.matrix, 640, 480)
    assert again == CAMERA
    assert PinholeCamera.from_matrix(CAMERA.matrix.tolist(), 640, 480) == CAMERA


def test_the_pixel_grid_holds_column_and_row():
    grid = CAMERA.crop(0, 0, 4, 3).pixel_grid()
    assert grid.shape == (3, 4, 2)
    assert grid[2, 1].tolist() == [1, 2]
    assert np.issubdtype(grid.dtype, np.integer)


def test_pixels_reach_half_a_pixel_beyond_their_centres():
    inside = [[-0.5, -0.5], [0, 0], [639.4, 479.4]]
    outside = [[-0.6, 0], [0, -0.6], [639.5, 0], [0, 479.5]]
    assert CAMERA.contains(np.array(inside)).all()
    assert not CAMERA.contains(np.array(outside)).any()
    assert CAMERA.contains((3, 4))


@pytest.mark.parametrize("size", [(0, 480), (640, -1)])
def test_an_empty_image_is_refused(size):
    with pytest.raises(FrameError, match=rf"camera size is {size[0]}x{size[1]}: expected a pos"):
        PinholeCamera(*size, 600.0, 600.0, 320.0, 240.0)


@pytest.mark.parametrize("wrong", [0.0, -600.0, math.nan, math.inf])
def test_unusable_intrinsics_are_refused(wrong):
    with pytest.raises(FrameError, match=r"intrinsics fx=.* are invalid: .*calibrated\?"):
        PinholeCamera(640, 480, wrong, 600.0, 320.0, 240.0)
    with pytest.raises(FrameError, match="are invalid"):
        PinholeCamera(640, 480, 600.0, wrong, 320.0, 240.0)


def test_a_matrix_of_zeros_or_of_another_shape_is_refused():
    with pytest.raises(FrameError, match="are invalid: expected finite values and positive focal"):
        PinholeCamera.from_matrix(np.zeros((3, 3)), 640, 480)
    with pytest.raises(FrameError, match=r"matrix has shape \(3, 4\): expected \(3, 3\)"):
        PinholeCamera.from_matrix(np.zeros((3, 4)), 640, 480)
    with pytest.raises(FrameError, match="cx=nan"):
        PinholeCamera(640, 480, 600.0, 600.0, math.nan, 240.0)


@pytest.mark.parametrize("intrinsics", [(1e-320, 500.0, 1.0, 1.0), (500.0, 500.0, 1e308, 1.0)])
def test_intrinsics_of_no_camera(intrinsics):
    """Lengths that are computed from them would overflow."""
    with pytest.raises(FrameError, match="are of no camera: expected pixels"):
        PinholeCamera(4, 3, *intrinsics)
