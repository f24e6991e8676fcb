"""Parameters of the mask node."""

from __future__ import annotations

from dataclasses import dataclass

from sdfpose_core.masks.config import TabletopConfig
from sdfpose_ros.graph.parameters import parameter
from sdfpose_ros.masks.backend_names import BACKENDS

__all__ = ["MaskNodeParameters"]

_TABLETOP = TabletopConfig()


@dataclass(frozen=True)
class MaskNodeParameters:
    """Parameters of the mask node."""

    backend: str = parameter(
        "tabletop",
        "Source of the masks: objects on a table (tabletop), any objects (network), Mask R-CNN "
        "(torchvision), an image of class ids (label_image) or of instance ids (instance_image), "
        "the boxes of a detector (detections), outlines of yolo_ros (yolo) or masks of Isaac ROS "
        "Segment Anything (mask_tensor).",
        choices=BACKENDS,
    )
    classes: tuple[str, ...] = parameter(
        (),
        "Categories of classes, by id or name, for example ['41:mug', 'glass:any']; a class name "
        "that is a label of a category needs no entry.",
    )
    weights_dirs: tuple[str, ...] = parameter(
        (),
        "Packs of categories, or folders of packs, beside those of the package, whose names and "
        "labels classes may have; those of the pose node.",
    )
    label_info: bool = parameter(
        False,
        "Read the names of class ids, or for instance_image of instance ids, from ~/label_info "
        "(vision_msgs/LabelInfo).",
    )
    prompts: bool = parameter(
        False,
        "For mask_tensor: read the classes from the prompts on ~/detections "
        "(vision_msgs/Detection2DArray), one for each mask.",
    )
    max_rate_hz: float = parameter(
        0.0, "Limit of images processed per second; 0 for all.", minimum=0.0, maximum=1000.0
    )
    queue_size: int = parameter(
        10, "Messages kept per input until the other inputs arrive.", minimum=1, maximum=1000
    )
    slop_s: float = parameter(
        0.02, "Largest difference of stamps within an image, seconds.", minimum=1e-6, maximum=10.0
    )
    depth_unit: float = parameter(
        0.0,
        "Metres per unit of depth, for example 0.0001 for depth in 0.1 mm; 0 for millimetres in "
        "16-bit and metres in float images.",
        minimum=0.0,
        maximum=1.0,
    )
    min_pixels: int = parameter(
        _TABLETOP.min_pixels,
        "Smallest instance, pixels; for tabletop, in an image of at most 640 pixels width, for "
        "network, in one of 640x480.",
        minimum=1,
        maximum=10**7,
    )
    max_distance_m: float = parameter(
        _TABLETOP.max_distance_m,
        "Depth beyond this distance is ignored, for the table and for objects, metres.",
        minimum=0.1,
        maximum=20.0,
    )
    min_height_m: float = parameter(
        _TABLETOP.min_height_m,
        "Points lower above the table belong to the table, metres.",
        minimum=0.0,
        maximum=1.0,
    )
    max_height_m: float = parameter(
        _TABLETOP.max_height_m,
        "Points higher above the table belong to no object, metres.",
        minimum=0.01,
        maximum=10.0,
    )
    max_size_m: float = parameter(
        _TABLETOP.max_size_m,
        "Longer objects are dropped, metres.",
        minimum=0.01,
        maximum=10.0,
    )
    gap_m: float = parameter(
        _TABLETOP.gap_m,
        "Points on the table farther apart than this belong to different objects, metres.",
        minimum=0.011,
        maximum=1.0,
    )
    min_score: float = parameter(
        0.5,
        "Instances of network, torchvision, detections, yolo and prompts with a lower score are "
        "dropped.",
        minimum=0.0,
        maximum=1.0,
    )
    weights: str = parameter(
        "",
        "Weights file of network, empty for that of the package; or of torchvision's Mask R-CNN, "
        "empty to download it.",
    )
    device: str = parameter("auto", "Device of network and torchvision: auto, cpu, cuda or cuda:N.")
