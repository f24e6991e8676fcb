"""Errors of invalid messages: each names the topic, the problem and what was expected."""

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
    "IntrinsicsError",
    "LabelsError",
    "MessageError",
    "MissingCameraInfoError",
    "StaleFrameError",
]


class MessageError(SdfposeError):
    """A message that cannot be used.

    Args:
        topic: topic of the message.
        problem: what is wrong with the message.
        expected: what was expected, and what to do.
    """

    def __init__(self, topic: str, problem: str, expected: str) -> None:
        super().__init__(f"{topic}: {problem}: expected {expected}")
        self.topic = topic


class EncodingError(MessageError):
    """An image with an unsupported encoding."""


class ImageLayoutError(MessageError):
    """An image whose width, height, step and data size do not agree."""


class CompressionError(MessageError):
    """A compressed image that is damaged, too large, or in an unknown format."""


class ImageSizeError(MessageError):
    """An image that differs in size from the colour image."""


class FrameIdError(MessageError):
    """An image with a frame id other than that of the colour image."""


class CameraInfoError(MessageError):
    """A camera info with unusable intrinsics, or for another image size."""


class IntrinsicsError(CameraInfoError):
    """A camera info whose intrinsics are likely to be those of another resolution."""


class MissingCameraInfoError(MessageError):
    """Images without a camera info."""


class DepthUnitError(MessageError):
    """Depth in an implausible range, for instance millimetres sent as metres."""


class LabelsError(MessageError):
    """Labels that contradict themselves."""


class StaleFrameError(MessageError):
    """A frame that is not newer than the previous one."""
