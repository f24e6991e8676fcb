"""Square colour crops around instances: the part of an image that a colour network sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import FrameError

__all__ = ["ColourCrop", "CropFormat", "crop_window", "is_blank", "square_crop"]

CropFormat = Literal["png", "jpeg"]

_WINDOW_STEP_PX = 40
"""Crop sides are multiples of this."""

_JPEG_QUALITY = 95

_MIN_CONTRAST = 3.0
"""Standard deviation of the grey levels of an image (0 to 255) that shows something. Noise alone
has less: a black image of a covered lens, or a saturated one."""

_CONTRAST_GRID = 32
"""The contrast is that of this many pixels along each side."""

_CONTRAST_MARGIN = 0.25
"""The image around an instance: so many longer sides of its box on each side."""


@dataclass(frozen=True)
class ColourCrop:
    """Encoded square part of a colour image.

    Attributes:
        left: column of the crop's first pixel in the image; negative if the crop extends beyond it.
        top: row of the crop's first pixel in the image.
        side: number of rows and columns, pixels.
        encoded: content of a PNG or JPEG file.
    """

    left: int
    top: int
    side: int
    encoded: bytes

    @classmethod
    def around(
        cls, image: NDArray[np.uint8], pixels: NDArray[np.integer], encoding: CropFormat = "png"
    ) -> ColourCrop:
        """Crop an image around an instance; see `crop_window`.

        Args:
            image: (H, W, 3) uint8, RGB.
            pixels: (N, 2) integer, (u, v) of the instance.
            encoding: ``png`` keeps every pixel, ``jpeg`` (quality 95) needs a quarter of the space.
        """
        left, top, side = crop_window(pixels, image.shape)
        part = square_crop(image, left, top, side)[..., ::-1]
        options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if encoding == "jpeg" else []
        _, encoded = cv2.imencode(f".{encoding}", part, options)
        return cls(left, top, side, encoded.tobytes())

    def decode(self) -> NDArray[np.uint8]:
        """Decode the crop (side, side, 3) uint8, RGB.

        Raises:
            FrameError: the content is damaged.
        """
        content = np.frombuffer(self.encoded, dtype=np.uint8)
        image = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
        if image is None or image.shape[:2] != (self.side, self.side):
            raise FrameError(
                f"a colour crop of {len(content)} bytes cannot be decoded: expected a PNG or JPEG "
                f"image of {self.side}x{self.side} pixels; prepare the data again"
            )
        return np.ascontiguousarray(image[..., ::-1], dtype=np.uint8)


def crop_window(pixels: NDArray[np.integer], image: tuple[int, ...]) -> tuple[int, int, int]:
    """Compute the square crop around an instance: left, top and side, pixels.

    As in the published implementation of SSC-6D, the side is the next multiple of 40 above the
    longer side of the instance's box, and a square that extends beyond the image is moved inside. A
    square larger than the image extends beyond it on both sides; the published implementation,
    which handles only images of 480 rows, limits the side to 440 instead.

    Args:
        pixels: (N, 2) integer, (u, v) of the instance.
        image: numbers of rows and columns of the image.
    """
    low, high = pixels.min(axis=0), pixels.max(axis=0) + 1
    side = (int((high - low).max()) // _WINDOW_STEP_PX + 1) * _WINDOW_STEP_PX
    start = []
    for middle, length in zip((low + high) // 2, (image[1], image[0]), strict=True):
        room = length - side
        start.append(min(max(int(middle) - side // 2, 0), room) if room >= 0 else room // 2)
    return start[0], start[1], side


def square_crop(image: NDArray[np.uint8], left: int, top: int, side: int) -> NDArray[np.uint8]:
    """Crop a square (side, side, 3) from an image (H, W, 3), padded with black."""
    height, width = image.shape[:2]
    rows = slice(max(top, 0), min(top + side, height))
    columns = slice(max(left, 0), min(left + side, width))
    out = np.zeros((side, side, 3), dtype=np.uint8)
    out[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = image[
        rows, columns
    ]
    return out


def is_blank(image: NDArray[np.uint8] | ColourCrop, pixels: NDArray[np.integer]) -> bool:
    """Whether an image shows nothing around an instance: it is black, saturated or of one grey.

    Args:
        image: (H, W, 3) uint8, RGB, or a crop around the instance.
        pixels: (N, 2) integer, (u, v) of the instance.

    Raises:
        FrameError: the crop is damaged.
    """
    if len(pixels) == 0:
        return False
    if isinstance(image, ColourCrop):
        part = image.decode()
    else:
        low, high = pixels.min(axis=0), pixels.max(axis=0) + 1
        margin = int(_CONTRAST_MARGIN * int((high - low).max())) + 1
        left, top = np.maximum(low - margin, 0)
        right, bottom = high + margin
        part = image[top:bottom, left:right]
    rows, columns = (max(x // _CONTRAST_GRID, 1) for x in part.shape[:2])
    return float(part[::rows, ::columns].mean(axis=2).std()) < _MIN_CONTRAST
