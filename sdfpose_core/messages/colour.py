"""Colour encodings of raw images, as camera drivers send them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.messages.errors import EncodingError, ImageLayoutError
from sdfpose_core.messages.interfaces import Image
from sdfpose_core.messages.layout import (
    Subsampling,
    chroma_planes,
    luma_plane,
    packed_rows,
    planes,
)

__all__ = ["eight_bits", "rgb_pixels", "rgb_size"]

_CHANNELS: Mapping[str, tuple[int, ...]] = {
    "rgb": (0, 1, 2),
    "bgr": (2, 1, 0),
    "rgba": (0, 1, 2),
    "bgra": (2, 1, 0),
    "mono": (0, 0, 0),
}
"""Indices of the red, green and blue channels."""

_OPENCV_TYPES: Mapping[str, str] = {"8uc1": "mono8", "8uc3": "rgb8", "16uc3": "rgb16"}
"""Encodings without a channel order that are read as cv_bridge reads them."""

_BAYER: Mapping[str, int] = {
    "bayer_rggb": cv2.COLOR_BayerBG2RGB,
    "bayer_bggr": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg": cv2.COLOR_BayerGR2RGB,
    "bayer_grbg": cv2.COLOR_BayerGB2RGB,
}
"""OpenCV names a pattern by the second row and column."""

_PACKED_YUV: Mapping[str, int] = {
    "uyvy": cv2.COLOR_YUV2RGB_UYVY,
    "yuv422": cv2.COLOR_YUV2RGB_UYVY,
    "yuyv": cv2.COLOR_YUV2RGB_YUY2,
    "yuy2": cv2.COLOR_YUV2RGB_YUY2,
    "yuv422_yuy2": cv2.COLOR_YUV2RGB_YUY2,
    "yvyu": cv2.COLOR_YUV2RGB_YVYU,
}


@dataclass(frozen=True)
class _PlanarYuv:
    subsampling: Subsampling
    u_first: bool


def _planar(columns: int, rows: int, interleaved: bool, u_first: bool = True) -> _PlanarYuv:
    return _PlanarYuv(Subsampling(columns, rows, interleaved), u_first)


_PLANAR_YUV: Mapping[str, _PlanarYuv] = {
    "nv12": _planar(2, 2, True),
    "nv21": _planar(2, 2, True, False),
    "nv16": _planar(2, 1, True),
    "nv61": _planar(2, 1, True, False),
    "nv24": _planar(1, 1, True),
    "nv42": _planar(1, 1, True, False),
    **dict.fromkeys(("i420", "iyuv", "yu12", "yuv420", "yuv420p"), _planar(2, 2, False)),
    **dict.fromkeys(("yv12", "yvu420"), _planar(2, 2, False, False)),
    **dict.fromkeys(("i422", "yuv422p"), _planar(2, 1, False)),
    **dict.fromkeys(("i444", "yuv444p"), _planar(1, 1, False)),
}

_PIXELS = re.compile(r"(rgba?|bgra?|mono|bayer_(?:rggb|bggr|gbrg|grbg))(8|16)")

_EXPECTED = (
    "rgb8, bgr8, rgba8, bgra8, mono8 or their 16-bit forms, Bayer, or YUV as uyvy, yuyv, nv12, "
    "nv21, nv16, nv24, i420 or yv12 (set the format in the driver, or convert the topic)"
)


def rgb_size(message: Image, topic: str) -> tuple[int, int]:
    """Return width and height of a raw colour image, pixels.

    For YUV in planes, the height of the message may include the chroma rows.

    Raises:
        ImageLayoutError: size, step and data do not agree.
    """
    planar = _PLANAR_YUV.get(_name(message.encoding))
    if planar is None:
        return message.width, message.height
    layout = planes(message, topic, planar.subsampling)
    return layout.width, layout.height


def rgb_pixels(message: Image, topic: str) -> NDArray[np.uint8]:
    """Decode a raw colour image to (H, W, 3) uint8, RGB.

    16 bits are scaled to 8. YUV is that of BT.601 with a limited range, as in cv_bridge.

    Raises:
        EncodingError: the encoding is not one of colour or grey images.
        ImageLayoutError: size, step and data do not agree.
    """
    name = _name(message.encoding)
    try:
        if (planar := _PLANAR_YUV.get(name)) is not None:
            return _from_planes(message, topic, planar)
        if (conversion := _PACKED_YUV.get(name)) is not None:
            return _from_packed_yuv(message, topic, conversion)
        if (pixels := _PIXELS.fullmatch(name)) is not None:
            return _from_pixels(message, topic, pixels[1], int(pixels[2]))
    except cv2.error as error:
        raise ImageLayoutError(
            topic,
            f"{message.encoding} image of {message.width}x{message.height} pixels that cannot be "
            f"converted ({error.err})",
            "a size that the encoding allows",
        ) from error
    raise EncodingError(topic, f"colour image with encoding '{message.encoding}'", _EXPECTED)


def _name(encoding: str) -> str:
    """Canonical name of an encoding; drivers differ in case."""
    name = encoding.strip().lower()
    return _OPENCV_TYPES.get(name, name)


def _from_pixels(message: Image, topic: str, order: str, bits: int) -> NDArray[np.uint8]:
    channels = 1 if order.startswith(("mono", "bayer")) else len(order)
    rows = packed_rows(message, topic, channels * bits // 8)
    values: NDArray[Any] = rows
    if bits == 16:
        values = rows.view(">u2" if message.is_bigendian else "<u2").astype(np.uint16)
    if order in _BAYER:
        return eight_bits(cv2.cvtColor(values, _BAYER[order]))
    pixels = values.reshape(message.height, message.width, channels)
    if order in ("rgb", "rgba"):
        return np.ascontiguousarray(eight_bits(pixels[..., :3]))
    return np.ascontiguousarray(eight_bits(pixels)[..., _CHANNELS[order]])


def eight_bits(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scale pixels of 16 bits to 8; those of 8 bits stay."""
    if pixels.dtype == np.uint8:
        return np.asarray(pixels, dtype=np.uint8)
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _from_packed_yuv(message: Image, topic: str, conversion: int) -> NDArray[np.uint8]:
    if message.width % 2:
        raise ImageLayoutError(
            topic,
            f"{message.encoding} image of {message.width}x{message.height} pixels",
            "an even width, because two pixels share their colour",
        )
    rows = packed_rows(message, topic, 2)
    return _converted(rows.reshape(message.height, message.width, 2), conversion)


def _from_planes(message: Image, topic: str, encoding: _PlanarYuv) -> NDArray[np.uint8]:
    sampling = encoding.subsampling
    layout = planes(message, topic, sampling)
    data = np.frombuffer(message.data, dtype=np.uint8)
    y = luma_plane(data, layout)
    u, v = chroma_planes(data, layout, sampling)
    if not encoding.u_first:
        u, v = v, u
    return _TO_RGB[sampling.columns, sampling.rows](y, u, v)


def _rgb_of_420(
    y: NDArray[np.uint8], u: NDArray[np.uint8], v: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    i420 = np.concatenate([y.reshape(-1), u.reshape(-1), v.reshape(-1)])
    return _converted(i420.reshape(-1, y.shape[1]), cv2.COLOR_YUV2RGB_I420)


def _rgb_of_422(
    y: NDArray[np.uint8], u: NDArray[np.uint8], v: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    yuyv = np.empty((*y.shape, 2), dtype=np.uint8)
    yuyv[..., 0], yuyv[:, ::2, 1], yuyv[:, 1::2, 1] = y, u, v
    return _converted(yuyv, cv2.COLOR_YUV2RGB_YUY2)


def _rgb_of_444(
    y: NDArray[np.uint8], u: NDArray[np.uint8], v: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    # OpenCV has no 4:4:4 of limited range: each pixel twice is 4:2:2.
    return np.ascontiguousarray(_rgb_of_422(np.repeat(y, 2, axis=1), u, v)[:, ::2])


_TO_RGB: Mapping[
    tuple[int, int],
    Callable[[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.uint8]],
] = {(2, 2): _rgb_of_420, (2, 1): _rgb_of_422, (1, 1): _rgb_of_444}


def _converted(pixels: NDArray[np.uint8], conversion: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(pixels, conversion), dtype=np.uint8)
