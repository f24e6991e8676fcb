"""Names of the mask backends, in a module that loads quickly."""

from __future__ import annotations

__all__ = ["BACKENDS"]

BACKENDS = (
    "tabletop",
    "network",
    "torchvision",
    "label_image",
    "instance_image",
    "detections",
    "yolo",
    "mask_tensor",
)
