"""Decompression of images, so that all other code handles raw images only.

Supports the formats of compressed_image_transport and compressed_depth_image_transport: JPEG and
PNG, and depth as PNG or RVL after a header of 12 bytes. Depth and masks must be lossless.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.messages.errors import CompressionError, EncodingError
from sdfpose_core.messages.interfaces import AnyImage, CompressedImage, Image
from sdfpose_core.messages.rvl import RvlError, decode_rvl

__all__ = ["MAX_PIXELS", "declared_size", "raw_colour", "raw_depth", "raw_image", "raw_mask"]

MAX_PIXELS = 100_000_000
"""Largest image that is decoded: a few bytes can declare an image that fills the memory."""

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of the JPEG segments that contain the image size (SOF0 to SOF15)."""

_DEPTH_HEADER = struct.Struct("<iff")
"""Header of compressedDepth: an unused number and the two parameters of quantised depth."""

_RVL_HEADER = struct.Struct("<ii")
"""Columns and rows."""

_ENCODINGS = {
    ("uint8", 1): "mono8",
    ("uint8", 3): "bgr8",
    ("uint8", 4): "bgra8",
    ("uint16", 1): "mono16",
    ("uint16", 3): "bgr16",
    ("uint16", 4): "bgra16",
}
"""Encodings of images decoded by OpenCV, by type and number of channels."""


_SAME_PIXELS = {
    "mono8": ("8uc1", "bayer_rggb8", "bayer_bggr8", "bayer_gbrg8", "bayer_grbg8"),
    "mono16": ("16uc1",),
}
"""Encodings, in lower case, with the same pixels in memory as one of OpenCV's."""


@dataclass
class _RawImage:
    """The fields of a sensor_msgs/Image that are used."""

    header: Any
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: NDArray[np.uint8]


def declared_size(message: AnyImage, topic: str) -> tuple[int, int] | None:
    """Return width and height that a JPEG or PNG declares, pixels; None for a raw image.

    Raises:
        CompressionError: it is neither JPEG nor PNG, is truncated, or is too large.
    """
    if _is_raw(message):
        return None
    size = _size(_payload(cast(CompressedImage, message)), topic)
    _check_size(*size, topic)
    return size


def raw_colour(message: AnyImage, topic: str) -> Image:
    """Decompress a colour image; a raw image is returned unchanged.

    Raises:
        CompressionError: it is neither JPEG nor PNG, is truncated or damaged, or is too large.
    """
    if _is_raw(message):
        return cast(Image, message)
    message = cast(CompressedImage, message)
    pixels = _decoded(_payload(message), topic)
    encoding = _encoding(pixels)
    first = _first_word(message.format)
    if first.startswith("bayer_") and encoding in ("mono8", "mono16"):
        encoding = first
    if "compressed rgb" in message.format:
        # Some old publishers swapped red and blue.
        encoding = encoding.replace("bgr", "rgb")
    return _raw(message, pixels, encoding)


def raw_image(message: AnyImage, topic: str) -> Image:
    """Decompress any image to the encoding that its format names; a raw one is unchanged.

    Raises:
        CompressionError: it is truncated or damaged, in an unknown format, or too large.
        EncodingError: it is depth in a format that is not lossless.
    """
    if _is_raw(message):
        return cast(Image, message)
    message = cast(CompressedImage, message)
    if "compressedDepth" in message.format:
        return raw_depth(message, topic)
    pixels, encoding = _decoded(_payload(message), topic), _first_word(message.format)
    stored = _encoding(pixels)
    if encoding.startswith("rgb") and stored == encoding.replace("rgb", "bgr"):
        pixels = pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]]
    elif encoding.lower() not in _SAME_PIXELS.get(stored, ()):
        encoding = stored
    return _raw(message, pixels, encoding)


def raw_mask(message: AnyImage, topic: str) -> Image:
    """Decompress a mask; a raw mask is returned unchanged.

    Raises:
        CompressionError: it is not a PNG, is truncated or damaged, or is too large.
        EncodingError: it is a JPEG, which mixes the ids of neighbouring pixels.
    """
    if _is_raw(message):
        return cast(Image, message)
    message = cast(CompressedImage, message)
    pixels = _decoded_without_loss(_payload(message), topic, "mask")
    return _raw(message, pixels, _encoding(pixels))


def raw_depth(message: AnyImage, topic: str) -> Image:
    """Decompress a depth image to 16UC1 or 32FC1; a raw image is returned unchanged.

    The values of a PNG are millimetres for both transports, ``compressed`` and
    ``compressedDepth``. Quantised metres are A / (raw - B), with NaN where depth is missing.

    Raises:
        CompressionError: it is neither PNG nor RVL, is truncated or damaged, or is too large.
        EncodingError: it is a JPEG, or contains neither 16UC1 nor 32FC1.
    """
    if _is_raw(message):
        return cast(Image, message)
    message = cast(CompressedImage, message)
    payload = _payload(message)
    kind = _first_word(message.format)
    if payload.startswith((_PNG, _JPEG)) or "compressedDepth" not in message.format:
        pixels, parameters = _decoded_without_loss(payload, topic, "depth"), None
    else:
        if len(payload) < _DEPTH_HEADER.size:
            raise _damaged(topic, f"compressedDepth of {len(payload)} bytes")
        parameters = _DEPTH_HEADER.unpack_from(payload)[1:]
        body = payload[_DEPTH_HEADER.size :]
        if "rvl" in message.format.lower():
            pixels = _rvl(body, topic)
        else:
            pixels = _decoded_without_loss(body, topic, "depth")
    if pixels.dtype != np.uint16 or pixels.ndim != 2:
        raise EncodingError(
            topic,
            f"compressed depth with encoding {_encoding(pixels)}",
            "one channel of 16 bits",
        )
    if kind == "32FC1":
        return _raw(message, _metres(pixels, parameters, topic), "32FC1")
    if parameters is not None and kind not in ("16UC1", "mono16"):
        raise EncodingError(
            topic,
            f"compressedDepth with format '{message.format}'",
            "a format that starts with 16UC1 or 32FC1",
        )
    return _raw(message, pixels, "16UC1")


def _is_raw(message: AnyImage) -> bool:
    return not hasattr(message, "format")


def _payload(message: CompressedImage) -> bytes:
    return np.frombuffer(message.data, dtype=np.uint8).tobytes()


def _first_word(text: str) -> str:
    """Extract the raw image's encoding: '16UC1' from '16UC1; compressedDepth png'."""
    return re.split(r"[;\s]", text.strip(), maxsplit=1)[0]


def _raw(message: CompressedImage, pixels: NDArray[np.generic], encoding: str) -> Image:
    pixels = np.ascontiguousarray(pixels)
    return _RawImage(
        header=message.header,
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=pixels.strides[0],
        data=pixels.reshape(-1).view(np.uint8),
    )


def _encoding(pixels: NDArray[np.generic]) -> str:
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    unusual = f"{8 * pixels.itemsize}UC{channels}"
    return _ENCODINGS.get((pixels.dtype.name, channels), unusual)


def _decoded_without_loss(payload: bytes, topic: str, role: str) -> NDArray[np.generic]:
    if payload.startswith(_JPEG):
        raise EncodingError(
            topic,
            f"a {role} compressed as JPEG, which changes its values",
            "PNG (set the image transport's format to png), or the raw image",
        )
    return _decoded(payload, topic)


def _decoded(payload: bytes, topic: str) -> NDArray[np.generic]:
    """Decode a JPEG or PNG to unchanged pixels (H, W) or (H, W, C); three channels are BGR."""
    width, height = _size(payload, topic)
    _check_size(width, height, topic)
    try:
        # Unchanged: no reduction to 8 bits, no rotation by Exif tags.
        pixels = cv2.imdecode(np.frombuffer(payload, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise _damaged(topic, f"an image that cannot be decoded ({error.err})") from error
    if pixels is None:
        raise _damaged(
            topic, f"a truncated image of {width}x{height} pixels in {len(payload)} bytes"
        )
    return pixels


def _size(payload: bytes, topic: str) -> tuple[int, int]:
    """Read width and height of a complete JPEG or PNG."""
    if payload.startswith(_PNG):
        if len(payload) < 24 or payload[12:16] != b"IHDR":
            raise _damaged(topic, f"a PNG of {len(payload)} bytes without a header")
        width, height = struct.unpack_from(">II", payload, 16)
        return width, height
    if payload.startswith(_JPEG):
        return _jpeg_size(payload, topic)
    raise CompressionError(
        topic,
        f"{len(payload)} bytes that start with '{payload[:8].hex(' ')}'",
        "a JPEG or PNG image (or compressedDepth for depth)",
    )


def _jpeg_size(payload: bytes, topic: str) -> tuple[int, int]:
    at = 2
    while at + 9 <= len(payload) and payload[at] == 0xFF:
        if payload[at + 1] == 0xFF:  # fill byte
            at += 1
        elif payload[at + 1] in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", payload, at + 5)
            # Old versions of the decoder fill missing data with grey.
            if payload.rfind(_JPEG_END, at) < 0:
                raise _damaged(topic, f"a JPEG of {len(payload)} bytes without an end marker")
            return width, height
        else:
            at += 2 + int.from_bytes(payload[at + 2 : at + 4], "big")
    raise _damaged(topic, f"a JPEG of {len(payload)} bytes without a size")


def _rvl(body: bytes, topic: str) -> NDArray[np.uint16]:
    if len(body) < _RVL_HEADER.size:
        raise _damaged(topic, f"RVL depth of {len(body)} bytes")
    width, height = _RVL_HEADER.unpack_from(body)
    _check_size(width, height, topic)
    try:
        pixels = decode_rvl(body[_RVL_HEADER.size :], width * height)
    except RvlError as error:
        raise _damaged(topic, f"RVL depth of {width}x{height} pixels with {error}") from error
    return pixels.reshape(height, width)


def _metres(
    raw: NDArray[np.generic], parameters: tuple[float, ...] | None, topic: str
) -> NDArray[np.float32]:
    """Dequantise depth of compressed_depth_image_transport, which is finer at short range."""
    if parameters is None:
        raise EncodingError(
            topic,
            "32FC1 depth in a plain image, which cannot store it",
            "the transport compressedDepth, or 16UC1",
        )
    a, b = parameters
    # B = 1 - A / (largest depth), so every raw value above 0 is a depth above 0.
    if not (np.isfinite(a) and np.isfinite(b) and a > 0.0 and b < 1.0):
        raise CompressionError(
            topic, f"32FC1 depth quantised with A = {a:g}, B = {b:g}", "A above 0, B below 1"
        )
    depth = np.float32(a) / (raw.astype(np.float32) - np.float32(b))
    return np.where(raw == 0, np.float32(np.nan), depth)


def _check_size(width: int, height: int, topic: str) -> None:
    if width <= 0 or height <= 0 or width * height > MAX_PIXELS:
        raise CompressionError(
            topic,
            f"a compressed image that declares {width}x{height} pixels",
            f"1 to {MAX_PIXELS / 1e6:g} million pixels",
        )


def _damaged(topic: str, problem: str) -> CompressionError:
    return CompressionError(
        topic, problem, "a complete image (check for truncation and for a wrong format field)"
    )
