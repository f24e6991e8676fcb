"""Colour as camera drivers send it: every encoding, padded, in planes, in either byte order."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from sdfpose_core.messages.decoding import colour_size, decode_colour, decode_depth, decode_mask
from sdfpose_core.messages.errors import EncodingError, ImageLayoutError

H, W = 8, 12
_U, _V = np.meshgrid(np.arange(W), np.arange(H))
RGB = np.dstack([40 + 12 * _U, 60 + 20 * _V, 200 - 6 * _U - 6 * _V]).astype(np.uint8)
"""A smooth image: subsampled chroma is close to that of each pixel."""


def message(encoding, data, *, step=0, height=H, width=W, big_endian=0):
    data = np.ascontiguousarray(data).view(np.uint8).reshape(-1)
    return SimpleNamespace(
        encoding=encoding, data=data, step=step, height=height, width=width,
        is_bigendian=big_endian,
    )  # fmt: skip


def yuv(sampling: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Y, U and V of BT.601 with a limited range; chroma is the mean of its pixels."""
    r, g, b = (RGB[..., i].astype(float) for i in range(3))
    y = 16 + 0.257 * r + 0.504 * g + 0.098 * b
    u = 128 - 0.148 * r - 0.291 * g + 0.439 * b
    v = 128 + 0.439 * r - 0.368 * g - 0.071 * b
    columns, rows = sampling
    u, v = (x.reshape(H // rows, rows, W // columns, columns).mean((1, 3)) for x in (u, v))
    return tuple(np.rint(x).astype(np.uint8) for x in (y, u, v))


SAMPLINGS = {
    "nv12": (2, 2), "nv21": (2, 2), "nv16": (2, 1), "nv61": (2, 1), "nv24": (1, 1), "nv42": (1, 1),
    "i420": (2, 2), "yuv420p": (2, 2), "YUV420": (2, 2), "yv12": (2, 2), "yuv422p": (2, 1),
    "yuv444p": (1, 1),
}  # fmt: skip


def planar(encoding: str, padding: int = 0, rows: int = 0) -> np.ndarray:
    """The bytes of all planes; each row of luma is followed by padding, each plane by rows."""
    columns, per_row = SAMPLINGS[encoding]
    y, u, v = yuv((columns, per_row))
    if encoding in ("nv21", "nv61", "nv42", "yv12"):
        u, v = v, u

    def padded(plane, width, height):
        return np.pad(plane, ((0, height), (0, width)), constant_values=7).reshape(-1)

    chroma = rows // per_row
    if encoding.startswith("nv"):
        pairs = np.stack([u, v], -1).reshape(H // per_row, -1)
        rest = [padded(pairs, 2 * padding // columns, chroma)]
    else:
        rest = [padded(x, padding // columns, chroma) for x in (u, v)]
    return np.concatenate([padded(y, padding, rows), *rest])


def assert_close(sent, tolerance=14):
    colour = decode_colour(sent, "/x/colour")
    assert (colour.dtype, colour.shape) == (np.uint8, (H, W, 3))
    assert colour.flags.c_contiguous
    assert colour_size(sent, "/x/colour") == (W, H)
    assert np.abs(colour.astype(int) - RGB).max() <= tolerance


@pytest.mark.parametrize("encoding", SAMPLINGS)
@pytest.mark.parametrize("layout", ["plain", "no step", "padded", "data / height", "both", "rows"])
def test_yuv_in_planes_is_read_in_every_layout_of_drivers(encoding, layout):
    factor = 1 + 2 / np.prod(SAMPLINGS[encoding])
    assert_close(
        {
            "plain": lambda: message(encoding, planar(encoding), step=W),
            "no step": lambda: message(encoding, planar(encoding)),
            "padded": lambda: message(encoding, planar(encoding, 4), step=W + 4),
            # depthai: the amount of data divided by the height
            "data / height": lambda: message(encoding, planar(encoding), step=int(factor * W)),
            "both": lambda: message(encoding, planar(encoding, 4), step=int(factor * (W + 4))),
            # hardware codecs: 8 rows become 16
            "rows": lambda: message(encoding, planar(encoding, 4, 8), step=W + 4),
        }[layout]()
    )


@pytest.mark.parametrize("encoding", ["nv12", "nv21", "i420", "yv12", "nv16", "nv24"])
@pytest.mark.parametrize("padding", [0, 4])
def test_a_height_that_includes_the_chroma_rows_is_understood(encoding, padding):
    rows = int(H * (1 + 2 / np.prod(SAMPLINGS[encoding])))
    data = planar(encoding, padding)
    assert_close(message(encoding, data, step=W + padding, height=rows))


def test_a_buffer_that_was_rounded_up_is_read():
    assert_close(message("nv12", np.append(planar("nv12"), np.zeros(5, np.uint8)), step=W))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"data": planar("nv12")[:-2]}, r"nv12 image of 12x8 .*142 bytes.*: expected 144 bytes"),
        ({"data": planar("nv12")[: H * W]}, "with step 12 and 96 bytes"),
        ({"data": np.zeros(0, np.uint8)}, "0 bytes of data"),
        ({"data": np.zeros(H * 11 * 3 // 2, np.uint8), "width": 11, "step": 11}, "multiple of 2"),
        ({"height": 0}, "12x0 pixels"),
    ],
)
def test_planes_that_are_incomplete_name_topic_and_encoding(change, problem):
    sent = message("nv12", planar("nv12"), step=W)
    vars(sent).update(change)
    with pytest.raises(ImageLayoutError, match=f"^/x/colour: .*nv12.*{problem}|{problem}"):
        decode_colour(sent, "/x/colour")


@pytest.mark.parametrize(
    ("encoding", "order"),
    [("uyvy", "uyvy"), ("yuv422", "uyvy"), ("yuyv", "yuyv"), ("yuv422_yuy2", "yuyv"),
     ("YUY2", "yuyv"), ("yvyu", "yvyu")],
)  # fmt: skip
@pytest.mark.parametrize("padding", [0, 6])
def test_packed_yuv_is_read(encoding, order, padding):
    y, u, v = yuv((2, 1))
    values = {"u": u, "v": v, "y": None}
    packed = np.empty((H, W // 2, 4), np.uint8)
    luma = iter((y[:, ::2], y[:, 1::2]))
    for i, name in enumerate(order):
        packed[..., i] = next(luma) if name == "y" else values[name]
    rows = np.pad(packed.reshape(H, -1), ((0, 0), (0, padding)))
    assert_close(message(encoding, rows, step=2 * W + padding))


def test_packed_yuv_of_an_odd_width_is_refused_by_name():
    with pytest.raises(ImageLayoutError, match=r"^/x/colour: uyvy image of 11x8 .*even width"):
        decode_colour(message("uyvy", np.zeros(11 * 8 * 2, np.uint8), width=11), "/x/colour")


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("order", ["rgb", "bgr", "rgba", "bgra"])
@pytest.mark.parametrize("big_endian", [0, 1])
def test_channels_of_8_and_16_bits_are_read(bits, order, big_endian):
    channels = {
        "r": RGB[..., 0],
        "g": RGB[..., 1],
        "b": RGB[..., 2],
        "a": np.zeros_like(RGB[..., 0]),
    }
    pixels = np.stack([channels[x] for x in order], -1)
    if bits == 16:
        pixels = (pixels.astype(np.uint16) * 257).astype(">u2" if big_endian else "<u2")
    sent = message(f"{order}{bits}", pixels, step=pixels.strides[0], big_endian=big_endian)
    assert_close(sent, tolerance=0)


@pytest.mark.parametrize("big_endian", [0, 1])
def test_grey_of_16_bits_is_scaled_to_8(big_endian):
    grey = np.linspace(0, 65535, W * H).reshape(H, W).astype(">u2" if big_endian else "<u2")
    colour = decode_colour(message("mono16", grey, step=2 * W, big_endian=big_endian), "t")
    np.testing.assert_allclose(colour, np.repeat(grey[..., None] / 257.0, 3, 2), atol=0.5)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("padding", [0, 6])
def test_bayer_patterns_of_one_colour_become_that_colour(bits, pattern, padding):
    values = {"r": 200, "g": 120, "b": 40}
    cell = np.array([values[x] for x in pattern]).reshape(2, 2)
    raw = np.tile(cell * (257 if bits == 16 else 1), (H // 2, W // 2)).astype(f"u{bits // 8}")
    rows = np.pad(np.ascontiguousarray(raw).view(np.uint8), ((0, 0), (0, padding)))
    colour = decode_colour(message(f"bayer_{pattern}{bits}", rows, step=rows.shape[1]), "t")
    np.testing.assert_array_equal(colour[2:-2, 2:-2], np.full((H - 4, W - 4, 3), (200, 120, 40)))


@pytest.mark.parametrize("step", [0, W, 1, 4 * W])
def test_a_wrong_step_does_not_matter_if_the_rows_are_not_padded(step):
    assert_close(message("rgb8", RGB, step=step), tolerance=0)


def test_the_last_row_may_lack_its_padding():
    rows = np.pad(RGB.reshape(H, -1), ((0, 0), (0, 4))).reshape(-1)[:-4]
    assert_close(message("rgb8", rows, step=3 * W + 4), tolerance=0)


def test_names_of_encodings_may_be_in_capitals():
    assert_close(message("BGR8", RGB[..., ::-1], step=3 * W), tolerance=0)
    depth = message("16uc1", np.full((H, W), 700, np.uint16), step=2 * W)
    np.testing.assert_allclose(decode_depth(depth, "t"), 0.7)


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1", "8UC4", "jpeg", "bayer_rggb12", ""])
def test_what_is_no_colour_names_topic_encoding_and_remedy(encoding):
    with pytest.raises(EncodingError, match=rf"^/x/colour: .*'{encoding}': expected rgb8.*driver"):
        decode_colour(message(encoding, np.zeros((H, W, 4), np.uint8), step=4 * W), "/x/colour")


@pytest.mark.parametrize("kind", ["8SC1", "16SC1", "32SC1"])
def test_masks_of_signed_integers_are_read(kind):
    ids = np.arange(H * W).reshape(H, W).astype({"8": "i1", "1": "i2", "3": "i4"}[kind[0]])
    sent = message(kind, ids, step=ids.strides[0])
    np.testing.assert_array_equal(decode_mask(sent, "t"), ids)
    for wrong in (-1, 70_000 if kind == "32SC1" else -2):
        ids[0, 0] = wrong
        with pytest.raises(
            ImageLayoutError, match=r"^/x/mask: mask with ids from .* 0 \(background"
        ):
            decode_mask(message(kind, ids, step=ids.strides[0]), "/x/mask")


def test_the_conversion_is_that_of_opencv():
    i420 = cv2.cvtColor(RGB, cv2.COLOR_RGB2YUV_I420)
    expected = cv2.cvtColor(i420, cv2.COLOR_YUV2RGB_I420)
    np.testing.assert_array_equal(decode_colour(message("i420", i420, step=W), "t"), expected)
