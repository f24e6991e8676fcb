from __future__ import annotations

import struct
import time
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sdfpose_core.messages.decoding import decode_depth
from sdfpose_core.messages.errors import CompressionError
from sdfpose_core.messages.rvl import RvlError, decode_rvl, encode_rvl


class Encoder:
    """Wilson's encoder, nibble by nibble."""

    def __init__(self) -> None:
        self.nibbles: list[int] = []

    def number(self, value: int) -> None:
        while value > 7:
            self.nibbles.append(8 | value & 7)
            value >>= 3
        self.nibbles.append(value)

    def words(self) -> bytes:
        filled = self.nibbles + [0] * (-len(self.nibbles) % 8)
        pairs = np.array(filled, dtype=np.uint8).reshape(-1, 2)
        return (pairs[:, 0] << 4 | pairs[:, 1]).view(">u4").astype("<u4").tobytes()


def by_nibbles(pixels) -> bytes:
    encoder, values, at, before = Encoder(), [int(x) for x in np.ravel(pixels)], 0, 0
    while at < len(values):
        begin = at
        while at < len(values) and values[at] == 0:
            at += 1
        encoder.number(at - begin)
        begin = at
        while at < len(values) and values[at] != 0:
            at += 1
        encoder.number(at - begin)
        for value in values[begin:at]:
            difference = value - before
            encoder.number(2 * difference if difference >= 0 else -2 * difference - 1)
            before = value
    return encoder.words()


def test_a_stream_made_by_hand():
    # Lengths 1 and 2, the differences +5 (zigzag 10: nibbles 2|8 and 1) and -1 (zigzag 1).
    stream = np.array([0x12A11000], dtype="<u4").tobytes()
    np.testing.assert_array_equal(decode_rvl(stream, 3), [0, 5, 4])
    assert by_nibbles([0, 5, 4]) == stream


@given(
    arrays(
        np.uint16,
        array_shapes(min_dims=1, max_dims=1, max_side=60),
        elements=st.sampled_from([0, 0, 1, 7, 8, 700, 701, 65535]) | st.integers(0, 65535),
    )
)
def test_any_pixels_survive_a_round_trip(pixels):
    stream = encode_rvl(pixels)
    assert stream == by_nibbles(pixels)
    decoded = decode_rvl(stream, len(pixels))
    assert decoded.dtype == np.uint16
    np.testing.assert_array_equal(decoded, pixels)


@given(st.binary(max_size=200), st.integers(1, 1000))
def test_rubbish_gives_pixels_or_an_error(stream, count):
    with suppress(RvlError):
        assert decode_rvl(stream, count).shape == (count,)


@pytest.mark.parametrize(
    ("stream", "problem"),
    [
        (b"", "data for 0 of 48 pixels"),
        (by_nibbles(np.full(48, 900))[:8], "runs of 48 pixels in 12 numbers"),
        (by_nibbles(np.zeros(40)), "data for 40 of 48 pixels"),
        (by_nibbles(np.zeros(50)), "runs of 50 pixels"),
        (b"\xff" * 8 + b"\0" * 8, "numbers of more than 32 bits"),
    ],
)
def test_streams_of_another_length_are_refused(stream, problem):
    with pytest.raises(RvlError, match=problem):
        decode_rvl(stream, 48)


def test_a_whole_image_is_decoded_without_a_loop_over_its_pixels():
    rng = np.random.default_rng(0)
    v, u = np.mgrid[:480, :640]
    depth = (800 + 0.3 * u + v + rng.normal(0, 2, u.shape)).astype(np.uint16)
    depth[rng.random(depth.shape) < 0.01] = 0
    stream = encode_rvl(depth)

    def seconds() -> float:
        begin = time.process_time()
        decoded = decode_rvl(stream, depth.size)
        duration = time.process_time() - begin
        np.testing.assert_array_equal(decoded, depth.reshape(-1))
        return duration

    assert min(seconds() for _ in range(5)) < 0.03


def depth_message(pixels, encoding: str, a: float = 0.0, b: float = 0.0, cut: int = 0):
    height, width = pixels.shape
    stream = encode_rvl(pixels)
    data = struct.pack("<iffii", 0, a, b, width, height) + stream[: len(stream) - cut]
    return SimpleNamespace(header=None, format=f"{encoding}; compressedDepth rvl", data=data)


DEPTH_MM = np.array([[0, 700, 701, 0], [0, 0, 65535, 1], [9, 0, 700, 700]], dtype=np.uint16)


def test_millimetres_come_out_of_a_message():
    depth = decode_depth(depth_message(DEPTH_MM, "16UC1"), "t")
    np.testing.assert_array_equal(depth, DEPTH_MM * np.float32(0.001))


def test_quantised_metres_come_out_of_a_message():
    a, b = 10100.0, -1009.0
    depth = decode_depth(depth_message(DEPTH_MM, "32FC1", a, b), "t")
    expected = np.where(DEPTH_MM == 0, np.nan, a / (DEPTH_MM - b))
    np.testing.assert_allclose(depth, expected, rtol=1e-6)


def test_a_message_that_is_cut_off_is_refused():
    problem = r"^/x/depth: RVL depth of 4x3 pixels with (data for|runs of) "
    with pytest.raises(CompressionError, match=problem):
        decode_depth(depth_message(DEPTH_MM, "16UC1", cut=4), "/x/depth")
