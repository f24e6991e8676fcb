"""Conversion of messages to a frame: pure functions for images, camera info and labels.

An invalid message raises a `MessageError` that names its topic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import FrameError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.messages.colour import rgb_pixels, rgb_size
from sdfpose_core.messages.compressed import declared_size, raw_colour, raw_depth, raw_mask
from sdfpose_core.messages.errors import (
    CameraInfoError,
    EncodingError,
    ImageLayoutError,
    ImageSizeError,
    IntrinsicsError,
    LabelsError,
)
from sdfpose_core.messages.interfaces import (
    AnyImage,
    CameraInfo,
    Image,
    InstanceLabels,
    stamp_ns,
)
from sdfpose_core.messages.layout import packed_rows
from sdfpose_core.messages.topic_names import is_rectified
from sdfpose_core.observation.depth_unit import MILLIMETRE
from sdfpose_core.observation.frame import InstanceLabel, RgbdFrame
from sdfpose_core.observation.intrinsics import principal_point_problem

__all__ = [
    "InputTopics",
    "LabelRules",
    "calibrated_camera",
    "camera_from_info",
    "check_intrinsics",
    "check_rectified",
    "colour_size",
    "decode_colour",
    "decode_depth",
    "decode_ids",
    "decode_mask",
    "default_depth_unit",
    "labels_from_message",
    "rgbd_frame",
]

_MASK_TYPES: Mapping[str, str] = {
    "mono8": "u1",
    "8uc1": "u1",
    "mono16": "u2",
    "16uc1": "u2",
    "8sc1": "i1",
    "16sc1": "i2",
    "32sc1": "i4",
}
"""Type of the ids by encoding, in lower case."""

_DEPTH_TYPES: Mapping[str, str] = {"16uc1": "u2", "mono16": "u2", "32fc1": "f4"}
"""Type of the pixels by encoding, in lower case."""

_MAX_MASK_ID = 65535


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


def decode_colour(message: AnyImage, topic: str) -> NDArray[np.uint8]:
    """Decode a colour image to (H, W, 3) uint8, RGB.

    Args:
        message: the image, raw or compressed; for raw encodings, see `messages.colour`.
        topic: topic of the image, for errors.

    Raises:
        CompressionError: the image cannot be decompressed.
        EncodingError: the encoding cannot be converted to colour.
        ImageLayoutError: size, step and data do not agree.
    """
    return rgb_pixels(raw_colour(message, topic), topic)


def colour_size(message: AnyImage, topic: str) -> tuple[int, int]:
    """Return width and height of a colour image, pixels, without decoding it.

    Raises:
        CompressionError: the image is damaged or too large.
        ImageLayoutError: size, step and data do not agree.
    """
    size = declared_size(message, topic)
    return rgb_size(cast(Image, message), topic) if size is None else size


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
    kind = _DEPTH_TYPES.get(message.encoding.strip().lower())
    if kind is None:
        raise EncodingError(
            topic,
            f"depth image with encoding '{message.encoding}'",
            "16UC1 (millimetres) or 32FC1 (metres)",
        )
    pixels = _one_channel(message, topic, kind)
    if kind == "u2":
        return pixels * np.float32(unit or MILLIMETRE)
    metres = np.ascontiguousarray(pixels, dtype=np.float32)
    return metres if unit is None else metres * np.float32(unit)


def default_depth_unit(encoding: str) -> float:
    """Return metres per unit of a depth encoding (REP-118): 32FC1 in metres, others in mm."""
    return 1.0 if encoding.strip().upper() == "32FC1" else MILLIMETRE


def decode_mask(message: AnyImage, topic: str) -> NDArray[np.uint16]:
    """Decode a mask to (H, W) uint16: instance id per pixel, 0 = background.

    Raises:
        CompressionError: the mask cannot be decompressed.
        EncodingError: the encoding is not one channel of integers, or is lossy.
        ImageLayoutError: size, step and data do not agree, or an id is out of range.
    """
    ids = decode_ids(message, topic)
    if ids.dtype.kind == "i" and (np.any(ids < 0) or np.any(ids > _MAX_MASK_ID)):
        raise ImageLayoutError(
            topic,
            f"mask with ids from {ids.min()} to {ids.max()}",
            f"ids from 0 (background) to {_MAX_MASK_ID}",
        )
    return np.ascontiguousarray(ids, dtype=np.uint16)


def decode_ids(message: AnyImage, topic: str) -> NDArray[np.integer]:
    """Decode an image of ids to (H, W) integers, whatever their range.

    Raises:
        CompressionError: the image cannot be decompressed.
        EncodingError: the encoding is not one channel of integers, or is lossy.
        ImageLayoutError: size, step and data do not agree.
    """
    message = raw_mask(message, topic)
    kind = _MASK_TYPES.get(message.encoding.strip().lower())
    if kind is None:
        raise EncodingError(
            topic,
            f"mask with encoding '{message.encoding}'",
            "instance ids as mono8, 8UC1, mono16, 16UC1 or 32SC1",
        )
    return _one_channel(message, topic, kind)


def camera_from_info(
    message: CameraInfo, topic: str, size: tuple[int, int] | None = None
) -> PinholeCamera:
    """Read intrinsics from a camera info: from P, or from K if P is not filled in.

    Region of interest and binning are applied, because P and K refer to the full resolution. If
    that contradicts the size of the image, only what agrees with it is applied: some drivers fill
    in a region or binning that they have already taken into account.

    Args:
        message: the camera info.
        topic: topic of the camera info, for errors.
        size: width and height of the image, pixels; None if unknown.

    Raises:
        CameraInfoError: the intrinsics are not filled in or not finite, or the size is zero.
    """
    name, matrix = _intrinsics(message)
    width, height = message.width, message.height
    if size is not None and not width and not height:
        width, height = size
    try:
        if not _is_filled(matrix):
            raise FrameError("it is zero or the identity")
        full = PinholeCamera.from_matrix(matrix, width, height)
        by_definition = _binned(_cropped(full, message), message, size)
        others = (_binned(full, message, size), _cropped(full, message), full)
    except FrameError as error:
        raise CameraInfoError(
            topic,
            f"camera info with unusable {name} {_row_major(matrix)} ({error})",
            "the intrinsics of a calibrated camera in P or K",
        ) from error
    if size is None or (by_definition.width, by_definition.height) == size:
        return by_definition
    fitting = {camera for camera in others if (camera.width, camera.height) == size}
    return fitting.pop() if len(fitting) == 1 else by_definition


def calibrated_camera(message: CameraInfo) -> PinholeCamera | None:
    """Read the intrinsics at full resolution, without region of interest and binning.

    Returns:
        The intrinsics; None if the size is not filled in.

    Raises:
        FrameError: the intrinsics are not filled in or not finite.
    """
    if not message.width or not message.height:
        return None
    return PinholeCamera.from_matrix(_intrinsics(message)[1], message.width, message.height)


def check_intrinsics(message: CameraInfo, topics: InputTopics) -> None:
    """Check that the principal point of a camera info is near the centre of the image.

    Raises:
        IntrinsicsError: it is not; the intrinsics are likely to be those of another resolution.
            The frame is usable, but its poses may be wrong.
    """
    camera = calibrated_camera(message)
    problem = None if camera is None else principal_point_problem(camera)
    if problem is not None:
        raise IntrinsicsError(
            topics.camera_info,
            f"{_intrinsics(message)[0]} with {problem}",
            "the intrinsics of this resolution; the frame is used with these intrinsics",
        )


def check_rectified(message: CameraInfo, topics: InputTopics) -> None:
    """Check that a camera info with distortion belongs to a rectified image.

    Raises:
        CameraInfoError: there are distortion coefficients, but the name of the colour topic does
            not have the word 'rect'. The frame is usable, but its poses have an error from the
            distortion.
    """
    if np.any(np.nan_to_num(np.asarray(message.d, dtype=np.float64))) and not is_rectified(
        topics.colour
    ):
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
        labels[item.id] = InstanceLabel(item.category, score, detected=True)
    return labels


def rgbd_frame(
    colour: AnyImage,
    depth: AnyImage,
    mask: AnyImage | None,
    camera: PinholeCamera,
    labels: InstanceLabels | LabelRules,
    topics: InputTopics,
    *,
    depth_unit: float | None = None,
    up: NDArray[np.floating] | None = None,
) -> RgbdFrame:
    """Build a frame with stamp and frame id of the colour image.

    Each image may be raw or compressed; without a mask, the frame's is empty. For `depth_unit` see
    `decode_depth`, for `up` `RgbdFrame`.

    Raises:
        MessageError: one of the messages is invalid.
    """
    size = colour_size(colour, topics.colour)
    metres = decode_depth(depth, topics.depth, depth_unit)
    ids = np.zeros(metres.shape, np.uint16) if mask is None else decode_mask(mask, topics.mask)
    _check_size(metres, topics.depth, size, topics.colour)
    _check_size(ids, topics.mask, size, topics.colour)
    if (camera.width, camera.height) != size:
        raise CameraInfoError(
            topics.camera_info,
            f"camera info for {camera.width}x{camera.height} pixels",
            f"{size[0]}x{size[1]}, the size of {topics.colour} (use the camera info of this "
            "resolution)",
        )
    return RgbdFrame(
        colour=decode_colour(colour, topics.colour),
        depth=metres,
        mask=ids,
        camera=camera,
        labels=labels.labels(ids)
        if isinstance(labels, LabelRules)
        else labels_from_message(labels, topics.labels),
        stamp_ns=stamp_ns(colour.header),
        frame_id=colour.header.frame_id,
        up=up,
    )


def _one_channel(message: Image, topic: str, kind: str) -> NDArray[Any]:
    """View an image of one channel as (H, W)."""
    dtype = np.dtype(kind).newbyteorder(">" if message.is_bigendian else "<")
    return packed_rows(message, topic, dtype.itemsize).view(dtype)


def _check_size(
    image: NDArray[np.generic], topic: str, size: tuple[int, int], colour_topic: str
) -> None:
    height, width = image.shape
    if (width, height) != size:
        raise ImageSizeError(
            topic,
            f"image of {width}x{height} pixels",
            f"{size[0]}x{size[1]}, the size of {colour_topic} (register it to colour)",
        )


def _intrinsics(message: CameraInfo) -> tuple[str, NDArray[np.float64]]:
    """Choose P without its last column, or K (3, 3) if P is not filled in."""
    p = np.asarray(message.p, dtype=np.float64).reshape(3, 4)[:, :3]
    k = np.asarray(message.k, dtype=np.float64).reshape(3, 3)
    halfway = not np.any(p[:2, 2]) and bool(np.any(k[:2, 2]))
    return ("P", p) if _is_filled(p) and not halfway else ("K", k)


def _is_filled(matrix: NDArray[np.float64]) -> bool:
    """Whether a driver has filled in focal lengths, and not left them at 0 or the identity."""
    focal = np.diag(matrix)[:2]
    return bool(np.any(focal)) and not np.array_equal(matrix[:2], np.eye(3)[:2])


def _cropped(camera: PinholeCamera, message: CameraInfo) -> PinholeCamera:
    roi = message.roi
    if not (roi.width and roi.height):
        return camera
    return camera.crop(roi.x_offset, roi.y_offset, roi.width, roi.height)


def _binned(
    camera: PinholeCamera, message: CameraInfo, size: tuple[int, int] | None
) -> PinholeCamera:
    """Apply binning; if it does not divide the size, the image decides about the last pixel."""
    bins = max(message.binning_x, 1), max(message.binning_y, 1)
    if bins == (1, 1):
        return camera
    exact = camera.width / bins[0], camera.height / bins[1]
    if size is not None and all(abs(x - n) < 1 for x, n in zip(exact, size, strict=True)):
        return camera.resize(*size)
    return camera.resize(int(exact[0]), int(exact[1]))


def _row_major(matrix: NDArray[np.floating]) -> list[float]:
    return [float(x) for x in np.asarray(matrix).reshape(-1)]
