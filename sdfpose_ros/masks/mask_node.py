"""The mask node: an RGB-D camera's images in, instance masks and labels out.

Callbacks only put messages together; a worker thread segments the newest complete ones.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sdfpose.msg import InstanceLabels
from sensor_msgs.msg import Image

from sdfpose_core.categories import Categories, default_categories
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_ros.graph.image_messages import image_message, labels_message
from sdfpose_ros.graph.input_watchdog import SILENT_AFTER_S, warn_silent_inputs
from sdfpose_ros.graph.parameters import declare
from sdfpose_ros.graph.process import run_node
from sdfpose_ros.graph.throttle import ThrottledLog
from sdfpose_ros.graph.worker import NewestWorker
from sdfpose_ros.masks.backends import MaskSource, make_source
from sdfpose_ros.masks.inputs import MaskInputs
from sdfpose_ros.masks.matched_images import MatchedImages
from sdfpose_ros.masks.parameters import MaskNodeParameters

__all__ = ["MaskNode", "main"]

_QOS = QoSProfile(depth=5)
"""Reliable: it serves subscribers of both kinds."""


class MaskNode(Node):
    """Publishes ``~/mask`` and ``~/labels`` of the images of a camera that has none.

    Args:
        source: makes the backend of the node's parameters.
        name: the node's name.
        options: further arguments of `rclpy.node.Node`.

    Attributes:
        passed_over: images that came faster than ``max_rate_hz``.

    Raises:
        SdfposeError: the backend cannot be made.
    """

    def __init__(
        self,
        source: Callable[[MaskNodeParameters, Categories], MaskSource] = make_source,
        *,
        name: str = "sdfpose_mask",
        **options: Any,
    ) -> None:
        super().__init__(name, **options)
        parameters = declare(self, MaskNodeParameters)
        self._log = ThrottledLog(self.get_logger())
        self._source = source(parameters, default_categories())
        self._period_ns = 1e9 / parameters.max_rate_hz if parameters.max_rate_hz else 0.0
        self._slop_ns = 1e9 * parameters.slop_s
        self._last_ns: int | None = None
        self.passed_over = 0
        self._mask = self.create_publisher(Image, "~/mask", _QOS)
        self._labels = self.create_publisher(InstanceLabels, "~/labels", _QOS)
        self.worker = NewestWorker(self._process, self._tell, "masks")
        self.inputs = MaskInputs(
            self,
            self._source,
            queue_size=parameters.queue_size,
            slop_s=parameters.slop_s,
            on_matched=self._submit,
            on_restart=self._restart,
        )
        self._watch = self.create_timer(
            SILENT_AFTER_S, self._check_inputs, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self.get_logger().info(
            f"{parameters.backend}: ready: waits for {', '.join(self.inputs.received)}"
        )

    def destroy_node(self) -> None:
        """End the worker, then the node."""
        worker = getattr(self, "worker", None)
        if worker is not None and not worker.stop():
            self.get_logger().warning("the worker is still busy with its last image")
        super().destroy_node()

    def _submit(self, matched: MatchedImages) -> None:
        stamp = stamp_ns(matched.messages["colour"].header)
        # A camera's stamps are not more exact than the slop.
        early = self._last_ns is not None and (
            0 <= stamp - self._last_ns < self._period_ns - self._slop_ns
        )
        if early:
            self.passed_over += 1
            return
        self._last_ns = stamp
        self.worker.submit(matched)

    def _process(self, matched: MatchedImages) -> None:
        """Segment one image, in the worker's thread."""
        found = self._source.segment(matched)
        if found.problem:
            self._log.warning("problem", f"{self.inputs.topics['depth']}: {found.problem}")
        header = matched.messages["colour"].header
        # The labels first: whoever waits for both has them when the image comes.
        self._labels.publish(labels_message(found.labels, header))
        self._mask.publish(image_message(found.ids, "16UC1", header))

    def _tell(self, error: Exception) -> None:
        if self.context.ok():  # else shut down in the middle of an image
            self._log.failure(error)

    def _restart(self) -> None:
        self.get_logger().warning(
            f"{self.inputs.topics['colour']}: time jumped back: all objects get new ids"
        )
        self._last_ns = None
        self.worker.interrupt(self._source.memory.reset)

    def _check_inputs(self) -> None:
        """Say why no images come: a topic is silent, or stamps do not agree."""
        matched, silent = self.inputs.since_last_check()
        if matched:
            return
        warn_silent_inputs(self, silent, self.inputs.subscriptions, self._log, SILENT_AFTER_S)
        if not silent:
            self._log.warning(
                "unmatched",
                f"messages arrive on {', '.join(self.inputs.received)}, but no stamps have matched "
                f"for {SILENT_AFTER_S:.0f} s: expected equal stamps, or a larger slop_s or "
                "queue_size",
            )


def main(args: Sequence[str] | None = None) -> int:
    """Run the mask node."""
    return run_node(MaskNode, args)


if __name__ == "__main__":
    sys.exit(main())
