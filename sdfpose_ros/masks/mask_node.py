"""The mask node: an RGB-D camera's images in, instance masks and labels out.

Callbacks only match messages. A worker thread segments the newest complete set.
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

from sdfpose_core.categories import Categories
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_core.packs.collection import Packs
from sdfpose_ros.graph.image_messages import image_message, labels_message
from sdfpose_ros.graph.input_watchdog import SILENT_AFTER_S
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
"""Reliable, which is compatible with reliable and best-effort subscribers."""

_END_S = 3.0
"""Longest wait for the last image when the process ends, which has to be quick."""


class MaskNode(Node):
    """Computes ``~/mask`` and ``~/labels`` from the images of a camera.

    Args:
        source: creates the backend from the node's parameters.
        name: node name.
        options: further arguments of `rclpy.node.Node`.

    Attributes:
        skipped: number of images skipped because of ``max_rate_hz``.

    Raises:
        SdfposeError: the backend cannot be created.
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
        self._source = source(parameters, Packs.beside_shipped(parameters.weights_dirs).categories)
        self._period_ns = 1e9 / parameters.max_rate_hz if parameters.max_rate_hz else 0.0
        self._slop_ns = 1e9 * parameters.slop_s
        self._last_ns: int | None = None
        self.skipped = 0
        self._mask = self.create_publisher(Image, "~/mask", _QOS)
        self._labels = self.create_publisher(InstanceLabels, "~/labels", _QOS)
        self.worker = NewestWorker(self._process, self._log_error, "masks")
        self.inputs = MaskInputs(
            self,
            self._source,
            queue_size=parameters.queue_size,
            slop_s=parameters.slop_s,
            on_matched=self._submit,
            on_restart=self._restart,
            log=self._log,
        )
        self._watch = self.create_timer(
            SILENT_AFTER_S, self._check_inputs, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self.get_logger().info(
            f"backend {parameters.backend} ready: waiting for messages on "
            f"{', '.join(self.inputs.received)}"
        )

    def destroy_node(self) -> None:
        """Stop the worker, then destroy the node."""
        worker = getattr(self, "worker", None)  # a wrong parameter may come before it
        if worker is not None and not worker.stop(_END_S):
            self.get_logger().warning(
                "the worker is still processing its last image: not waiting for it"
            )
        super().destroy_node()

    def _submit(self, matched: MatchedImages) -> None:
        stamp = stamp_ns(matched.messages["colour"].header)
        # The stamps of a camera jitter by up to the slop.
        early = self._last_ns is not None and (
            0 <= stamp - self._last_ns < self._period_ns - self._slop_ns
        )
        if early:
            self.skipped += 1
            return
        self._last_ns = stamp
        self.worker.submit(matched)

    def _process(self, matched: MatchedImages) -> None:
        """Segment one image, in the worker's thread."""
        found = self._source.segment(matched)
        if found.problem:
            self._log.warning("problem", f"{self.inputs.topics['depth']}: {found.problem}")
        header = matched.messages["colour"].header
        # Labels first, so that a subscriber to both has them when the mask arrives.
        self._labels.publish(labels_message(found.labels, header))
        self._mask.publish(image_message(found.ids, "16UC1", header))

    def _log_error(self, error: Exception) -> None:
        if self.context.ok():  # otherwise the node was shut down in the middle of an image
            self._log.failure(error)

    def _restart(self) -> None:
        self.get_logger().warning(
            f"{self.inputs.topics['colour']}: time jumped back: all objects get new ids"
        )
        self._last_ns = None
        self.worker.interrupt(self._source.memory.reset)

    def _check_inputs(self) -> None:
        if not self.worker.busy:  # a player in lockstep waits for the result
            self.inputs.check()


def main(args: Sequence[str] | None = None) -> int:
    """Run the mask node."""
    return run_node(MaskNode, args)


if __name__ == "__main__":
    sys.exit(main())
