"""Rectification of colour and of the depth that is registered to it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from sdfpose_core.cameras.camera import Distortion, RgbdImages
from sdfpose_core.geometry.camera import PinholeCamera

__all__ = ["Rectifier"]


class Rectifier:
    """Removes the distortion of a lens; the intrinsics stay.

    Args:
        camera: intrinsics of the image.
        distortion: of the image.
    """

    def __init__(self, camera: PinholeCamera, distortion: Distortion) -> None:
        k, size = camera.matrix, (camera.width, camera.height)
        coefficients = np.asarray(distortion.coefficients, dtype=np.float64)
        if distortion.model == "equidistant":
            maps = cv2.fisheye.initUndistortRectifyMap(
                k, coefficients[:4], np.eye(3), k, size, cv2.CV_32FC1
            )
        else:
            maps = cv2.initUndistortRectifyMap(k, coefficients, np.eye(3), k, size, cv2.CV_32FC1)
        # Fixed-point maps are the fastest of OpenCV.
        self._maps = cv2.convertMaps(*maps, cv2.CV_16SC2)

    def __call__(self, images: RgbdImages) -> RgbdImages:
        """Return rectified images. Depth is not interpolated: a mean across an edge is nowhere."""
        colour = cv2.remap(images.colour, *self._maps, cv2.INTER_LINEAR)
        depth = cv2.remap(images.depth, *self._maps, cv2.INTER_NEAREST)
        return replace(
            images, colour=np.asarray(colour, np.uint8), depth=np.asarray(depth, np.uint16)
        )
