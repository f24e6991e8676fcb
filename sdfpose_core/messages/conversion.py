"""Conversion of messages of an earlier definition to another one of the same type."""

from __future__ import annotations

from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys.store import Typestore

__all__ = ["converted"]


def converted(message: Any, msgtype: str, store: Typestore) -> Any:
    """Create a message of a type from one with other fields.

    Fields with the same name are kept, the others are dropped; new ones are zero or empty.

    Args:
        message: a message, or None for one of new fields alone.
        msgtype: type of the result.
        store: its definition.
    """
    _, fields = store.fielddefs[msgtype]
    return store.types[msgtype](
        **{name: _value(getattr(message, name, None), kind, store) for name, kind in fields}
    )


def _value(value: Any, kind: Any, store: Typestore) -> Any:
    node, detail = kind
    if node == Nodetype.NAME:
        return converted(value, detail, store)
    if node == Nodetype.BASE:
        return _zero(detail[0]) if value is None else value
    (item_node, item), length = detail
    count = length if node == Nodetype.ARRAY else 0
    if item_node == Nodetype.NAME:
        return [converted(x, item, store) for x in ([None] * count if value is None else value)]
    if value is not None:
        return value
    return [""] * count if item[0] == "string" else np.zeros(count, dtype=item[0])


def _zero(name: str) -> Any:
    return "" if name == "string" else np.dtype(name).type(0).item()
