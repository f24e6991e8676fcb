"""Colour crops around instances."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sdfpose_core.errors import FrameError
from sdfpose_core.observation.colour_crop import ColourCrop, crop_window, is_blank, square_crop

PIXELS = np.array([(3, 20), (30, 45)])


@pytest.fixture
def image() -> np.ndarray:
    """Colours that change slowly, as JPEG likes them."""
    v, u = np.mgrid[:60, :90]
    return np.stack([2 * u, 4 * v, u + v], axis=-1).astype(np.uint8)


@pytest.mark.parametrize(
    ("low", "high", "window"),
    [
        # 640 x 480: the box's longer side is 39 pixels, 40 of which the next multiple is 80.
        ((300, 200), (338, 230), (299, 195, 40)),
        ((300, 200), (339, 230), (280, 175, 80)),
        # Moved inside at the left, the top, the right and the bottom.
        ((0, 2), (50, 30), (0, 0, 80)),
        ((620, 470), (639, 479), (600, 440, 40)),
        # Larger than the image: the same margin on both sides.
        ((10, 0), (520, 479), (5, -20, 520)),
        ((0, 0), (639, 479), (-20, -100, 680)),
    ],
)
def test_the_window_is_that_of_the_published_implementation(low, high, window):
    assert crop_window(np.array([low, high]), (480, 640)) == window


def test_png_keeps_every_pixel_and_jpeg_nearly(image: np.ndarray) -> None:
    window = crop_window(PIXELS, image.shape)
    part = square_crop(image, *window)
    exact = ColourCrop.around(image, PIXELS)
    assert (exact.left, exact.top, exact.side) == window
    np.testing.assert_array_equal(exact.decode(), part)
    close = ColourCrop.around(image, PIXELS, "jpeg").decode()
    assert 0.0 < np.abs(close.astype(int) - part).mean() < 3.0


def test_a_crop_past_the_image_is_black_there(image: np.ndarray) -> None:
    crop = ColourCrop.around(image, np.array([(0, 0), (50, 59)]))
    assert (crop.top, crop.side) == (-10, 80)
    assert not crop.decode()[:10].any()
    np.testing.assert_array_equal(crop.decode()[10:70], image[:, crop.left : crop.left + 80])


@pytest.mark.parametrize("content", [b"", b"rubbish"])
def test_damaged_crops_are_named(image: np.ndarray, content: bytes) -> None:
    crop = replace(ColourCrop.around(image, PIXELS), encoded=content)
    with pytest.raises(
        FrameError, match=r"cannot be decoded: expected a PNG or JPEG image of 40x40"
    ):
        crop.decode()
    with pytest.raises(FrameError, match="image of 80x80 pixels"):
        replace(ColourCrop.around(image, PIXELS), side=80).decode()


@pytest.mark.parametrize("level", [0, 4, 251, 255])
def test_black_and_saturated_images_are_blank_and_their_noise_is_no_contrast(level: int) -> None:
    noise = np.random.default_rng(0).normal(level, 1.5, (60, 90, 3))
    flat = np.clip(noise.round(), 0, 255).astype(np.uint8)
    assert is_blank(flat, PIXELS)
    assert is_blank(ColourCrop.around(flat, PIXELS, "jpeg"), PIXELS)
    shown = flat.copy()
    shown[25:35, 10:20] = 128
    assert not is_blank(shown, PIXELS)
    assert not is_blank(ColourCrop.around(shown, PIXELS, "jpeg"), PIXELS)


def test_the_contrast_around_the_instance_counts_and_that_of_grey_as_that_of_colour(
    image: np.ndarray,
) -> None:
    assert not is_blank(image, PIXELS)
    assert not is_blank(np.repeat(image[..., :1], 3, axis=2), PIXELS)
    image[:, :60] = 255
    assert is_blank(image, PIXELS[:1])
    assert is_blank(image, np.array([[0, 0], [0, 59]]))  # at the image's corners
    assert not is_blank(image, PIXELS + np.array([40, 0]))
    assert not is_blank(image, np.zeros((0, 2), int))
