"""Parameters of the mask node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sdfpose_core.masks.config import TabletopConfig
from sdfpose_ros.graph.parameters import parameter

__all__ = ["MaskNodeParameters"]

_TABLETOP = TabletopConfig()


@dataclass(frozen=True)
class MaskNodeParameters:
    """Parameters of the mask node."""

    backend: Literal["tabletop", "torchvision", "label_image", "detections"] = parameter(
        "tabletop",
        "Where masks come from: what stands on a table, Mask R-CNN, an image of class ids, or "
        "boxes of a detector.",
        choices=("tabletop", "torchvision", "label_image", "detections"),
    )
    classes: tuple[str, ...] = parameter(
        (),
        "Categories of the classes of label_image or detections, for example ['41:mug', '45:bowl'];"
        " names that a category has among its labels need none.",
    )
    max_rate_hz: float = parameter(
        0.0, "Images worked on per second, 0 for all.", minimum=0.0, maximum=1000.0
    )
    queue_size: int = parameter(
        10, "Messages kept for each input while the others are awaited.", minimum=1, maximum=1000
    )
    slop_s: float = parameter(
        0.02, "Largest difference of stamps within an image, seconds.", minimum=1e-6, maximum=10.0
    )
    min_pixels: int = parameter(
        _TABLETOP.min_pixels,
        "Smaller instances are left out, pixels; of a table, of an image at most 640 pixels wide.",
        minimum=1,
        maximum=10**7,
    )
    max_distance_m: float = parameter(
        _TABLETOP.max_distance_m,
        "Depth beyond it is not looked at, for the table or what stands on it, metres.",
        minimum=0.1,
        maximum=20.0,
    )
    min_height_m: float = parameter(
        _TABLETOP.min_height_m,
        "What is lower above the table belongs to it, metres.",
        minimum=0.0,
        maximum=1.0,
    )
    max_height_m: float = parameter(
        _TABLETOP.max_height_m,
        "What is higher above the table belongs to no object, metres.",
        minimum=0.01,
        maximum=10.0,
    )
    max_size_m: float = parameter(
        _TABLETOP.max_size_m,
        "Longer things on the table are left out, metres.",
        minimum=0.01,
        maximum=10.0,
    )
    gap_m: float = parameter(
        _TABLETOP.gap_m,
        "Things on the table that are farther apart are two, metres.",
        minimum=0.011,
        maximum=1.0,
    )
    min_score: float = parameter(
        0.5,
        "Instances of torchvision and detections with a lower score are left out.",
        minimum=0.0,
        maximum=1.0,
    )
    weights: str = parameter(
        "", "File of the weights of torchvision's Mask R-CNN; empty to download them."
    )
    device: str = parameter("auto", "Where Mask R-CNN runs: auto, cpu, cuda or cuda:N.")
