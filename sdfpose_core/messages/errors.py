"""What can be wrong with a message: each error names the topic, what came and what was expected."""

from __future__ import annotations

from sdfpose_core.errors import SdfposeError

__all__ = [
    "CameraInfoError",
    "CompressionError",
    "DepthUnitError",
    "EncodingError",
    "FrameIdError",
    "ImageLayoutError",
    "ImageSizeError",
    "LabelsError",
    "MessageError",
    "MissingCameraInfoError",
    "StaleFrameError",
]


class MessageError(SdfposeError):
    """A message that cannot be used.

    Args:
        topic: where it came from.
        came: what was in it.
        expected: what would have been right, and what to do.
    """

    def __init__(self, topic: str, came: str, expected: str) -> None:
        super().__init__(f"{topic}: {came}: expected {expected}")
        self.topic = topic


class EncodingError(MessageError):
    """An image in an encoding that does not suit its purpose."""


class ImageLayoutError(MessageError):
    """An image whose width, height, step and amount of data do not agree."""


class CompressionError(MessageError):
    """A compressed image that cannot be decompressed: damaged, too large, or of another kind."""


class ImageSizeError(MessageError):
    """An image whose size differs from that of the colour image."""


class FrameIdError(MessageError):
    """An image in another frame than the colour image."""


class CameraInfoError(MessageError):
    """A camera info without usable intrinsics, or for another image."""


class MissingCameraInfoError(MessageError):
    """Images came, but no camera info."""


class DepthUnitError(MessageError):
    """Depth that no camera can have measured, for instance millimetres sent as metres."""


class LabelsError(MessageError):
    """Labels that contradict themselves."""


class StaleFrameError(MessageError):
    """A frame that is not newer than the one before it."""
