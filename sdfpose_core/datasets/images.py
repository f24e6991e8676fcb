"""Read image and text files of data sets, with errors that name the file."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import FrameError
from sdfpose_core.messages.colour import eight_bits
from sdfpose_core.storage import text

__all__ = ["image_size", "read_colour", "read_image", "read_text"]


def image_size(image: NDArray[Any]) -> str:
    """Format the size of an image as ``WIDTHxHEIGHT``."""
    return f"{image.shape[1]}x{image.shape[0]}"


def read_image(
    path: Path,
    expected: str,
    types: tuple[type[np.unsignedinteger[Any]], ...],
    channels: tuple[int, ...] = (1,),
) -> NDArray[Any]:
    """Read an image file as an array (H, W), or (H, W, C) in BGR order.

    Args:
        path: path of the file.
        expected: description of the expected format, for errors.
        types: accepted element types.
        channels: accepted numbers of channels.

    Raises:
        FrameError: the file cannot be read or decoded, or has another format.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FrameError(f"{path}: cannot be read: {error.strerror}") from error
    image = None
    if content:
        with contextlib.suppress(cv2.error):  # e.g. more pixels than OpenCV accepts
            image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise FrameError(
            f"{path}: cannot be decoded ({len(content)} bytes, damaged or not an image): expected "
            f"a PNG file, {expected}"
        )
    count = 1 if image.ndim == 2 else image.shape[2]
    if image.dtype not in types or count not in channels:
        raise FrameError(
            f"{path}: is {image.dtype.itemsize * 8}-bit with {count} channel(s): expected "
            f"{expected}"
        )
    return image


def read_colour(path: Path) -> NDArray[np.uint8]:
    """Read a colour or grey image file, of 8 or 16 bits, as (H, W, 3) uint8, RGB.

    Raises:
        FrameError: the file cannot be read or decoded, or has another format.
    """
    image = read_image(
        path, "8- or 16-bit RGB, RGBA or grey", (np.uint8, np.uint16), channels=(1, 3, 4)
    )
    pixels = eight_bits(image)
    rgb = np.stack([pixels] * 3, axis=-1) if pixels.ndim == 2 else pixels[..., 2::-1]
    return np.ascontiguousarray(rgb)


def read_text(path: Path) -> str:
    """Read a text file; see `storage.text.decode_text` for its encoding.

    Raises:
        FrameError: the file cannot be read.
    """
    try:
        return text.read_text(path)
    except (OSError, ValueError) as error:
        raise FrameError(f"{path}: cannot be read as text: {error}") from error
