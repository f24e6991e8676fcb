"""Between the resolution of the image and that of the network."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.masks.resolution import WORKING_PIXELS, enlarged, reduced, working_camera


def camera_of(width, height):
    return PinholeCamera(width, height, 0.9 * width, 0.9 * width, 0.5 * width, 0.5 * height)


@settings(max_examples=60)
@given(st.integers(1, 4000), st.integers(1, 4000))
def test_the_network_sees_about_as_many_pixels_of_every_image(width, height):
    camera = camera_of(width, height)
    found = working_camera(camera)
    assert found.width % 2 == found.height % 2 == 0
    assert min(found.width, found.height) >= 2
    assert found.width <= 2 * width + 2
    if 0.25 < width / height < 4.0:
        assert found.width * found.height <= 1.1 * WORKING_PIXELS
    if 4 * width * height > WORKING_PIXELS and 0.25 < width / height < 4.0:
        assert found.width * found.height >= 0.9 * WORKING_PIXELS


@pytest.mark.parametrize(
    ("size", "expected"),
    [((640, 480), (320, 240)), ((480, 640), (240, 320)), ((320, 240), (320, 240)),
     ((1280, 720), (370, 208)), ((16, 16), (32, 32))],
)  # fmt: skip
def test_usual_sizes(size, expected):
    found = working_camera(camera_of(*size))
    assert (found.width, found.height) == expected
    assert found.fx == pytest.approx(0.9 * expected[0])


def test_depth_is_not_averaged_across_edges():
    depth = np.ones((48, 64), dtype=np.float32)
    depth[:, 31:] = 2.0
    colour = np.zeros((48, 64, 3), dtype=np.uint8)
    colour[:, 31:] = 200
    image, small = reduced(colour, depth, 32, 24)
    assert image.shape == (24, 32, 3)
    assert small.shape == (24, 32)
    assert set(np.unique(small)) == {1.0, 2.0}
    assert 50 < image[5, 15, 0] < 150


@pytest.mark.parametrize("size", [(48, 64), (47, 61), (24, 32), (20, 30), (100, 200)])
@pytest.mark.parametrize("value", [0, 3])
def test_a_label_everywhere_stays_everywhere(size, value):
    labels = np.full((24, 32), value, dtype=np.int32)
    depth = np.ones(size, dtype=np.float32)
    found = enlarged(labels, depth, np.zeros((*size, 3), dtype=np.uint8))
    assert found.shape == size
    assert found.dtype == labels.dtype
    assert (found == value).all()


def halves(edge):
    """Labels that change between columns 15 and 16, and depth and colour that change at `edge`."""
    labels = np.ones((24, 32), dtype=np.int32)
    labels[:, 16:] = 2
    depth = np.ones((48, 64), dtype=np.float32)
    depth[:, edge:] = 1.1
    colour = np.zeros((48, 64, 3), dtype=np.uint8)
    colour[:, edge:] = 200
    return labels, depth, colour


@pytest.mark.parametrize("edge", [32, 33])
def test_borders_follow_the_edge_of_depth(edge):
    labels, depth, colour = halves(edge)
    found = enlarged(labels, depth, np.zeros_like(colour))
    np.testing.assert_array_equal(found, np.where(np.arange(64) < edge, 1, 2)[None].repeat(48, 0))


@pytest.mark.parametrize("edge", [32, 33])
def test_borders_follow_the_edge_of_colour_where_depth_is_missing(edge):
    labels, depth, colour = halves(edge)
    found = enlarged(labels, np.zeros_like(depth), colour)
    np.testing.assert_array_equal(found, np.where(np.arange(64) < edge, 1, 2)[None].repeat(48, 0))


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(20, 70), st.integers(20, 70))
def test_no_label_appears_or_moves_far(seed, height, width):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, (6, 8)).repeat(2, axis=0).repeat(2, axis=1).astype(np.int32)
    depth = rng.uniform(0.0, 2.0, (height, width)).astype(np.float32)
    colour = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    found = enlarged(labels, depth, colour)
    v = (np.arange(height) + 0.5) * 12 / height - 0.5
    u = (np.arange(width) + 0.5) * 16 / width - 0.5
    near = np.zeros(found.shape, dtype=bool)
    for rows in (np.floor(v), np.floor(v) + 1):
        for columns in (np.floor(u), np.floor(u) + 1):
            at = np.clip(rows, 0, 11).astype(int)[:, None], np.clip(columns, 0, 15).astype(int)
            near |= labels[at] == found
    assert near.all()
