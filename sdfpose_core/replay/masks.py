"""Masks of a recording, compared with those that a source makes for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.datasets.bags import TopicCallbacks
from sdfpose_core.messages.decoding import decode_mask
from sdfpose_core.messages.errors import MessageError
from sdfpose_core.messages.interfaces import stamp_ns

__all__ = ["MaskPairs"]


class MaskPairs:
    """Collects the masks of a topic and found masks, and pairs those of equal stamps.

    The masks are kept compressed, because those of a long recording do not fit into memory.

    Args:
        topic: topic of the recorded masks; empty if there is none.

    Attributes:
        refused: why recorded masks cannot be used, one sentence for each.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._given: dict[int, bytes] = {}
        self._found: dict[int, tuple[str, bytes]] = {}
        self.refused: list[str] = []

    @property
    def listeners(self) -> TopicCallbacks:
        """Callbacks by topic that must receive all messages before `pairs` is called."""
        return {self._topic: self._take} if self._topic else {}

    def add(self, stamp: int, name: str, ids: NDArray[np.uint16]) -> None:
        """Add the found mask (H, W) of the frame `name` with a stamp, nanoseconds."""
        if self._topic:
            self._found[stamp] = name, _packed(ids)

    def pairs(self) -> Iterator[tuple[str, NDArray[np.uint16], NDArray[np.uint16]]]:
        """Yield the name of each frame with both masks, its recorded and its found mask (H, W)."""
        for stamp, (name, content) in self._found.items():
            if stamp not in self._given:
                continue
            given, found = _unpacked(self._given[stamp]), _unpacked(content)
            if given.shape == found.shape:
                yield name, given, found
            else:
                (height, width), expected = given.shape, found.shape
                self.refused.append(
                    f"{self._topic}: mask of {width}x{height} pixels: expected "
                    f"{expected[1]}x{expected[0]}, the size of the colour image"
                )

    def _take(self, message: Any) -> None:
        try:
            ids = decode_mask(message, self._topic)
        except MessageError as error:
            self.refused.append(str(error))
        else:
            self._given[stamp_ns(message.header)] = _packed(ids)


def _packed(ids: NDArray[np.uint16]) -> bytes:
    return bytes(cv2.imencode(".png", ids)[1].tobytes())


def _unpacked(content: bytes) -> NDArray[np.uint16]:
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    return np.asarray(image, dtype=np.uint16)
