"""Masks in tensors: isaac_ros_tensor_list_interfaces/TensorList of Isaac ROS Segment Anything."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.messages.errors import EncodingError, ImageLayoutError

__all__ = ["masks_of_tensors"]

_TYPES = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")
"""Types of the elements, little-endian; the message counts them from 1."""


def masks_of_tensors(message: Any, topic: str) -> NDArray[np.bool_]:
    """Decode a stack of masks (N, H, W): what is above 0 in the first tensor.

    Args:
        message: the tensors. The first is (N, 1, H, W) or (N, H, W); no tensor is an empty stack.
        topic: topic of the message, for errors.

    Raises:
        EncodingError: the type of the elements is unknown.
        ImageLayoutError: the tensor has another shape, or another amount of data than its shape
            says.
    """
    if not message.tensors:
        return np.zeros((0, 0, 0), dtype=np.bool_)
    tensor = message.tensors[0]
    if not 1 <= tensor.data_type <= len(_TYPES):
        raise EncodingError(
            topic,
            f"tensor '{tensor.name}' with the data type {tensor.data_type}",
            f"a type from 1 (int8) to {len(_TYPES)} (float64)",
        )
    dtype = np.dtype(_TYPES[tensor.data_type - 1]).newbyteorder("<")
    shape = tuple(int(x) for x in tensor.shape.dims)
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[1] != 1):
        raise ImageLayoutError(
            topic,
            f"tensor '{tensor.name}' of shape {shape}",
            "masks (N, 1, H, W) or (N, H, W) as the first tensor",
        )
    needed = math.prod(shape) * dtype.itemsize
    if len(tensor.data) != needed:
        raise ImageLayoutError(
            topic,
            f"tensor '{tensor.name}' of shape {shape} with {len(tensor.data)} bytes",
            f"{needed} bytes without gaps",
        )
    values = np.frombuffer(tensor.data, dtype=dtype)
    return np.asarray(values.reshape(shape[0], *shape[-2:]) > 0)
