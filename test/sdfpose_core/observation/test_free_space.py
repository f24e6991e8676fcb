import numpy as np
import pytest

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.free_space import FreeSpace, free_space

CAMERA = PinholeCamera(160, 120, 600.0, 590.0, 80.0, 60.0)


def square(side=40):
    """The pixels (N, 2) of a square about the image's middle."""
    v, u = np.mgrid[60 - side // 2 : 60 + side // 2, 80 - side // 2 : 80 + side // 2]
    return np.stack([u.ravel(), v.ravel()], axis=1).astype(np.int32)


def scene(behind=1.5, side=40):
    depth = np.full((120, 160), behind, np.float32)
    pixels = square(side)
    depth[pixels[:, 1], pixels[:, 0]] = 0.8
    return depth, pixels


def cell(free, u, v):
    """Row and column of the cell that shows a pixel, and how far off it is, in cells."""
    camera = free.camera
    column = (u - CAMERA.cx) / CAMERA.fx * camera.fx + camera.cx
    row = (v - CAMERA.cy) / CAMERA.fy * camera.fy + camera.cy
    return (round(row), round(column)), max(abs(column - round(column)), abs(row - round(row)))


@pytest.mark.parametrize("side", [10, 40, 90])
def test_cells_show_what_their_pixels_do(side):
    free = free_space(scene(side=side)[0], CAMERA, square(side))
    for u, v in ((80, 60), (80 - side // 2 - 6, 60), (80, 60 + side // 2 + 8)):
        at, off = cell(free, u, v)
        assert off < 0.51
        inside = abs(u - 79.5) < side / 2 and abs(v - 59.5) < side / 2
        assert free.depth[at] == np.float32(0.8 if inside else 1.5)
        assert (free.outside[at] == 0.0) == inside


@pytest.mark.parametrize("every", [2, 3])
def test_on_every_so_many_rows_and_columns_the_window_is_the_same(every):
    depth, pixels = scene(side=90)
    on_grid = pixels[(pixels % every == 0).all(axis=1)]
    free = free_space(depth, CAMERA, on_grid, every)
    for u, v in ((80, 60), (80 - 45 - 9, 60), (80, 60 + 45 + 9), (80 + 45 + 20, 60)):
        at, off = cell(free, u, v)
        assert off < 0.51
        inside = abs(u - 79.5) < 45 and abs(v - 59.5) < 45
        assert free.depth[at] == np.float32(0.8 if inside else 1.5)
        assert (free.outside[at] == 0.0) == inside
    # What the camera looked through is as far from the object as it is with all pixels.
    full = free_space(depth, CAMERA, pixels)
    (row, column), _ = cell(free, 80 + 45 + 20, 60)
    (other_row, other_column), _ = cell(full, 80 + 45 + 20, 60)
    here = free.outside[row, column] * CAMERA.fx / free.camera.fx
    there = full.outside[other_row, other_column] * CAMERA.fx / full.camera.fx
    assert here == pytest.approx(there, abs=every + 1)
    assert free.hidden == full.hidden == 0.0


def test_the_distance_from_the_object_is_in_cells():
    free = free_space(scene()[0], CAMERA, square())
    (row, column), _ = cell(free, 80 + 19 + 12, 60)
    stride = round(CAMERA.fx / free.camera.fx)
    assert free.outside[row, column] == pytest.approx((12 - 2) / stride, abs=0.1)


def test_beside_an_edge_the_nearer_side_counts():
    """An occluder at 0.4 m beside the object hides what is behind its ragged rim, too."""
    depth, pixels = scene()
    depth[:, 110:] = 0.4
    free = free_space(depth, CAMERA, pixels)
    assert free.depth[cell(free, 109, 60)[0]] == np.float32(0.4)
    assert free.depth[cell(free, 105, 60)[0]] == np.float32(1.5)


def test_a_table_that_is_seen_aslant_has_no_edges():
    depth, pixels = scene()
    table = np.linspace(1.6, 0.9, 120, dtype=np.float32)[:, None] + np.zeros((1, 160), np.float32)
    depth = np.where(depth == np.float32(1.5), table, depth)
    free = free_space(depth, CAMERA, pixels)
    at, _ = cell(free, 50, 90)
    assert free.depth[at] == pytest.approx(table[90, 0], abs=0.007)


def test_missing_depth_and_what_is_out_of_the_image_are_unknown():
    depth, pixels = scene()
    depth[:, :50] = 0.0
    free = free_space(depth, CAMERA, pixels)
    assert free.depth[cell(free, 45, 60)[0]] == 0.0
    corner = free_space(scene()[0], CAMERA, np.array([[0, 0], [5, 9]], np.int32))
    assert corner.depth[0, 0] == 0.0
    assert corner.outside[0, 0] > 0.0


def test_the_ends_of_free_rays_are_behind_and_around():
    free = free_space(scene()[0], CAMERA, square())
    ends = free.ends()
    assert (ends[:, 2] == np.float32(1.5)).mean() > 0.99  # the others are at its corners
    pixels = CAMERA.project(ends)
    assert (np.abs(pixels - 79.5)[:, 0] > 19.5).any()
    assert np.all(np.max(np.abs(pixels - (79.5, 59.5)), axis=1) > 20.5)


@pytest.mark.parametrize(("right", "expected"), [(1.5, 0.0), (0.4, 0.25), (0.0, 0.25)])
def test_where_the_object_may_go_on_unseen(right, expected):
    """On one of four sides there is an occluder, or no depth."""
    depth, pixels = scene()
    depth[:, 100:] = right
    assert free_space(depth, CAMERA, pixels).hidden == pytest.approx(expected, abs=0.06)


def test_without_pixels_nothing_is_known():
    free = free_space(scene()[0], CAMERA, np.zeros((0, 2), np.int32))
    assert not free.depth.any()
    assert len(FreeSpace.unknown().ends()) == 0
    assert free.hidden == 1.0
