"""Image decoder with the interface of ROS 2's `cv_bridge`, based on `rosbags-image`.

Only `CvBridge.imgmsg_to_cv2` is implemented.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rosbags.image import ImageError, message_to_cvimage
from rosbags.image.image import to_cvtype

from sdfpose_core.messages.interfaces import Image

__all__ = ["CvBridge", "CvBridgeError", "ImageBridge"]


class ImageBridge(Protocol):
    """The part of the interface of ROS 2's `cv_bridge.CvBridge` that is used."""

    def imgmsg_to_cv2(self, img_msg: Image, desired_encoding: str) -> NDArray[np.generic]:
        """Decode an image to an array; raise TypeError or ValueError if that is not possible."""
        ...


class CvBridgeError(TypeError):
    """An image message that cannot be decoded."""


class CvBridge:
    """Decoder of image messages."""

    def imgmsg_to_cv2(
        self, img_msg: Image, desired_encoding: str = "passthrough"
    ) -> NDArray[np.generic]:
        """Decode an image to an array (H, W) or (H, W, channels).

        Args:
            img_msg: image with any encoding that `rosbags-image` supports; rows may be padded.
            desired_encoding: e.g. ``rgb8``; ``passthrough`` leaves the pixels unchanged.

        Raises:
            CvBridgeError: the encoding is unknown or cannot be converted, or there is too little
                data.
        """
        encoding = None if desired_encoding == "passthrough" else desired_encoding
        try:
            pixel_bytes = _pixel_bytes(img_msg.encoding)
            image: Any = SimpleNamespace(
                encoding=img_msg.encoding,
                is_bigendian=bool(img_msg.is_bigendian),
                width=img_msg.width,
                height=img_msg.height,
                data=_without_padding(img_msg, pixel_bytes),
            )
            return np.asarray(message_to_cvimage(image, encoding))
        except (ImageError, TypeError, ValueError) as error:
            raise CvBridgeError(str(error)) from error


def _pixel_bytes(encoding: str) -> int:
    bits, _, _, channels = to_cvtype(encoding)
    return bits // 8 * channels


def _without_padding(message: Image, pixel_bytes: int) -> NDArray[np.uint8]:
    data = np.frombuffer(message.data, dtype=np.uint8)
    row = message.width * pixel_bytes
    if message.step < row or len(data) < message.height * message.step:
        raise ValueError(
            f"{len(data)} bytes with step {message.step} for {message.width}x{message.height} "
            f"{message.encoding}"
        )
    rows = data[: message.height * message.step].reshape(message.height, message.step)
    return np.ascontiguousarray(rows[:, :row])
