"""Image and text files of data sets, with errors that name the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import FrameError

__all__ = ["image_size", "read_image", "read_text"]


def image_size(image: NDArray[Any]) -> str:
    """Width x height in words."""
    return f"{image.shape[1]}x{image.shape[0]}"


def read_image(
    path: Path,
    wanted: str,
    types: tuple[type[np.unsignedinteger[Any]], ...],
    channels: tuple[int, ...] = (1,),
) -> NDArray[Any]:
    """An image file as (H, W), or (H, W, C) in the order BGR.

    Args:
        path: of the file.
        wanted: what is expected, in words.
        types: element types that are accepted.
        channels: numbers of channels that are accepted.

    Raises:
        FrameError: the file cannot be read or decoded, or is of another type.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FrameError(f"{path}: cannot be read: {error.strerror}") from error
    image = None
    if content:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise FrameError(
            f"{path}: cannot be decoded ({len(content)} bytes, damaged or no image): expected a "
            f"PNG file, {wanted}"
        )
    came = 1 if image.ndim == 2 else image.shape[2]
    if image.dtype not in types or came not in channels:
        raise FrameError(
            f"{path}: is {image.dtype.itemsize * 8}-bit with {came} channel(s): expected {wanted}"
        )
    return image


def read_text(path: Path) -> str:
    """A text file.

    Raises:
        FrameError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise FrameError(f"{path}: cannot be read as text: {error}") from error
