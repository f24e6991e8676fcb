from __future__ import annotations

import struct
from contextlib import suppress
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from rosbags.typesys import Stores, get_typestore

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.messages import decoding as d
from sdfpose_core.messages import errors as e
from sdfpose_core.messages.compressed import raw_colour, raw_depth, raw_mask
from sdfpose_core.messages.encoding import (
    compressed_depth_message,
    compressed_message,
    image_message,
)
from sdfpose_core.messages.factory import bag_messages, header_message

NEW = bag_messages(get_typestore(Stores.LATEST))
HEADER = header_message(NEW, 12_000_000_345, "optical")
TOPICS = d.InputTopics("/x/colour", "/x/depth", "/x/mask", "/x/camera_info", "/x/labels")
RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (6, 5, 3), dtype=np.uint8)
MILLIMETRES = RNG.choice([0, 1, 700, 65535], (6, 5)).astype(np.uint16)
A, B = 10100.0, 1.0 - 10100.0 / 10.0
"""The transport's parameters of quantisation at 100 and at most 10 m."""


def message(payload: bytes, form: str):
    return SimpleNamespace(header=HEADER, format=form, data=np.frombuffer(payload, np.uint8))


def file(pixels, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, pixels)[1].tobytes()


def quantised(metres) -> np.ndarray:
    """Depth as the transport quantises it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((metres > 0.2) & (metres < 10.0), A / metres + B, 0).astype(np.uint16)


def depth_header(a: float = 0.0, b: float = 0.0) -> bytes:
    return struct.pack("<iff", 0, a, b)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8"])
def test_a_colour_png_gives_the_same_pixels(encoding):
    pixels = RGB if encoding == "rgb8" else RGB[..., ::-1]
    sent = compressed_message(NEW, pixels, encoding, HEADER)
    assert sent.format == f"{encoding}; png compressed bgr8"
    colour = d.decode_colour(sent, "/x/colour")
    np.testing.assert_array_equal(colour, RGB)
    assert colour.flags.c_contiguous


def test_a_colour_jpeg_gives_nearly_the_same_pixels():
    smooth = np.full((32, 48, 3), (200, 30, 90), dtype=np.uint8)
    sent = compressed_message(NEW, smooth, "rgb8", HEADER, codec="jpeg")
    np.testing.assert_allclose(d.decode_colour(sent, "/x/colour"), smooth, atol=4)


def test_grey_and_alpha_become_colour():
    grey = compressed_message(NEW, RGB[..., 0], "mono8", HEADER)
    np.testing.assert_array_equal(d.decode_colour(grey, "t"), np.repeat(RGB[..., :1], 3, axis=2))
    with_alpha = np.dstack([RGB[..., ::-1], RGB[..., 0]])
    sent = message(file(with_alpha), "bgra8; png compressed ")
    np.testing.assert_array_equal(d.decode_colour(sent, "t"), RGB)


def test_sixteen_bits_of_colour_become_eight():
    wide = np.full((6, 5, 3), (60000, 30000, 100), dtype=np.uint16)
    colour = d.decode_colour(message(file(wide), "bgr16; png compressed bgr16"), "t")
    assert colour.dtype == np.uint8
    np.testing.assert_allclose(colour, wide[..., ::-1] / 257.0, atol=1.0)


def test_old_publishers_that_swapped_red_and_blue_are_understood():
    sent = message(file(RGB), "rgb8; jpeg compressed rgb8")
    np.testing.assert_array_equal(d.decode_colour(sent, "t"), RGB)


def test_a_compressed_bayer_pattern_is_interpolated():
    sent = message(file(np.full((6, 8), 90, np.uint8)), "bayer_rggb8; png compressed ")
    np.testing.assert_array_equal(d.decode_colour(sent, "t"), np.full((6, 8, 3), 90))


def test_the_orientation_that_a_camera_wrote_is_not_applied():
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x112, 3, 1, 6, 0, 0)
    jpeg = file(np.zeros((8, 24, 3), np.uint8), ".jpg")
    turned = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]
    assert d.decode_colour(message(turned, "jpeg"), "t").shape == (8, 24, 3)


@pytest.mark.parametrize(("kind", "dtype"), [("mono8", np.uint8), ("mono16", np.uint16)])
def test_a_mask_png_gives_the_same_ids(kind, dtype):
    ids = np.array([[0, 3], [200, 1]], dtype=dtype)
    mask = d.decode_mask(compressed_message(NEW, ids, kind, HEADER), "/x/mask")
    assert mask.dtype == np.uint16
    np.testing.assert_array_equal(mask, ids)


def test_a_mask_that_lost_its_ids_is_refused():
    sent = compressed_message(NEW, np.zeros((6, 5), np.uint8), "mono8", HEADER, codec="jpeg")
    with pytest.raises(
        e.EncodingError, match=r"^/x/mask: a mask compressed as JPEG.*: expected PNG"
    ):
        d.decode_mask(sent, "/x/mask")


def test_a_mask_of_colours_is_refused():
    with pytest.raises(e.EncodingError, match=r"^/x/mask: mask with encoding 'bgr8'"):
        d.decode_mask(compressed_message(NEW, RGB, "rgb8", HEADER), "/x/mask")


@settings(deadline=None)
@given(arrays(np.uint16, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_millimetres_survive_both_transports(depth_mm):
    for sent in (
        compressed_depth_message(NEW, depth_mm, HEADER),
        compressed_message(NEW, depth_mm, "16UC1", HEADER),
    ):
        raw = raw_depth(sent, "/x/depth")
        assert raw.encoding == "16UC1"
        stored = np.frombuffer(raw.data, np.uint16).reshape(raw.height, raw.width)
        np.testing.assert_array_equal(stored, depth_mm)
        np.testing.assert_array_equal(
            d.decode_depth(sent, "/x/depth"), depth_mm * np.float32(0.001)
        )


@pytest.mark.parametrize(
    ("form", "header"),
    [
        ("16UC1; compressedDepth png", True),
        ("16UC1; compressedDepth", True),
        ("16UC1;compressedDepth", True),
        ("mono16; compressedDepth png", True),
        ("16UC1; compressedDepth png", False),  # some publishers leave the header out
        ("16UC1; png compressed ", False),
        ("png", False),
    ],
)
def test_formats_are_written_in_many_ways(form, header):
    sent = message(depth_header() * header + file(MILLIMETRES), form)
    np.testing.assert_array_equal(d.decode_depth(sent, "t"), MILLIMETRES * np.float32(0.001))


@settings(deadline=None)
@given(
    arrays(
        np.float32,
        array_shapes(min_dims=2, max_dims=2, max_side=12),
        elements=st.floats(0.25, 9.75, width=32) | st.just(np.float32(np.nan)),
    )
)
def test_quantised_metres_are_as_exact_as_the_transport_makes_them(metres):
    sent = message(depth_header(A, B) + file(quantised(metres)), "32FC1; compressedDepth png")
    depth = d.decode_depth(sent, "t")
    assert depth.dtype == np.float32
    # The raw value is A / z rounded down: off by at most one, in which z changes by z^2 / A.
    difference = np.abs(depth - metres)
    np.testing.assert_array_equal(np.isnan(depth), np.isnan(metres))
    assert np.all((difference <= 1.01 * depth**2 / A + 1e-5) | np.isnan(metres))


@pytest.mark.parametrize("decode", [d.decode_colour, d.decode_mask, d.decode_depth])
@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (b"", "0 bytes that start with ''"),
        (b"rubbish of some length", "22 bytes that start with '72 75 62"),
        (file(MILLIMETRES)[:12], "a PNG of 12 bytes without a header"),
        (file(MILLIMETRES)[:-30], "a truncated image of 5x6 pixels in"),
        (file(MILLIMETRES)[:40] + b"?" * 60, "a truncated image of 5x6 pixels in 100 bytes"),
        (
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 60_000, 60_000),
            "declares 60000x60000 pixels: expected 1 to 100 million",
        ),
    ],
)
def test_images_that_cannot_be_used_name_the_topic(decode, payload, problem):
    with pytest.raises(e.CompressionError, match=f"^/x: .*{problem}"):
        decode(message(payload, "png"), "/x")


JPEG = file(RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8), ".jpg")


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (JPEG[: len(JPEG) // 2], "a JPEG of .* bytes without an end"),
        (JPEG[:100], "a JPEG of 100 bytes without a size"),
        (b"\xff\xd8\xff\xc0\0\x0b\x08\xff\xff\xff\xff\x01\xff\xd9", "declares 65535x65535"),
    ],
)
def test_a_jpeg_that_breaks_off_is_not_filled_with_grey(payload, problem):
    with pytest.raises(e.CompressionError, match=f"^/x: .*{problem}"):
        d.decode_colour(message(payload, "jpeg"), "/x")


def test_bytes_behind_a_jpeg_do_no_harm():
    assert raw_colour(message(JPEG + b"\0" * 99, "jpeg"), "t").width == 60


@pytest.mark.parametrize(
    ("payload", "form", "error", "problem"),
    [
        (b"\0" * 11, "16UC1; compressedDepth png", e.CompressionError, "Depth of 11 bytes"),
        (depth_header(), "16UC1; compressedDepth png", e.CompressionError, "0 bytes that start"),
        (
            depth_header() + file(MILLIMETRES),
            "compressedDepth png",
            e.EncodingError,
            "with format 'compressedDepth png': expected a format that starts with 16UC1",
        ),
        (
            depth_header() + file(RGB),
            "16UC1; compressedDepth png",
            e.EncodingError,
            "depth with encoding bgr8: expected one channel of 16 bits",
        ),
        (
            file(MILLIMETRES.astype(np.uint8)),
            "mono8; png compressed ",
            e.EncodingError,
            "depth with encoding mono8",
        ),
        (
            file(MILLIMETRES.astype(np.uint8), ".jpg"),
            "mono8; jpeg compressed ",
            e.EncodingError,
            "a depth compressed as JPEG",
        ),
        (
            depth_header() + file(RGB, ".jpg"),
            "16UC1; compressedDepth jpg",
            e.EncodingError,
            "a depth compressed as JPEG",
        ),
        (
            file(MILLIMETRES),
            "32FC1; png compressed ",
            e.EncodingError,
            "32FC1 depth in a plain image.*expected the transport compressedDepth",
        ),
        (
            depth_header(-1.0, np.nan) + file(MILLIMETRES),
            "32FC1; compressedDepth png",
            e.CompressionError,
            "quantised with A = -1, B = nan: expected A above 0, B below 1",
        ),
        (
            depth_header() + b"\0" * 7,
            "16UC1; compressedDepth rvl",
            e.CompressionError,
            "RVL depth of 7 bytes",
        ),
        (
            depth_header() + struct.pack("<ii", 2**30, 2**30),
            "16UC1; compressedDepth rvl",
            e.CompressionError,
            "declares 1073741824x1073741824 pixels",
        ),
        (
            depth_header() + struct.pack("<ii", -5, -6),
            "16UC1; compressedDepth rvl",
            e.CompressionError,
            "declares -5x-6 pixels",
        ),
    ],
)
def test_depth_that_cannot_be_used_says_what_is_wrong(payload, form, error, problem):
    with pytest.raises(error, match=f"^/x/depth: .*{problem}"):
        d.decode_depth(message(payload, form), "/x/depth")


@settings(deadline=None)
@given(
    st.binary(max_size=80),
    st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", depth_header()]),
    st.sampled_from(["png", "jpeg", "16UC1; compressedDepth rvl", "32FC1; compressedDepth png"]),
)
def test_rubbish_raises_nothing_but_errors_of_messages(rubbish, begin, form):
    for decode in (d.decode_colour, d.decode_depth, d.decode_mask):
        with suppress(e.MessageError):
            decode(message(begin + rubbish, form), "/x")


def test_raw_images_are_given_back_as_they_are():
    raw = image_message(NEW, RGB[..., 0], "mono8", HEADER)
    assert raw_colour(raw, "t") is raw_depth(raw, "t") is raw_mask(raw, "t") is raw


CAMERA = PinholeCamera(64, 48, 50.0, 51.0, 30.0, 20.0)


def compressed_images(depth=(48, 64), mask=(48, 64)):
    return (
        compressed_message(NEW, np.zeros((48, 64, 3), np.uint8), "rgb8", HEADER, codec="jpeg"),
        compressed_depth_message(NEW, np.full(depth, 700, np.uint16), HEADER),
        compressed_message(NEW, np.ones(mask, np.uint8), "mono8", HEADER),
    )


def test_a_frame_may_be_of_compressed_images():
    frame = d.rgbd_frame(*compressed_images(), CAMERA, d.LabelRules({}, "mug"), TOPICS)
    assert (frame.stamp_ns, frame.frame_id) == (12_000_000_345, "optical")
    assert set(frame.labels) == {1}
    np.testing.assert_allclose(frame.depth, 0.7, rtol=1e-6)


@pytest.mark.parametrize(
    ("sizes", "problem"),
    [
        ({"depth": (24, 32)}, "/x/depth: image of 32x24 .*64x48.*/x/colour"),
        ({"mask": (48, 32)}, "/x/mask: image of 32x48 .*64x48.*/x/colour"),
    ],
)
def test_decoded_sizes_have_to_agree(sizes, problem):
    with pytest.raises(e.ImageSizeError, match=problem):
        d.rgbd_frame(*compressed_images(**sizes), CAMERA, d.LabelRules({}, "mug"), TOPICS)


def test_the_camera_info_has_to_fit_the_decoded_size():
    with pytest.raises(e.CameraInfoError, match="32x24 pixels: expected 64x48"):
        d.rgbd_frame(*compressed_images(), CAMERA.resize(32, 24), d.LabelRules({}, "mug"), TOPICS)
