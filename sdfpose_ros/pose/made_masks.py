"""Masks that the pose node makes itself, from the images in which it estimates poses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from sdfpose.msg import InstanceLabels
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from sdfpose_core.masks.claimed_masks import ClaimedMasks
from sdfpose_core.masks.instance_mask import InstanceMask
from sdfpose_core.masks.sources import MaskBackendConfig, make_mask_backend, weights_among
from sdfpose_core.messages.decoding import LabelRules
from sdfpose_core.observation.frame import ObjectEstimate, RgbdFrame
from sdfpose_core.packs.collection import Packs
from sdfpose_ros.graph.image_messages import image_message, labels_message
from sdfpose_ros.graph.throttle import ThrottledLog
from sdfpose_ros.pose.camera_names import camera_topic
from sdfpose_ros.pose.mask_names import TOPIC
from sdfpose_ros.pose.parameters import PoseNodeParameters

__all__ = ["MadeMasks", "make_masks"]

_QOS = QoSProfile(depth=5)
"""Reliable, like that of the mask node."""


def make_masks(
    parameters: PoseNodeParameters, packs: Packs, cameras: Sequence[str]
) -> dict[str, ClaimedMasks]:
    """Create the source of masks of each camera; none if they come from a topic.

    Args:
        parameters: parameters of the pose node.
        packs: of all known categories, beside which may be a mask network of its own.
        cameras: names of the cameras.

    Raises:
        MaskBackendError: a package is not installed, or weights cannot be downloaded or read.
        WeightsError: the weights of the mask network are missing, damaged or of another version.
        DeviceError: the device is not available.
    """
    if parameters.masks == TOPIC:
        return {}
    weights = weights_among(parameters.masks, packs)
    config = MaskBackendConfig(weights=weights, device=parameters.device)
    backend = make_mask_backend(parameters.masks, packs.categories, config)
    return {x: ClaimedMasks(backend) for x in cameras}


class MadeMasks:
    """Makes the masks of images, and publishes them on ``~/mask`` and ``~/labels``.

    Args:
        node: node that publishes.
        camera: name of the camera, see `camera_topic`.
        source: makes the masks.
        log: receives a warning when an image cannot be segmented.
    """

    def __init__(
        self, node: Node, source: ClaimedMasks, log: ThrottledLog, camera: str = ""
    ) -> None:
        self._node = node
        self._source = source
        self._log = log
        self._mask: Publisher[Any] = node.create_publisher(
            Image, camera_topic(camera, "mask"), _QOS
        )
        self._labels: Publisher[Any] = node.create_publisher(
            InstanceLabels, camera_topic(camera, "labels"), _QOS
        )

    def find(self, frame: RgbdFrame) -> InstanceMask:
        """Find the masks of the next image, while the previous one may still be processed.

        Args:
            frame: the image.
        """
        return self._source.find(frame)

    def masked(
        self,
        frame: RgbdFrame,
        found: InstanceMask,
        followed: Sequence[ObjectEstimate],
        rules: LabelRules | None,
        header: Header,
    ) -> RgbdFrame:
        """Complete the masks of an image, and publish them.

        Args:
            frame: the image.
            found: its masks, see `find`.
            followed: objects at the poses that are predicted for it; they claim their pixels.
            rules: category of all masks; None for the labels of the source.
            header: header of the colour image.

        Returns:
            The frame with its masks.
        """
        mask = self._source.claimed(frame, found, followed)
        if mask.problem:
            self._log.warning("masks", f"masks: {mask.problem}")
        labels = mask.labels if rules is None else rules.labels(mask.ids)
        # Labels first, so that a subscriber to both has them when the mask arrives.
        self._labels.publish(labels_message(labels, header))
        self._mask.publish(image_message(mask.ids, "16UC1", header))
        return replace(frame, mask=mask.ids, labels=labels)

    def forget(self) -> None:
        """Forget the objects of previous images. Not while `find` runs."""
        self._source.reset()

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in (self._mask, self._labels):
            self._node.destroy_publisher(publisher)
