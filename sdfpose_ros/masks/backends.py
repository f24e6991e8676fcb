"""Mask backends and the input messages of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from sensor_msgs.msg import Image

from sdfpose_core.categories import Categories
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.masks.config import TabletopConfig
from sdfpose_core.masks.instance_mask import InstanceMask
from sdfpose_core.masks.sources import MaskBackendConfig, make_mask_backend
from sdfpose_core.messages.errors import LabelsError
from sdfpose_core.observation.frame import InstanceLabel
from sdfpose_core.observation.segmentation import ANY_CATEGORY
from sdfpose_ros.graph.message_factory import message_class
from sdfpose_ros.masks.classes import ClassTable, parse_classes
from sdfpose_ros.masks.matched_images import MatchedImages
from sdfpose_ros.masks.parameters import MaskNodeParameters

__all__ = ["MaskSource", "make_source"]

_BOXES, _LABEL_INFO = "vision_msgs/msg/Detection2DArray", "vision_msgs/msg/LabelInfo"
_YOLO = "yolo_msgs/msg/DetectionArray"
_TENSORS = "isaac_ros_tensor_list_interfaces/msg/TensorList"

_SOURCES = {
    _BOXES: "apt install ros-$ROS_DISTRO-vision-msgs",
    _LABEL_INFO: "apt install ros-$ROS_DISTRO-vision-msgs, version 4.1 or later",
    _YOLO: "build it from github.com/mgonzs13/yolo_ros",
    _TENSORS: "it is part of Isaac ROS",
}
"""Where to get the messages that ROS 2 does not include."""


class Resettable(Protocol):
    """Interface of a backend that keeps object ids from image to image."""

    def reset(self) -> None:
        """Forget all objects."""
        ...


@dataclass(frozen=True)
class MaskSource:
    """A mask backend.

    Attributes:
        inputs: message class of each input besides the colour image, by name.
        segment: computes the mask of one set of matched messages.
        memory: keeps the object ids from image to image.
        constants: message class of each input whose last message serves all images, by name.
    """

    inputs: Mapping[str, type]
    segment: Callable[[MatchedImages], InstanceMask]
    memory: Resettable
    constants: Mapping[str, type] = field(default_factory=dict)

    @property
    def needs_camera(self) -> bool:
        """Whether the backend needs the camera info, without which depth cannot be used."""
        return "depth" in self.inputs


def make_source(parameters: MaskNodeParameters, categories: Categories) -> MaskSource:
    """Create the backend that the parameters select.

    Args:
        parameters: parameters of the mask node.
        categories: all known categories.

    Raises:
        ConfigurationError: the parameters do not fit the backend, or its messages are not
            installed.
        MaskBackendError: torchvision is not installed, or the weights cannot be downloaded or read.
        WeightsError: the weights of the mask network are missing, damaged or of another version.
        DeviceError: the device is not available.
    """
    makers: Mapping[str, Callable[[MaskNodeParameters, Categories], MaskSource]] = {
        "tabletop": _rgbd,
        "network": _rgbd,
        "torchvision": _torchvision,
        "label_image": _label_image,
        "instance_image": _instance_image,
        "detections": _detections,
        "yolo": _yolo,
        "mask_tensor": _mask_tensor,
    }
    return makers[parameters.backend](parameters, categories)


def _config(parameters: MaskNodeParameters) -> TabletopConfig:
    return replace(
        TabletopConfig(),
        max_distance_m=parameters.max_distance_m,
        min_height_m=parameters.min_height_m,
        max_height_m=parameters.max_height_m,
        max_size_m=parameters.max_size_m,
        gap_m=parameters.gap_m,
        min_pixels=parameters.min_pixels,
    )


def _weights(parameters: MaskNodeParameters) -> Path | None:
    return Path(parameters.weights) if parameters.weights else None


def _rgbd(parameters: MaskNodeParameters, categories: Categories) -> MaskSource:
    """Create a source of the library that needs colour, depth and camera."""
    config = MaskBackendConfig(
        _config(parameters), _weights(parameters), parameters.device, parameters.min_score
    )
    backend = make_mask_backend(parameters.backend, categories, config)

    def segment(images: MatchedImages) -> InstanceMask:
        return backend.segment(images.frame(parameters.depth_unit or None))

    return MaskSource({"depth": Image}, segment, backend)


def _torchvision(parameters: MaskNodeParameters, categories: Categories) -> MaskSource:
    # Imported on demand, as torch takes seconds to load. Without depth there is no frame.
    from sdfpose_core.masks.torchvision_masks import TorchvisionMasks

    network = TorchvisionMasks(
        threshold=parameters.min_score,
        weights=_weights(parameters),
        device=parameters.device,
        min_pixels=parameters.min_pixels,
        categories=categories,
    )
    return MaskSource({}, lambda x: network.segment(x.colour()), network)


def _label_image(parameters: MaskNodeParameters, categories: Categories) -> MaskSource:
    from sdfpose_core.masks.label_image import LabelImageMasks

    classes = ClassTable(parse_classes(parameters.classes, categories), categories)
    constants = _label_info(parameters)
    if not constants:
        _check_ids(classes.chosen)
    masks = LabelImageMasks(parameters.min_pixels)

    def segment(matched: MatchedImages) -> InstanceMask:
        return masks.segment(matched.label_image(), _named(classes, matched).by_id())

    return MaskSource({"label_image": Image}, segment, masks, constants)


def _instance_image(parameters: MaskNodeParameters, categories: Categories) -> MaskSource:
    from sdfpose_core.masks.instance_image import InstanceImageMasks

    classes = ClassTable(parse_classes(parameters.classes, categories), categories)
    # Names of instances change from image to image, unlike those of classes.
    label_info = _label_info(parameters)
    masks = InstanceImageMasks(parameters.min_pixels)

    def segment(matched: MatchedImages) -> InstanceMask:
        named = _named(classes, matched)
        return masks.segment(
            matched.instance_image(),
            lambda i: named.category(str(i)) if label_info else _chosen(named, i),
        )

    return MaskSource({"instance_image": Image, **label_info}, segment, masks)


def _detections(parameters: MaskNodeParameters, categories: Categories) -> MaskSource:
    from sdfpose_core.masks.boxes import BoxMasks
    from sdfpose_ros.masks.detections import boxes_of_detections

    detections = _optional(_BOXES, "backend: detections")
    classes = ClassTable(parse_classes(parameters.classes, categories), categories)
    masks = BoxMasks(_config(parameters))

    def segment(matched: MatchedImages) -> InstanceMask:
        boxes = boxes_of_detections(
            matched.messages["detections"],
            _named(classes, matched),
            parameters.min_score,
            matched.topics["detections"],
        )
        depth = matched.depth(parameters.depth_unit or None)
        return masks.segment(boxes, depth, matched.camera())

    kinds = {"depth": Image, "detections": detections}
    return MaskSource(kinds, segment, masks, _label_info(parameters))


def _yolo(parameters: MaskNodeParameters, categories: Categories) -> MaskSource:
    from sdfpose_core.masks.boxes import BoxMasks
    from sdfpose_ros.masks.detections import boxes_of_yolo

    detections = _optional(_YOLO, "backend: yolo")
    classes = ClassTable(parse_classes(parameters.classes, categories), categories)
    masks = BoxMasks(_config(parameters))

    def segment(matched: MatchedImages) -> InstanceMask:
        boxes = boxes_of_yolo(
            matched.messages["detections"],
            classes,
            parameters.min_score,
            matched.colour_size(),
            matched.topics["detections"],
        )
        depth = matched.depth(parameters.depth_unit or None)
        return masks.segment(boxes, depth, matched.camera())

    return MaskSource({"depth": Image, "detections": detections}, segment, masks)


def _mask_tensor(parameters: MaskNodeParameters, categories: Categories) -> MaskSource:
    from sdfpose_core.masks.mask_stack import StackedMasks

    kinds = {"mask_tensor": _optional(_TENSORS, "backend: mask_tensor")}
    if parameters.prompts:
        kinds["detections"] = _optional(_BOXES, "prompts: true")
    classes = ClassTable(parse_classes(parameters.classes, categories), categories)
    masks = StackedMasks(parameters.min_pixels)

    def segment(matched: MatchedImages) -> InstanceMask:
        stack = matched.mask_stack()
        named = _named(classes, matched)
        labels = (
            _prompted(matched, len(stack), named, parameters.min_score)
            if parameters.prompts
            else [InstanceLabel(_chosen(named, i)) for i in range(len(stack))]
        )
        return masks.segment(stack, labels)

    return MaskSource(kinds, segment, masks, _label_info(parameters) if parameters.prompts else {})


def _prompted(
    matched: MatchedImages, count: int, classes: ClassTable, min_score: float
) -> list[InstanceLabel | None]:
    """Return the labels of the prompts that `count` masks belong to, in the same order."""
    from sdfpose_ros.masks.detections import labels_of_detections

    topic = matched.topics["detections"]
    labels = labels_of_detections(matched.messages["detections"], classes, min_score, topic)
    if count > len(labels):
        raise LabelsError(
            topic,
            f"{len(labels)} prompts for {count} masks",
            "one prompt for each mask, in the same order (the detections that prompt the network)",
        )
    return labels[:count]


def _chosen(classes: ClassTable, number: int) -> str:
    """Return the category that the parameter ``classes`` gives to a number, or any category."""
    return classes.chosen.get(str(number), ANY_CATEGORY)


def _named(classes: ClassTable, matched: MatchedImages) -> ClassTable:
    """Add the names of the label info, if there is one."""
    message = matched.messages.get("label_info")
    return classes if message is None else classes.with_names(message, matched.topics["label_info"])


def _label_info(parameters: MaskNodeParameters) -> dict[str, type]:
    """Return the input for the names of class ids, if the parameters select it."""
    if not parameters.label_info:
        return {}
    return {"label_info": _optional(_LABEL_INFO, "label_info: true")}


def _optional(kind: str, wish: str) -> type:
    """Import the class of a message that need not be installed.

    Args:
        kind: type of the message.
        wish: the parameter that needs it, with its value.

    Raises:
        ConfigurationError: the message is not installed.
    """
    try:
        return message_class(kind)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"parameter {wish} needs the message {kind}, which is not installed ({error}): install "
            f"it ({_SOURCES[kind]}), or choose another value"
        ) from error


def _check_ids(classes: Mapping[str, str]) -> None:
    """Check that the parameter ``classes`` names class ids."""
    wrong = [x for x in classes if not x.isdecimal() or int(x) > np.iinfo(np.uint16).max]
    if wrong or not classes:
        problem = f"class '{wrong[0]}'" if wrong else "empty"
        raise ConfigurationError(
            f"parameter classes: {problem}: the backend label_image expects class ids from 0 to "
            "65535 with their categories, for example ['41:mug'], or label_info: true"
        )
