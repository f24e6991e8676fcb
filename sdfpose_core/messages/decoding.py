"""Conversion of messages to a frame: pure functions for images, camera info and labels.

An invalid message raises a `MessageError` that names its topic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sdfpose_core.errors import FrameError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.messages.compressed import raw_colour, raw_depth, raw_mask
from sdfpose_core.messages.errors import (
    CameraInfoError,
    EncodingError,
    ImageLayoutError,
    ImageSizeError,
    LabelsError,
)
from sdfpose_core.messages.image_bridge import CvBridge, ImageBridge
from sdfpose_core.messages.interfaces import (
    AnyImage,
    CameraInfo,
    Image,
    InstanceLabels,
    stamp_ns,
)
from sdfpose_core.observation.depth_unit import MILLIMETRE
from sdfpose_core.observation.frame import InstanceLabel, RgbdFrame

__all__ = [
    "InputTopics",
    "LabelRules",
    "camera_from_info",
    "check_rectified",
    "decode_colour",
    "decode_depth",
    "decode_mask",
    "default_depth_unit",
    "labels_from_message",
    "rgbd_frame",
]

_COLOUR_CHANNELS: Mapping[str, tuple[int, ...]] = {
    "rgb8": (0, 1, 2),
    "bgr8": (2, 1, 0),
    "rgba8": (0, 1, 2),
    "bgra8": (2, 1, 0),
    "mono8": (0, 0, 0),
    "8UC1": (0, 0, 0),
}
"""Indices of the red, green and blue channels."""

_PIXEL_TYPES: Mapping[str, tuple[str, int]] = {
    "rgb8": ("u1", 3),
    "bgr8": ("u1", 3),
    "rgba8": ("u1", 4),
    "bgra8": ("u1", 4),
    "mono8": ("u1", 1),
    "8UC1": ("u1", 1),
    "mono16": ("u2", 1),
    "16UC1": ("u2", 1),
    "32FC1": ("f4", 1),
}
"""Type and number of the channels of a pixel."""


@dataclass(frozen=True)
class InputTopics:
    """Resolved names of the topics of a frame."""

    colour: str
    depth: str
    mask: str
    camera_info: str
    labels: str


@dataclass(frozen=True)
class LabelRules:
    """Categories of mask ids, used where there is no label message.

    Attributes:
        by_id: category by mask id.
        default: category of all other ids; None leaves them without a label.
    """

    by_id: Mapping[int, str]
    default: str | None = None

    def labels(self, mask: NDArray[np.uint16]) -> dict[int, InstanceLabel]:
        """Return labels for the ids in a mask (H, W), except for ids without a category."""
        ids = np.flatnonzero(np.bincount(mask.reshape(-1)))
        names = {int(i): self.by_id.get(int(i), self.default) for i in ids if i != 0}
        return {i: InstanceLabel(name) for i, name in names.items() if name is not None}


def decode_colour(
    message: AnyImage, topic: str, bridge: ImageBridge | None = None
) -> NDArray[np.uint8]:
    """Decode a colour image to (H, W, 3) uint8, RGB.

    Common encodings are read directly; all others (Bayer, YUV, 16 bits) are decoded by the bridge.

    Args:
        message: the image, raw or compressed.
        topic: topic of the image, for errors.
        bridge: object with the interface of ROS 2's `cv_bridge.CvBridge`; None for our own.

    Raises:
        CompressionError: the image cannot be decompressed.
        EncodingError: the encoding cannot be converted to colour.
        ImageLayoutError: size, step and data do not agree.
    """
    message = raw_colour(message, topic)
    channels = _COLOUR_CHANNELS.get(message.encoding)
    if channels is not None:
        pixels = _pixels(message, topic)
        if message.encoding == "rgb8":
            return np.ascontiguousarray(pixels)
        return np.ascontiguousarray(pixels[..., channels])
    try:
        pixels = (bridge or CvBridge()).imgmsg_to_cv2(message, "rgb8")
        return np.asarray(pixels, dtype=np.uint8)
    except (TypeError, ValueError) as error:
        raise EncodingError(
            topic,
            f"colour image with encoding '{message.encoding}' ({error})",
            "rgb8, bgr8, rgba8, bgra8, mono8, or another encoding that can be converted to rgb8",
        ) from error


def decode_depth(message: AnyImage, topic: str, unit: float | None = None) -> NDArray[np.float32]:
    """Decode a depth image to (H, W) float32, metres; missing depth stays 0, NaN or Inf (REP-118).

    Args:
        message: the image, raw or compressed.
        topic: topic of the image, for errors.
        unit: metres per unit of depth; None for `default_depth_unit`.

    Raises:
        CompressionError: the image cannot be decompressed.
        EncodingError: the encoding is neither 16UC1 (or mono16) nor 32FC1, or is lossy.
        ImageLayoutError: size, step and data do not agree.
    """
    message = raw_depth(message, topic)
    if message.encoding in ("16UC1", "mono16"):
        return _pixels(message, topic)[..., 0] * np.float32(unit or MILLIMETRE)
    if message.encoding == "32FC1":
        metres = np.ascontiguousarray(_pixels(message, topic)[..., 0], dtype=np.float32)
        return metres if unit is None else metres * np.float32(unit)
    raise EncodingError(
        topic,
        f"depth image with encoding '{message.encoding}'",
        "16UC1 (millimetres) or 32FC1 (metres)",
    )


def default_depth_unit(encoding: str) -> float:
    """Return metres per unit of a depth encoding (REP-118): 32FC1 in metres, others in mm."""
    return 1.0 if encoding == "32FC1" else MILLIMETRE


def decode_mask(message: AnyImage, topic: str) -> NDArray[np.uint16]:
    """Decode a mask to (H, W) uint16: instance id per pixel, 0 = background.

    Raises:
        CompressionError: the mask cannot be decompressed.
        EncodingError: the encoding is not one channel of 8 or 16 bits, or is lossy.
        ImageLayoutError: size, step and data do not agree.
    """
    message = raw_mask(message, topic)
    if message.encoding not in ("mono8", "8UC1", "16UC1", "mono16"):
        raise EncodingError(
            topic,
            f"mask with encoding '{message.encoding}'",
            "instance ids as mono8, 8UC1, mono16 or 16UC1",
        )
    return np.ascontiguousarray(_pixels(message, topic)[..., 0], dtype=np.uint16)


def camera_from_info(message: CameraInfo, topic: str) -> PinholeCamera:
    """Read intrinsics from a camera info: from P, or from K if P is zero.

    Region of interest and binning are applied, because P and K refer to the full resolution.

    Raises:
        CameraInfoError: the intrinsics are zero or not finite, or the size is zero.
    """
    p = np.asarray(message.p, dtype=np.float64).reshape(3, 4)[:, :3]
    name, matrix = ("P", p) if np.any(p) else ("K", np.asarray(message.k).reshape(3, 3))
    try:
        camera = PinholeCamera.from_matrix(matrix, message.width, message.height)
        roi = message.roi
        if roi.width and roi.height:
            camera = camera.crop(roi.x_offset, roi.y_offset, roi.width, roi.height)
        bins = max(message.binning_x, 1), max(message.binning_y, 1)
        if bins != (1, 1):
            camera = camera.resize(camera.width // bins[0], camera.height // bins[1])
    except FrameError as error:
        raise CameraInfoError(
            topic,
            f"camera info with unusable {name} {_row_major(matrix)} ({error})",
            "the intrinsics of a calibrated camera in P or K",
        ) from error
    return camera


def check_rectified(message: CameraInfo, topics: InputTopics) -> None:
    """Check that a camera info with distortion belongs to a rectified image.

    Raises:
        CameraInfoError: there are distortion coefficients, but 'rect' is not in the name of the
            colour topic. The frame is usable, but its poses have an error from the distortion.
    """
    if any(message.d) and "rect" not in topics.colour:
        raise CameraInfoError(
            topics.camera_info,
            f"distortion coefficients {[round(float(x), 4) for x in message.d]}, while the colour "
            f"topic {topics.colour} does not look rectified",
            "rectified images (image_proc's image_rect topics); the frame is used as if rectified",
        )


def labels_from_message(message: InstanceLabels, topic: str) -> dict[int, InstanceLabel]:
    """Read category and score by mask id.

    Raises:
        LabelsError: an id has two categories, or the background has one.
    """
    labels: dict[int, InstanceLabel] = {}
    for item in message.instances:
        if item.id == 0:
            raise LabelsError(
                topic, f"label '{item.category}' for id 0", "ids above 0: 0 is the background"
            )
        if item.id in labels and labels[item.id].category != item.category:
            raise LabelsError(
                topic,
                f"id {item.id} is '{labels[item.id].category}' and '{item.category}'",
                "one category for each id",
            )
        score = float(np.clip(np.nan_to_num(item.score), 0.0, 1.0))
        labels[item.id] = InstanceLabel(item.category, score)
    return labels


def rgbd_frame(
    colour: AnyImage,
    depth: AnyImage,
    mask: AnyImage,
    camera: PinholeCamera,
    labels: InstanceLabels | LabelRules,
    topics: InputTopics,
    bridge: ImageBridge | None = None,
    *,
    depth_unit: float | None = None,
) -> RgbdFrame:
    """Build a frame with stamp and frame id of the colour image.

    Each image may be raw or compressed; for `bridge`, see `decode_colour`, for `depth_unit`,
    `decode_depth`.

    Raises:
        MessageError: one of the messages is invalid.
    """
    colour = raw_colour(colour, topics.colour)
    depth = raw_depth(depth, topics.depth)
    mask = raw_mask(mask, topics.mask)
    _check_size(depth, topics.depth, colour, topics.colour)
    _check_size(mask, topics.mask, colour, topics.colour)
    if (camera.width, camera.height) != (colour.width, colour.height):
        raise CameraInfoError(
            topics.camera_info,
            f"camera info for {camera.width}x{camera.height} pixels",
            f"{colour.width}x{colour.height}, the size of {topics.colour}",
        )
    ids = decode_mask(mask, topics.mask)
    return RgbdFrame(
        colour=decode_colour(colour, topics.colour, bridge),
        depth=decode_depth(depth, topics.depth, depth_unit),
        mask=ids,
        camera=camera,
        labels=labels.labels(ids)
        if isinstance(labels, LabelRules)
        else labels_from_message(labels, topics.labels),
        stamp_ns=stamp_ns(colour.header),
        frame_id=colour.header.frame_id,
    )


def _pixels(message: Image, topic: str) -> NDArray[np.generic]:
    """View an image with an encoding of `_PIXEL_TYPES` as channels (H, W, C)."""
    kind, channels = _PIXEL_TYPES[message.encoding]
    dtype: DTypeLike = np.dtype(kind).newbyteorder(">" if message.is_bigendian else "<")
    itemsize = np.dtype(kind).itemsize
    row = message.width * channels * itemsize
    data = np.frombuffer(message.data, dtype=np.uint8)
    if not row or not message.height or message.step < row:
        raise ImageLayoutError(
            topic,
            f"{message.encoding} image of {message.width}x{message.height} pixels with step "
            f"{message.step}",
            f"a positive size and a step of at least {row} bytes",
        )
    if len(data) < message.height * message.step:
        raise ImageLayoutError(
            topic,
            f"{message.encoding} image of {message.width}x{message.height} pixels with "
            f"{len(data)} bytes of data",
            f"height x step = {message.height * message.step} bytes",
        )
    rows = data[: message.height * message.step].reshape(message.height, message.step)[:, :row]
    if row != message.step:
        rows = np.ascontiguousarray(rows)
    return rows.view(dtype).reshape(message.height, message.width, channels)


def _check_size(image: Image, topic: str, colour: Image, colour_topic: str) -> None:
    if (image.width, image.height) != (colour.width, colour.height):
        raise ImageSizeError(
            topic,
            f"image of {image.width}x{image.height} pixels",
            f"{colour.width}x{colour.height}, the size of {colour_topic} (register it to colour)",
        )


def _row_major(matrix: NDArray[np.floating]) -> list[float]:
    return [float(x) for x in np.asarray(matrix).reshape(-1)]
