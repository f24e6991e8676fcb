"""Names of the pose node's sources of masks, in a module that loads quickly."""

from __future__ import annotations

__all__ = ["MASKS", "TOPIC"]

TOPIC = "topic"
"""Source of the masks that come with the images."""

MASKS = (
    TOPIC,
    "tabletop",
    "network",
    "torchvision",
)
