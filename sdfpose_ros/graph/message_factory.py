"""Creation of rclpy messages by type name, as for the messages of bags."""

from __future__ import annotations

import array
import importlib
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_sequence", "message_class", "ros_message"]

_TYPECODES = {np.dtype(code): code for code in "bBhHiIqQfd"}
"""Type code of the `array` module for each numpy dtype."""


@lru_cache(maxsize=64)
def message_class(kind: str) -> Any:
    """Import the class of a message type, e.g. ``sensor_msgs/msg/Image``.

    Raises:
        ImportError, AttributeError: the type is not installed.
    """
    package, _, name = kind.partition("/msg/")
    return getattr(importlib.import_module(f"{package}.msg"), name)


def ros_message(kind: str, /, **fields: Any) -> Any:
    """Create a message for rclpy; see `sdfpose_core.messages.factory.MessageFactory`."""
    message = message_class(kind)
    types = message.get_fields_and_field_types()
    return message(
        **{
            name: as_sequence(value)
            if isinstance(value, np.ndarray) and types[name].startswith("sequence<")
            else value
            for name, value in fields.items()
        }
    )


def as_sequence(values: NDArray[Any]) -> array.array[Any]:
    """Convert a contiguous array to array.array: rclpy checks the items of other sequences."""
    flat: array.array[Any] = array.array(_TYPECODES[values.dtype])
    if values.size:
        flat.frombytes(values.data.cast("B"))
    return flat
