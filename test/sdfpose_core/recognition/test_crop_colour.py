"""What the recognition network sees of colour: images that show each pixel's place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdfpose_core.errors import FrameError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.colour_crop import ColourCrop
from sdfpose_core.observation.frame import Instance
from sdfpose_core.observation.free_space import FreeSpace, free_space
from sdfpose_core.recognition.crop import SIDE, _window_square, recognition_crop

WIDTH, HEIGHT = 240, 200
CAMERA = PinholeCamera(WIDTH, HEIGHT, 300.0, 290.0, 121.3, 97.6)
V, U = np.mgrid[:HEIGHT, :WIDTH]
PLACES = np.stack([U, V, 255 * ((U + V) % 2)], axis=-1).astype(np.uint8)
"""Red is the column, green the row, blue a chequerboard, so that there is contrast everywhere."""

RNG = np.random.default_rng(0)
DEPTH = RNG.uniform(0.5, 0.9, (HEIGHT, WIDTH)).astype(np.float32)


def instance(box, every=1, colour=PLACES):
    """What a camera measures of a box: left, top, width and height, pixels."""
    left, top, width, height = box
    part = slice(top, top + height), slice(left, left + width)
    pixels = np.stack([U[part].ravel(), V[part].ravel()], axis=-1).astype(np.int32)
    pixels = pixels[(pixels % every == 0).all(axis=1)]
    points = CAMERA.back_project(pixels, DEPTH[pixels[:, 1], pixels[:, 0]])
    window = free_space(DEPTH, CAMERA, pixels, every)
    count = width * height
    return Instance(1, "can", 1.0, points, pixels, window, count, every=every, colour=colour)


def window_of(seen):
    """Side of a window's cell, and the pixel (u, v) that the ray of its first cell goes through."""
    window = seen.free.camera
    step = CAMERA.fx / window.fx
    first = CAMERA.cx - step * window.cx, CAMERA.cy - step * window.cy
    return round(step), tuple(round(x) for x in first)


BOXES = {
    "small": ((100, 80, 30, 40), 1, 1),
    "large": ((70, 50, 80, 60), 1, 2),
    "larger": ((50, 30, 150, 140), 1, 3),
    "every second pixel": ((70, 50, 80, 60), 2, 2),
    "every third pixel": ((51, 30, 149, 140), 3, 3),
    "at the left and upper border": ((0, 0, 30, 40), 1, 1),
    "at the right and lower border": ((WIDTH - 90, HEIGHT - 70, 90, 70), 1, 2),
    "all of the image": ((0, 0, WIDTH, HEIGHT), 1, 5),
    "a point": ((100, 80, 1, 1), 1, 1),
    "a point in the corner": ((WIDTH - 1, 0, 1, 1), 1, 1),
}
"""Box, subsampling step, and side of a cell of the window."""


@pytest.mark.parametrize("name", BOXES)
def test_each_cell_shows_the_pixels_at_its_place(name):
    box, every, expected_step = BOXES[name]
    seen = instance(box, every)
    step, (u, v) = window_of(seen)
    assert step == expected_step
    colour, known = np.split(recognition_crop(seen)[10:], [3])
    for row in range(SIDE):
        for column in range(SIDE):
            top, left = (first - step // 2 + 2 * step * i for first, i in ((v, row), (u, column)))
            part = PLACES[max(top, 0) : max(top + 2 * step, 0),
                          max(left, 0) : max(left + 2 * step, 0)]  # fmt: skip
            share = part.shape[0] * part.shape[1] / (2 * step) ** 2
            assert known[0, row, column] == (share > 0.5)
            mean = part.mean(axis=(0, 1)) / 127.5 - 1.0 if share > 0.5 else np.zeros(3)
            # The mean is rounded before what is beyond the image is taken out of it.
            np.testing.assert_allclose(colour[:, row, column], mean, atol=1.02 / 127.5)


def test_colour_is_where_depth_is():
    """The place of a cell in the image is that of its ray, but for half a cell."""
    seen = instance(BOXES["large"][0])
    crop = recognition_crop(seen)
    own = crop[4] > 0.0
    at = (crop[10:12] + 1.0) * 127.5
    left, top, width, height = BOXES["large"][0]
    inside = (abs(at[0] - left - 0.5 * width) < 0.5 * width) & (
        abs(at[1] - top - 0.5 * height) < 0.5 * height
    )
    # The object has a tolerance of two pixels.
    assert (own & ~inside).mean() < 0.05
    assert not (inside & ~own).any()


places = st.integers(0, 150)
sides = st.integers(1, 50)


@given(places, places, sides, sides, st.integers(1, 3), st.randoms(use_true_random=False))
def test_the_window_is_found_from_some_of_its_points(left, top, width, height, every, random):
    seen = instance((every * (left // every), every * (top // every), width, height), every)
    step, (u, v) = window_of(seen)
    chosen = sorted(random.sample(range(len(seen.points)), random.randint(1, len(seen.points))))
    some = replace(seen, points=seen.points[chosen], pixels=seen.pixels[chosen])
    assert _window_square(some) == (u - step // 2, v - step // 2, 96 * step)


def test_without_colour_nothing_of_it_is_known():
    seen = instance(BOXES["small"][0])
    with_colour = recognition_crop(seen)
    assert with_colour[13].all()
    without = recognition_crop(replace(seen, colour=None))
    assert not without[10:].any()
    np.testing.assert_array_equal(without[:10], with_colour[:10])


def test_a_window_of_which_nothing_is_known_has_no_colour():
    """Its camera is that of no image."""
    crop = recognition_crop(replace(instance(BOXES["small"][0]), free=FreeSpace.unknown()))
    assert not crop[10:].any()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_image_that_shows_nothing_is_no_colour(level):
    blank = np.full_like(PLACES, level)
    seen = instance(BOXES["small"][0], colour=blank)
    assert not recognition_crop(seen)[10:].any()
    stored = ColourCrop.around(blank, seen.pixels)
    assert not recognition_crop(replace(seen, colour=stored))[10:].any()


@pytest.mark.parametrize("name", ["small", "large", "every second pixel", "a point in the corner"])
def test_a_stored_crop_shows_the_same_as_far_as_it_goes(name):
    box, every, _ = BOXES[name]
    seen = instance(box, every)
    stored = ColourCrop.around(PLACES, seen.pixels)
    image, crop = (recognition_crop(replace(seen, colour=x))[10:] for x in (PLACES, stored))
    known = crop[3] > 0.0
    assert known.any()
    assert not (known & (image[3] == 0.0)).any()
    assert not crop[:3][:, ~known].any()
    step, first = window_of(seen)
    edges = [x - step // 2 + 2 * step * np.arange(SIDE) for x in first]
    columns, rows = (
        (x >= low) & (x + 2 * step <= low + stored.side)
        for x, low in zip(edges, (stored.left, stored.top), strict=True)
    )
    whole = np.outer(rows, columns) & (image[3] > 0.0)
    assert whole.any()
    np.testing.assert_allclose(crop[:, whole], image[:, whole], atol=1e-6)


def test_a_damaged_crop_is_reported():
    damaged = ColourCrop(80, 60, 80, b"x")
    with pytest.raises(FrameError, match="a colour crop of 1 bytes cannot be decoded"):
        recognition_crop(instance(BOXES["small"][0], colour=damaged))
