"""From frames to messages: images, camera info and labels."""

from __future__ import annotations

import array
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from sdfpose.msg import InstanceLabel as InstanceLabelMessage
from sdfpose.msg import InstanceLabels
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from sdfpose_core.camera import PinholeCamera
from sdfpose_core.frame import InstanceLabel
from sdfpose_core.messages.decoding import MILLIMETRE

__all__ = ["camera_info_message", "image_message", "labels_message", "millimetres"]


def image_message(pixels: NDArray[np.generic], encoding: str, header: Header) -> Image:
    """Image message of an array (H, W) or (H, W, channels) that suits the encoding."""
    pixels = np.ascontiguousarray(pixels)
    # Setting the data from anything but array.array checks every byte in Python.
    data = array.array("B")
    data.frombytes(pixels.data.cast("B"))
    return Image(
        header=header,
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=pixels.strides[0],
        data=data,
    )


def millimetres(depth: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Depth (H, W), metres, 0 = missing, as 16UC1 wants it."""
    return np.clip(np.rint(depth / MILLIMETRE), 0, np.iinfo(np.uint16).max).astype(np.uint16)


def camera_info_message(camera: PinholeCamera, header: Header) -> CameraInfo:
    """Camera info of a rectified camera."""
    k = camera.matrix
    projection = np.hstack([k, np.zeros((3, 1))])
    return CameraInfo(
        header=header,
        width=camera.width,
        height=camera.height,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=k.reshape(-1).tolist(),
        r=np.eye(3).reshape(-1).tolist(),
        p=projection.reshape(-1).tolist(),
    )


def labels_message(labels: Mapping[int, InstanceLabel], header: Header) -> InstanceLabels:
    """Labels message of category and score by mask id."""
    instances = [
        InstanceLabelMessage(id=mask_id, category=label.category, score=float(label.score))
        for mask_id, label in labels.items()
    ]
    return InstanceLabels(header=header, instances=instances)
