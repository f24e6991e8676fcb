"""The matched messages of one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.messages.decoding import (
    camera_from_info,
    colour_size,
    decode_colour,
    decode_depth,
    decode_ids,
    decode_mask,
)
from sdfpose_core.messages.errors import CameraInfoError, FrameIdError, ImageSizeError
from sdfpose_core.messages.interfaces import CameraInfo, normalise_frame_id, stamp_ns
from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_ros.masks.tensors import masks_of_tensors

__all__ = ["MatchedImages"]

_MAY_LACK_FRAME = ("label_image", "instance_image")
"""Images that a network made from the colour image; not every network copies the frame id."""


@dataclass(frozen=True)
class MatchedImages:
    """Messages with matching stamps, decoded on demand.

    Attributes:
        messages: message of each input by name; always includes ``colour``. Those of constant
            inputs are the latest ones.
        info: the latest camera info; None if the backend needs no depth.
        topics: resolved topic of each input and of ``camera_info``.
    """

    messages: Mapping[str, Any]
    info: CameraInfo | None
    topics: Mapping[str, str]

    def colour(self) -> NDArray[np.uint8]:
        """Decode the colour image (H, W, 3), RGB.

        Raises:
            MessageError: the image cannot be decoded.
        """
        return decode_colour(self.messages["colour"], self.topics["colour"])

    def depth(self, unit: float | None = None) -> NDArray[np.float32]:
        """Decode the depth image (H, W), metres.

        Args:
            unit: metres per unit of depth; None for the default of the encoding.

        Raises:
            MessageError: the image cannot be decoded, or is not registered to colour.
        """
        self._check_registered("depth")
        return decode_depth(self.messages["depth"], self.topics["depth"], unit)

    def label_image(self) -> NDArray[np.uint16]:
        """Decode the image of class ids (H, W).

        Raises:
            MessageError: the image cannot be decoded, or differs from the colour image in size or
                frame.
        """
        self._check_registered("label_image")
        return decode_mask(self.messages["label_image"], self.topics["label_image"])

    def instance_image(self) -> NDArray[np.integer]:
        """Decode the image of instance ids (H, W), which may have any value.

        Raises:
            MessageError: the image cannot be decoded, or differs from the colour image in size or
                frame.
        """
        self._check_registered("instance_image")
        return decode_ids(self.messages["instance_image"], self.topics["instance_image"])

    def mask_stack(self) -> NDArray[np.bool_]:
        """Decode the masks (N, H, W) of a list of tensors.

        Raises:
            MessageError: the tensor cannot be decoded, or its masks differ from the colour image in
                size.
        """
        masks = masks_of_tensors(self.messages["mask_tensor"], self.topics["mask_tensor"])
        if len(masks) == 0:
            width, height = self.colour_size()
            return np.zeros((0, height, width), dtype=np.bool_)
        self._check_size("mask_tensor", masks.shape[2], masks.shape[1])
        return masks

    def camera(self) -> PinholeCamera:
        """Return the camera of the colour image.

        Raises:
            MessageError: the camera info is unusable, or does not belong to this image.
        """
        assert self.info is not None
        topic, size = self.topics["camera_info"], self.colour_size()
        camera = camera_from_info(self.info, topic, size)
        if (camera.width, camera.height) != size:
            raise CameraInfoError(
                topic,
                f"camera info for {camera.width}x{camera.height} pixels",
                f"{size[0]}x{size[1]}, the size of {self.topics['colour']} (use the camera info of "
                "this resolution)",
            )
        return camera

    def frame(self, depth_unit: float | None = None) -> RgbdFrame:
        """Return colour, depth and camera as a frame with an empty mask.

        Args:
            depth_unit: metres per unit of depth; None for the default of the encoding.

        Raises:
            MessageError: an image cannot be decoded, or does not belong to the others.
        """
        camera, depth = self.camera(), self.depth(depth_unit)
        header = self.messages["colour"].header
        return RgbdFrame(
            colour=self.colour(),
            depth=depth,
            mask=np.zeros(depth.shape, np.uint16),
            camera=camera,
            stamp_ns=stamp_ns(header),
            frame_id=header.frame_id,
        )

    def colour_size(self) -> tuple[int, int]:
        """Return width and height of the colour image, pixels.

        Raises:
            MessageError: the image is damaged.
        """
        return colour_size(self.messages["colour"], self.topics["colour"])

    def _check_registered(self, name: str) -> None:
        image = self.messages[name]
        self._check_size(name, image.width, image.height)
        frame, expected = normalise_frame_id(image), normalise_frame_id(self.messages["colour"])
        if frame != expected and not (name in _MAY_LACK_FRAME and not frame):
            raise FrameIdError(
                self.topics[name],
                f"frame id '{frame}'",
                f"'{expected}', the frame of {self.topics['colour']} (register it to colour)",
            )

    def _check_size(self, name: str, width: int, height: int) -> None:
        expected = self.colour_size()
        if (width, height) != expected:
            raise ImageSizeError(
                self.topics[name],
                f"image of {width}x{height} pixels",
                f"{expected[0]}x{expected[1]}, the size of {self.topics['colour']} (register it to "
                "colour)",
            )
