"""Compression of raw images, as the transports of ROS 2 do it; `compressed` is the way back.

All is lossless but JPEG. An image that no format holds without loss stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import ConfigurationError
from sdfpose_core.messages.encoding import compressed_depth_message, compressed_message
from sdfpose_core.messages.factory import MessageFactory
from sdfpose_core.messages.interfaces import CompressedImage, Image
from sdfpose_core.messages.layout import packed_rows

__all__ = ["Codecs", "ColourCodec", "DepthCodec", "compressed_copy"]

ColourCodec = Literal["png", "jpeg", "raw"]
DepthCodec = Literal["png", "rvl", "raw"]

_LAYOUTS = {
    "mono8": ("u1", 1),
    "8uc1": ("u1", 1),
    "rgb8": ("u1", 3),
    "bgr8": ("u1", 3),
    "rgba8": ("u1", 4),
    "bgra8": ("u1", 4),
    "bayer_rggb8": ("u1", 1),
    "bayer_bggr8": ("u1", 1),
    "bayer_gbrg8": ("u1", 1),
    "bayer_grbg8": ("u1", 1),
    "mono16": ("u2", 1),
    "16uc1": ("u2", 1),
    "rgb16": ("u2", 3),
    "bgr16": ("u2", 3),
}
"""Type and number of the channels of the encodings that a PNG file holds, in lower case."""

_LOSSY = ("mono8", "rgb8", "bgr8")
"""Encodings that become JPEG; the pattern of Bayer images would be smeared."""

_DEPTH = ("16uc1", "mono16")

_PNG_LEVEL = 1
"""The fastest level; higher ones take several times as long for files a tenth smaller."""


@dataclass(frozen=True)
class Codecs:
    """How images are compressed; masks always as PNG.

    Attributes:
        colour: ``png``, ``jpeg``, which is lossy, or ``raw``.
        depth: ``png``, ``rvl`` or ``raw``.
        jpeg_quality: 1 to 100.

    Raises:
        ConfigurationError: a codec is unknown.
    """

    colour: ColourCodec = "png"
    depth: DepthCodec = "png"
    jpeg_quality: int = 95

    def __post_init__(self) -> None:
        for name, value, known in (
            ("colour", self.colour, get_args(ColourCodec)),
            ("depth", self.depth, get_args(DepthCodec)),
        ):
            if value not in known:
                raise ConfigurationError(
                    f"codec of {name} is '{value}': expected one of {', '.join(known)}"
                )


def compressed_copy(
    new: MessageFactory, image: Image, topic: str, role: str, codecs: Codecs
) -> tuple[str, CompressedImage] | None:
    """Compress an image.

    Args:
        new: message factory.
        image: the raw image.
        topic: its topic, for errors.
        role: ``colour``, ``depth`` or ``mask``.
        codecs: how to compress it.

    Returns:
        The suffix of the transport's topic, and the compressed image; None if it stays raw.

    Raises:
        ImageLayoutError: size, step and data do not agree.
    """
    encoding = image.encoding.strip()
    kind = encoding.lower()
    codec: str = {"colour": codecs.colour, "depth": codecs.depth}.get(role, "png")
    if codec == "raw" or kind not in _LAYOUTS or (role == "depth" and kind not in _DEPTH):
        return None
    pixels = _pixels(image, topic, *_LAYOUTS[kind])
    if role == "depth":
        best: Literal["png", "rvl"] = "rvl" if codec == "rvl" else "png"
        return "/compressedDepth", compressed_depth_message(new, pixels, image.header, best)
    if codec == "jpeg" and kind in _LOSSY:
        quality = [cv2.IMWRITE_JPEG_QUALITY, codecs.jpeg_quality]
        return "/compressed", compressed_message(
            new, pixels, encoding, image.header, "jpeg", quality
        )
    level = [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL]
    return "/compressed", compressed_message(new, pixels, encoding, image.header, "png", level)


def _pixels(image: Image, topic: str, kind: str, channels: int) -> NDArray[Any]:
    """View an image as (H, W) or (H, W, C), in the byte order of this machine."""
    dtype = np.dtype(kind)
    given = dtype.newbyteorder(">" if image.is_bigendian else "<")
    rows = packed_rows(image, topic, dtype.itemsize * channels).view(given)
    shape = rows.shape if channels == 1 else (rows.shape[0], -1, channels)
    return rows.reshape(shape).astype(dtype, copy=False)
