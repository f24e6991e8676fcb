"""Memory layout of raw images: padded rows, planes, and what drivers make of the field step."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.messages.errors import ImageLayoutError
from sdfpose_core.messages.interfaces import Image

__all__ = ["PlaneLayout", "Subsampling", "chroma_planes", "luma_plane", "packed_rows", "planes"]

_PLANE_ALIGNMENTS = (2, 4, 8, 16, 32, 64)
"""Hardware codecs round the number of rows of a plane up to a multiple of one of these."""


@dataclass(frozen=True)
class Subsampling:
    """Chroma subsampling of a YUV image in planes.

    Attributes:
        columns, rows: columns and rows of pixels that share a chroma sample.
        interleaved: whether both chroma channels are in one plane (NV12) or in two (I420).
    """

    columns: int
    rows: int
    interleaved: bool

    @property
    def bytes_per_pixel(self) -> Fraction:
        """Size of all planes, bytes per pixel."""
        return 1 + Fraction(2, self.columns * self.rows)


@dataclass(frozen=True)
class PlaneLayout:
    """Size of an image in planes, and where its planes are.

    Attributes:
        width, height: size of the image, pixels.
        stride: bytes from one row of the luma plane to the next.
        rows: rows of the luma plane, at least `height`.
    """

    width: int
    height: int
    stride: int
    rows: int


def packed_rows(message: Image, topic: str, pixel_bytes: int) -> NDArray[np.uint8]:
    """View an image with interleaved channels as rows (H, W * pixel_bytes) without padding.

    A step that cannot be right is ignored if the data has exactly the size of unpadded rows. The
    last row may lack its padding.

    Raises:
        ImageLayoutError: size, step and data do not agree.
    """
    height, step, row = message.height, message.step, message.width * pixel_bytes
    data = np.frombuffer(message.data, dtype=np.uint8)
    if row and height and len(data) == height * row:
        return data.reshape(height, row)
    shown = f"{message.encoding} image of {message.width}x{height} pixels"
    if not row or not height or step < row:
        raise ImageLayoutError(
            topic,
            f"{shown} with step {step}",
            f"a positive size and a step of at least {row} bytes",
        )
    if len(data) < (height - 1) * step + row:
        raise ImageLayoutError(
            topic,
            f"{shown} with {len(data)} bytes of data",
            f"height x step = {height * step} bytes",
        )
    if len(data) < height * step:
        data = np.pad(data, (0, height * step - len(data)))
    return np.ascontiguousarray(data[: height * step].reshape(height, step)[:, :row])


def planes(message: Image, topic: str, subsampling: Subsampling) -> PlaneLayout:
    """Find the layout of a YUV image in planes.

    Drivers disagree about three things. The height may be that of the image or include the chroma
    rows; the step may be that of the luma plane or the whole data divided by the height; and the
    planes may have padded rows, or additional rows. The amount of data tells which it is.

    Raises:
        ImageLayoutError: the amount of data fits none of the layouts.
    """
    width, height, step = message.width, message.height, message.step
    size = len(np.frombuffer(message.data, dtype=np.uint8))
    found = _layout(width, height, step, size, subsampling) if width and height else None
    if found is None:
        expected = subsampling.bytes_per_pixel * width * height
        raise ImageLayoutError(
            topic,
            f"{message.encoding} image of {width}x{height} pixels with step {step} and {size} "
            "bytes of data",
            f"{float(expected):.0f} bytes, or {subsampling.bytes_per_pixel} x height x step",
        )
    if found.width % subsampling.columns or found.height % subsampling.rows:
        raise ImageLayoutError(
            topic,
            f"{message.encoding} image of {found.width}x{found.height} pixels",
            f"a width that is a multiple of {subsampling.columns} and a height that is a multiple "
            f"of {subsampling.rows}, because so many pixels share their colour",
        )
    return found


def luma_plane(data: NDArray[np.uint8], layout: PlaneLayout) -> NDArray[np.uint8]:
    """View the luma plane (H, W)."""
    plane = data[: layout.rows * layout.stride].reshape(layout.rows, layout.stride)
    return plane[: layout.height, : layout.width]


def chroma_planes(
    data: NDArray[np.uint8], layout: PlaneLayout, subsampling: Subsampling
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """View both chroma planes, each (H / rows, W / columns), in the order of the data."""
    rows, height = layout.rows // subsampling.rows, layout.height // subsampling.rows
    stride, width = layout.stride // subsampling.columns, layout.width // subsampling.columns
    start, size = layout.rows * layout.stride, rows * stride
    both = data[start : start + 2 * size]
    if subsampling.interleaved:
        pairs = both.reshape(rows, stride, 2)[:height, :width]
        return pairs[..., 0], pairs[..., 1]
    first, second = both.reshape(2, rows, stride)[:, :height, :width]
    return first, second


def _layout(
    width: int, height: int, step: int, size: int, subsampling: Subsampling
) -> PlaneLayout | None:
    total = subsampling.bytes_per_pixel
    strides = list(dict.fromkeys(x for x in (step, width) if x >= width))
    for stride in strides:
        if total * stride * height == size:
            return PlaneLayout(width, height, stride, height)
    if step * height == size and (step / total).denominator == 1 and step / total >= width:
        return PlaneLayout(width, height, int(step / total), height)
    if (height / total).denominator == 1:
        for stride in strides:
            if stride * height == size:
                image = int(height / total)
                return PlaneLayout(width, image, stride, image)
    for stride in strides:
        rows = Fraction(size) / (total * stride)
        if rows.denominator == 1 and any(rows == -(-height // n) * n for n in _PLANE_ALIGNMENTS):
            return PlaneLayout(width, height, stride, int(rows))
    for stride in strides:
        # Too little for another row: the buffer was rounded up.
        if total * stride * height < size < total * stride * height + stride:
            return PlaneLayout(width, height, stride, height)
    return None
