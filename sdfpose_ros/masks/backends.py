"""Mask backends and the input messages of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from sensor_msgs.msg import Image

from sdfpose_core.categories import Categories
from sdfpose_core.errors import CategoryError, ConfigurationError
from sdfpose_core.masks.config import TabletopConfig
from sdfpose_core.masks.instance_mask import InstanceMask
from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.observation.segmentation import ANY_CATEGORY
from sdfpose_ros import stand_ins
from sdfpose_ros.masks.matched_images import MatchedImages
from sdfpose_ros.masks.parameters import MaskNodeParameters

if TYPE_CHECKING:
    from sdfpose_core.masks.boxes import Box

__all__ = ["MaskSource", "boxes_of_detections", "make_source", "parse_classes"]


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
    """

    inputs: Mapping[str, type]
    segment: Callable[[MatchedImages], InstanceMask]
    memory: Resettable

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
        "tabletop": _tabletop,
        "network": _network,
        "torchvision": _torchvision,
        "label_image": _label_image,
        "detections": _detections,
    }
    return makers[parameters.backend](parameters, categories)


def parse_classes(entries: Sequence[str], categories: Categories) -> dict[str, str]:
    """Parse the parameter ``classes`` into a category per class.

    Args:
        entries: entries of the form ``class:category``.
        categories: all known categories.

    Raises:
        ConfigurationError: an entry has another form, or names an unknown category.
    """
    found: dict[str, str] = {}
    for entry in entries:
        name, separator, category = (part.strip() for part in entry.rpartition(":"))
        if not separator or not name:
            raise ConfigurationError(
                f"parameter classes: entry '{entry}': expected 'class:category', for example "
                "'41:mug'"
            )
        if name in found:
            raise ConfigurationError(
                f"parameter classes: class {name} is given twice: expected one category per class"
            )
        try:
            found[name] = category if category == ANY_CATEGORY else categories[category].name
        except CategoryError as error:
            raise ConfigurationError(f"parameter classes: {error}") from error
    return found


def boxes_of_detections(
    message: Any, classes: Mapping[str, str], categories: Categories, min_score: float
) -> list[Box]:
    """Extract the boxes of a vision_msgs/Detection2DArray, each with its most likely class.

    Args:
        message: the detections.
        classes: category by class id. Other class ids are looked up as labels of a category.
        categories: all known categories. Detections of no category are dropped.
        min_score: detections with a lower score are dropped.

    Raises:
        FrameError: a box is not finite, or its size is negative.
    """
    from sdfpose_core.masks.boxes import Box

    boxes = []
    for detection in message.detections:
        best = max((x.hypothesis for x in detection.results), key=lambda x: x.score, default=None)
        if best is None or not best.score >= min_score:
            continue
        by_label = categories.by_label(best.class_id)
        category = classes.get(best.class_id, None if by_label is None else by_label.name)
        if category is None:
            continue
        x, y = detection.bbox.center.position.x, detection.bbox.center.position.y
        rx, ry = 0.5 * detection.bbox.size_x, 0.5 * detection.bbox.size_y
        boxes.append(Box(x - rx, y - ry, x + rx, y + ry, category, float(best.score)))
    return boxes


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


def _tabletop(parameters: MaskNodeParameters, _: Categories) -> MaskSource:
    # The backends are imported on demand: Open3D and torch take seconds to load.
    from sdfpose_core.masks.tabletop import TabletopMasks

    tabletop = TabletopMasks(_config(parameters))

    def segment(images: MatchedImages) -> InstanceMask:
        return tabletop.segment(images.depth(parameters.depth_unit or None), images.camera())

    return MaskSource({"depth": Image}, segment, tabletop)


def _network(parameters: MaskNodeParameters, _: Categories) -> MaskSource:
    from sdfpose_core.masks.network_masks import NetworkMasks

    network = NetworkMasks(
        Path(parameters.weights) if parameters.weights else None,
        parameters.device,
        min_pixels=parameters.min_pixels,
        min_score=parameters.min_score,
    )

    def segment(images: MatchedImages) -> InstanceMask:
        depth, camera = images.depth(parameters.depth_unit or None), images.camera()
        unknown = np.zeros(depth.shape, dtype=np.uint16)
        return network.segment(RgbdFrame(images.colour(), depth, unknown, camera))

    return MaskSource({"depth": Image}, segment, network)


def _torchvision(parameters: MaskNodeParameters, categories: Categories) -> MaskSource:
    from sdfpose_core.masks.torchvision_masks import TorchvisionMasks

    network = TorchvisionMasks(
        threshold=parameters.min_score,
        weights=Path(parameters.weights) if parameters.weights else None,
        device=parameters.device,
        min_pixels=parameters.min_pixels,
        categories=categories,
    )
    return MaskSource({}, lambda x: network.segment(x.colour()), network)


def _label_image(parameters: MaskNodeParameters, categories: Categories) -> MaskSource:
    from sdfpose_core.masks.label_image import LabelImageMasks

    classes = parse_classes(parameters.classes, categories)
    wrong = [x for x in classes if not x.isdecimal() or int(x) > np.iinfo(np.uint16).max]
    if wrong or not classes:
        problem = f"class '{wrong[0]}'" if wrong else "empty"
        raise ConfigurationError(
            f"parameter classes: {problem}: the backend label_image expects class ids from 0 to "
            "65535 with their categories, for example ['41:mug']"
        )
    masks = LabelImageMasks({int(k): x for k, x in classes.items()}, parameters.min_pixels)
    return MaskSource({"label_image": Image}, lambda x: masks.segment(x.label_image()), masks)


def _detections(parameters: MaskNodeParameters, categories: Categories) -> MaskSource:
    from sdfpose_core.masks.boxes import BoxMasks

    if stand_ins.vision_msgs is None:
        raise ConfigurationError(
            "parameter backend: detections needs the ROS package vision_msgs, which is not "
            "installed: install it (apt install ros-$ROS_DISTRO-vision-msgs), or choose another "
            "backend"
        )
    classes = parse_classes(parameters.classes, categories)
    masks = BoxMasks(_config(parameters))

    def segment(matched: MatchedImages) -> InstanceMask:
        boxes = boxes_of_detections(
            matched.messages["detections"], classes, categories, parameters.min_score
        )
        depth = matched.depth(parameters.depth_unit or None)
        return masks.segment(boxes, depth, matched.camera())

    kinds = {"depth": Image, "detections": stand_ins.vision_msgs.Detection2DArray}
    return MaskSource(kinds, segment, masks)
