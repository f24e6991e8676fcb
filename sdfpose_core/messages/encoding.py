"""Conversion of a frame to messages: images, camera info and labels (see also `decoding`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.messages.factory import MessageFactory
from sdfpose_core.messages.interfaces import CompressedImage, Header, Image
from sdfpose_core.messages.rvl import encode_rvl
from sdfpose_core.observation.depth_unit import MILLIMETRE
from sdfpose_core.observation.frame import InstanceLabel, RgbdFrame

__all__ = [
    "DepthEncoding",
    "camera_info_message",
    "compressed_depth_message",
    "compressed_message",
    "frame_messages",
    "image_message",
    "labels_message",
    "millimetres",
]

DepthEncoding = Literal["16UC1", "32FC1"]

_MAX_MONO8_ID = 255
"""Largest mask id that fits mono8."""


def frame_messages(
    new: MessageFactory,
    frame: RgbdFrame,
    header: Header,
    depth_encoding: DepthEncoding = "16UC1",
) -> dict[str, Any]:
    """Create the messages ``colour``, ``depth``, ``mask``, ``camera_info`` and ``labels``.

    Args:
        new: message factory.
        frame: frame to convert; its stamp and frame id are ignored.
        header: header of all messages.
        depth_encoding: ``16UC1`` for millimetres, ``32FC1`` for metres.
    """
    depth = millimetres(frame.depth) if depth_encoding == "16UC1" else frame.depth
    small = frame.mask.max(initial=0) <= _MAX_MONO8_ID
    mask = frame.mask.astype(np.uint8 if small else np.uint16)
    return {
        "camera_info": camera_info_message(new, frame.camera, header),
        "labels": labels_message(new, frame.labels, header),
        "colour": image_message(new, frame.colour, "rgb8", header),
        "depth": image_message(new, depth, depth_encoding, header),
        "mask": image_message(new, mask, "mono8" if small else "16UC1", header),
    }


def image_message(
    new: MessageFactory, pixels: NDArray[np.generic], encoding: str, header: Header
) -> Image:
    """Create an image message from an array (H, W) or (H, W, C) that matches the encoding."""
    pixels = np.ascontiguousarray(pixels)
    return new(
        "sensor_msgs/msg/Image",
        header=header,
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=pixels.strides[0],
        data=pixels.reshape(-1).view(np.uint8),
    )


def compressed_message(
    new: MessageFactory,
    pixels: NDArray[np.generic],
    encoding: str,
    header: Header,
    codec: Literal["jpeg", "png"] = "png",
    options: Sequence[int] = (),
) -> CompressedImage:
    """Create a compressed image from an array (H, W) or (H, W, C) that matches the encoding.

    The format is that of compressed_image_transport. JPEG has 8 bits and is lossy.

    Args:
        new: message factory.
        pixels: (H, W) or (H, W, C), 8- or 16-bit.
        encoding: encoding of the raw image, e.g. ``rgb8``.
        header: header of the message.
        codec: format of the file.
        options: options of OpenCV's encoder, for example the quality.
    """
    held = f"bgr{8 * pixels.itemsize}" if pixels.ndim == 3 else ""
    return new(
        "sensor_msgs/msg/CompressedImage",
        header=header,
        format=f"{encoding}; {codec} compressed {held}",
        data=_file_bytes(
            f".{codec}", _blue_first(pixels) if encoding.startswith("rgb") else pixels, options
        ),
    )


def compressed_depth_message(
    new: MessageFactory,
    depth_mm: NDArray[np.uint16],
    header: Header,
    codec: Literal["png", "rvl"] = "png",
) -> CompressedImage:
    """Create a compressed 16UC1 depth image from depth (H, W), millimetres, 0 = missing.

    The format is that of compressed_depth_image_transport; both codecs are lossless.
    """
    parameters = np.zeros(12, dtype=np.uint8)  # of quantised depth, which this is not
    if codec == "rvl":
        size = np.array(depth_mm.shape[::-1], dtype="<i4").view(np.uint8)
        content = np.concatenate([size, np.frombuffer(encode_rvl(depth_mm), dtype=np.uint8)])
    else:
        content = _file_bytes(".png", depth_mm)
    return new(
        "sensor_msgs/msg/CompressedImage",
        header=header,
        format=f"16UC1; compressedDepth {codec}",
        data=np.concatenate([parameters, content]),
    )


def millimetres(depth: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Convert depth (H, W) from metres to uint16 millimetres (16UC1), 0 = missing."""
    return np.clip(np.rint(depth / MILLIMETRE), 0, np.iinfo(np.uint16).max).astype(np.uint16)


def camera_info_message(
    new: MessageFactory,
    camera: PinholeCamera,
    header: Header,
    distortion_model: str = "plumb_bob",
    distortion: Sequence[float] = (0.0,) * 5,
) -> Any:
    """Create a camera info; without coefficients of a distortion, that of a rectified camera."""
    k = np.asarray(camera.matrix, dtype=np.float64)
    whole_image = new(
        "sensor_msgs/msg/RegionOfInterest",
        x_offset=0,
        y_offset=0,
        height=0,
        width=0,
        do_rectify=False,
    )
    return new(
        "sensor_msgs/msg/CameraInfo",
        header=header,
        height=camera.height,
        width=camera.width,
        distortion_model=distortion_model,
        d=np.array(distortion, dtype=np.float64),
        k=k.reshape(-1),
        r=np.eye(3).reshape(-1),
        p=np.hstack([k, np.zeros((3, 1))]).reshape(-1),
        binning_x=0,
        binning_y=0,
        roi=whole_image,
    )


def labels_message(new: MessageFactory, labels: Mapping[int, InstanceLabel], header: Header) -> Any:
    """Create a label message from category and score by mask id."""
    instances = [
        new("sdfpose/msg/InstanceLabel", id=i, category=x.category, score=float(x.score))
        for i, x in labels.items()
    ]
    return new("sdfpose/msg/InstanceLabels", header=header, instances=instances)


def _blue_first(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Swap the first and the third channel."""
    swapped = pixels.copy()
    swapped[..., 0], swapped[..., 2] = pixels[..., 2], pixels[..., 0]
    return swapped


def _file_bytes(
    suffix: str, pixels: NDArray[np.generic], options: Sequence[int] = ()
) -> NDArray[np.uint8]:
    _, content = cv2.imencode(suffix, np.ascontiguousarray(pixels), list(options))
    return np.asarray(content, dtype=np.uint8).reshape(-1)
