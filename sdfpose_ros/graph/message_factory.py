"""Messages of a running graph, made by name as those of bags are."""

from __future__ import annotations

import array
import importlib
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["message_class", "ros_message"]

_TYPECODES = {np.dtype(code): code for code in "bBhHiIqQfd"}
"""Type codes of the `array` module by what numpy calls them."""


@lru_cache(maxsize=64)
def message_class(kind: str) -> Any:
    """Class of a message type, e.g. ``sensor_msgs/msg/Image``.

    Raises:
        ImportError, AttributeError: it is not installed.
    """
    package, _, name = kind.partition("/msg/")
    return getattr(importlib.import_module(f"{package}.msg"), name)


def ros_message(kind: str, /, **fields: Any) -> Any:
    """A message for rclpy, see `sdfpose_core.messages.factory.MessageFactory`."""
    message = message_class(kind)
    types = message.get_fields_and_field_types()
    return message(
        **{
            name: _sequence(value)
            if isinstance(value, np.ndarray) and types[name].startswith("sequence<")
            else value
            for name, value in fields.items()
        }
    )


def _sequence(values: NDArray[Any]) -> array.array[Any]:
    """Array of a message; anything but array.array is checked item by item in Python."""
    flat: array.array[Any] = array.array(_TYPECODES[values.dtype])
    if values.size:
        flat.frombytes(values.data.cast("B"))
    return flat
