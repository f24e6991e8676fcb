"""What sdfpose relies on in `cv_bridge`, be it the real package or the stand-in."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import Image

from sdfpose_ros.stand_ins import cv_bridge

RGB = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)


def image(encoding: str, pixels: np.ndarray, padding: int = 0, big_endian: bool = False) -> Image:
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(len(pixels), -1)
    rows = np.pad(rows, ((0, 0), (0, padding)))
    return Image(
        height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, step=rows.shape[1],
        is_bigendian=int(big_endian), data=rows.tobytes(),
    )  # fmt: skip


def decode(message: Image, encoding: str = "passthrough") -> np.ndarray:
    return np.asarray(cv_bridge.CvBridge().imgmsg_to_cv2(message, encoding))


@pytest.mark.parametrize("padding", [0, 5])
def test_pixels_are_passed_through(padding):
    np.testing.assert_array_equal(decode(image("rgb8", RGB, padding)), RGB)
    np.testing.assert_array_equal(decode(image("mono8", RGB[..., 0], padding)), RGB[..., 0])


def test_channels_are_brought_into_the_order_that_is_asked_for():
    np.testing.assert_array_equal(decode(image("bgr8", RGB), "rgb8"), RGB[..., ::-1])


@pytest.mark.parametrize(("encoding", "dtype"), [("16UC1", "u2"), ("32FC1", "f4")])
def test_depth_is_passed_through_in_either_byte_order(encoding, dtype):
    values = np.arange(12).reshape(3, 4).astype(dtype)
    np.testing.assert_array_equal(decode(image(encoding, values)), values)
    swapped = values.astype(np.dtype(dtype).newbyteorder(">"))
    np.testing.assert_array_equal(decode(image(encoding, swapped, big_endian=True)), values)


@pytest.mark.parametrize("encoding", ["bayer_rggb8", "bayer_bggr8", "bayer_gbrg8", "bayer_grbg8"])
def test_bayer_patterns_of_one_colour_become_that_colour(encoding):
    red, green, blue = 200, 120, 40
    letters = {"r": red, "g": green, "b": blue}
    pattern = np.array([letters[x] for x in encoding[6:10]], np.uint8).reshape(2, 2)
    colour = decode(image(encoding, np.tile(pattern, (6, 6))), "rgb8")
    np.testing.assert_array_equal(colour[4:-4, 4:-4], np.full((4, 4, 3), (red, green, blue)))


def test_yuv_of_grey_becomes_grey():
    yuv = np.full((4, 6, 2), 128, np.uint8)  # u, y0, v, y1: no colour, middle brightness
    colour = decode(image("uyvy", yuv), "rgb8")
    assert colour.shape == (4, 6, 3)
    assert np.ptp(colour) <= 1


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        (image("nonsense", RGB), "rgb8"),
        (image("32FC1", np.zeros((2, 2), np.float32)), "rgb8"),
    ],
)
def test_what_cannot_be_decoded_is_an_error(message, wanted):
    with pytest.raises(cv_bridge.CvBridgeError):
        decode(message, wanted)
