"""Images survive compression and the way back, whatever their encoding and layout."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdfpose_core.errors import ConfigurationError
from sdfpose_core.messages.compressed import raw_image
from sdfpose_core.messages.compression import _LAYOUTS, Codecs, compressed_copy
from sdfpose_core.messages.decoding import decode_colour, decode_depth, decode_mask
from sdfpose_core.messages.definitions import message_definitions
from sdfpose_core.messages.encoding import image_message
from sdfpose_core.messages.errors import ImageLayoutError
from sdfpose_core.messages.factory import bag_messages, header_message

NEW = bag_messages(message_definitions())
HEADER = header_message(NEW, 5_000_000_007, "optical")


def image(encoding: str, seed: int = 0, size=(9, 14)):
    kind, channels = _LAYOUTS[encoding.lower()]
    rng = np.random.default_rng(seed)
    shape = size if channels == 1 else (*size, channels)
    top = np.iinfo(np.dtype(kind)).max + 1
    return image_message(NEW, rng.integers(0, top, shape).astype(kind), encoding, HEADER)


def pixels(message):
    return np.frombuffer(np.asarray(message.data, np.uint8).tobytes(), np.uint8)


@pytest.mark.parametrize("encoding", [*_LAYOUTS, "8UC1", "16UC1"])
@pytest.mark.parametrize("role", ["colour", "mask"])
def test_png_gives_the_same_image(encoding, role):
    sent = image(encoding)
    suffix, packed = compressed_copy(NEW, sent, "/x", role, Codecs())
    assert suffix == "/compressed"
    assert packed.header is sent.header
    back = raw_image(packed, "/x/compressed")
    assert back.encoding.lower() == encoding.lower()
    assert (back.height, back.width, back.step) == (sent.height, sent.width, sent.step)
    np.testing.assert_array_equal(pixels(back), pixels(sent))


@pytest.mark.parametrize("encoding", [x for x in _LAYOUTS if x != "16uc1"])
def test_colour_decodes_alike(encoding):
    sent = image(encoding)
    _, packed = compressed_copy(NEW, sent, "/x", "colour", Codecs())
    if encoding != "8uc1":  # cv_bridge reads it as grey
        np.testing.assert_array_equal(decode_colour(packed, "/x"), decode_colour(sent, "/x"))
    np.testing.assert_array_equal(
        decode_colour(raw_image(packed, "/x"), "/x"), decode_colour(sent, "/x")
    )


@pytest.mark.parametrize("encoding", ["mono8", "8UC1", "mono16", "16UC1"])
def test_masks_decode_alike(encoding):
    sent = image(encoding)
    _, packed = compressed_copy(NEW, sent, "/x", "mask", Codecs(colour="jpeg"))
    np.testing.assert_array_equal(decode_mask(packed, "/x"), decode_mask(sent, "/x"))


@given(st.integers(0, 1000), st.sampled_from(["png", "rvl"]), st.booleans())
def test_depth_decodes_alike(seed, codec, holes):
    rng = np.random.default_rng(seed)
    size = tuple(rng.integers(1, 12, 2))
    depth = rng.integers(0, 65536, size) * (rng.random(size) < (0.5 if holes else 2.0))
    sent = image_message(NEW, depth.astype(np.uint16), "16UC1", HEADER)
    suffix, packed = compressed_copy(NEW, sent, "/x", "depth", Codecs(depth=codec))
    assert suffix == "/compressedDepth"
    np.testing.assert_array_equal(decode_depth(packed, "/x"), decode_depth(sent, "/x"))
    np.testing.assert_array_equal(pixels(raw_image(packed, "/x")), pixels(sent))


def test_padded_rows_and_the_other_byte_order_are_understood():
    sent = image("16UC1")
    values = np.frombuffer(pixels(sent).tobytes(), "<u2").reshape(9, 14)
    rows = np.pad(values.astype(">u2").view(np.uint8), ((0, 0), (0, 6)))
    padded = NEW(
        "sensor_msgs/msg/Image", header=HEADER, height=9, width=14, encoding="16UC1",
        is_bigendian=1, step=34, data=rows.reshape(-1),
    )  # fmt: skip
    for codec in ("png", "rvl"):
        _, packed = compressed_copy(NEW, padded, "/x", "depth", Codecs(depth=codec))
        np.testing.assert_array_equal(decode_depth(packed, "/x"), decode_depth(sent, "/x"))


@pytest.mark.parametrize(
    ("encoding", "role", "codecs"),
    [
        ("rgb8", "colour", Codecs(colour="raw")),
        ("16uc1", "depth", Codecs(depth="raw")),
        ("rgb8", "depth", Codecs()),
    ],
)
def test_what_stays_raw(encoding, role, codecs):
    assert compressed_copy(NEW, image(encoding), "/x", role, codecs) is None


@pytest.mark.parametrize(
    ("encoding", "role"),
    [("32FC1", "depth"), ("nv12", "colour"), ("32SC1", "mask"), ("yuv422", "colour")],
)
def test_encodings_without_a_format_stay_raw(encoding, role):
    sent = image("rgb8")
    sent.encoding = encoding
    assert compressed_copy(NEW, sent, "/x", role, Codecs()) is None


def test_jpeg_is_near_and_small():
    smooth = np.linspace(0, 200, 64 * 48 * 3).reshape(48, 64, 3).astype(np.uint8)
    sent = image_message(NEW, smooth, "rgb8", HEADER)
    _, packed = compressed_copy(NEW, sent, "/x", "colour", Codecs(colour="jpeg"))
    decoded = decode_colour(packed, "/x")
    assert np.abs(decoded.astype(int) - smooth).mean() < 4
    # A Bayer pattern would be smeared.
    _, bayer = compressed_copy(NEW, image("bayer_rggb8"), "/x", "colour", Codecs(colour="jpeg"))
    assert "png" in bayer.format


def test_a_broken_image_is_refused():
    sent = image("rgb8")
    sent.data = sent.data[:50]
    with pytest.raises(ImageLayoutError, match="/x"):
        compressed_copy(NEW, sent, "/x", "colour", Codecs())


@pytest.mark.parametrize("values", [{"colour": "gif"}, {"depth": "jpeg"}])
def test_an_unknown_codec_is_refused(values):
    with pytest.raises(ConfigurationError, match="expected one of png"):
        Codecs(**values)


def test_raw_images_are_left_alone():
    sent = image("rgb8")
    assert raw_image(sent, "/x") is sent


def test_a_format_without_an_encoding_is_read_as_opencv_does():
    _, packed = compressed_copy(NEW, image("bgr8"), "/x", "colour", Codecs())
    packed.format = "png"
    assert raw_image(packed, "/x").encoding == "bgr8"
