"""Words in topic names, which tell what a topic carries."""

from __future__ import annotations

import re

__all__ = ["is_rectified", "segments"]

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
"""Words are separated by anything but letters, and by capitals as in 'imageRect'."""

_RECTIFIED = {"rect", "rectified", "undistorted"}


def segments(topic: str) -> list[list[str]]:
    """Split a topic name into segments, and these into words in lower case.

    Example:
        >>> segments("/direct_cam/imageRect/compressed")
        [['direct', 'cam'], ['image', 'rect'], ['compressed']]
    """
    return [[x.lower() for x in _WORD.findall(part)] for part in topic.split("/") if part]


def is_rectified(topic: str) -> bool:
    """Whether a topic's name has a word for rectified images, such as image_rect."""
    return any(word in _RECTIFIED for part in segments(topic) for word in part)
