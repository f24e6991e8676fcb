"""The camera node: publishes RGB-D frames, masks and ground truth, simulated or recorded."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from sdfpose_core.categories import default_categories
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.observation.frame import GroundTruth, RgbdFrame
from sdfpose_ros.graph.object_messages import transform_message
from sdfpose_ros.graph.parameters import declare
from sdfpose_ros.graph.process import run_node
from sdfpose_ros.playback.frame_publisher import FramePublisher
from sdfpose_ros.playback.parameters import CameraNodeParameters
from sdfpose_ros.playback.sources import (
    back_and_forth,
    folder_frames,
    only_categories,
    several_cameras,
    simulated_frames,
)

__all__ = ["CameraNode", "FrameSource", "main", "make_source"]

FrameSource = Iterator[tuple[RgbdFrame, Sequence[GroundTruth]]]

_SETTLE_S = 0.5

_LATCHED_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def make_source(parameters: CameraNodeParameters, warn: Callable[[str], object]) -> FrameSource:
    """Create the source of frames that the parameters select.

    Args:
        parameters: parameters of the camera node.
        warn: called with a message for each frame that cannot be read.

    Raises:
        SdfposeError: there are no frames, or the parameters contradict one another.
    """
    frames: FrameSource
    if parameters.cameras:
        if parameters.folders or not parameters.loop or parameters.prerender:
            raise ConfigurationError(
                "parameter cameras: several cameras are simulated without end: expected no "
                "folders, loop: true and prerender: 0"
            )
        frames = several_cameras(
            parameters.cameras,
            seed=parameters.seed,
            width=parameters.width,
            rate_hz=parameters.rate_hz,
        )
    elif parameters.folders:
        frames = folder_frames(
            parameters.folders, loop=parameters.loop, warn=warn, masks=parameters.masks
        )
    else:
        frames = simulated_frames(
            seed=parameters.seed,
            width=parameters.width,
            rate_hz=parameters.rate_hz,
            turn_s=parameters.turn_s,
            loop=parameters.loop,
        )
    if parameters.categories:
        unknown = set(parameters.categories) - set(default_categories())
        if unknown:
            raise ConfigurationError(
                f"parameter categories: {', '.join(sorted(unknown))}: expected some of "
                f"{', '.join(default_categories())}"
            )
        frames = only_categories(frames, parameters.categories)
    return back_and_forth(frames, parameters.prerender) if parameters.prerender else frames


class CameraNode(Node):
    """An RGB-D camera with a perfect detector, or several of them.

    Publishes ``~/colour``, ``~/depth``, ``~/camera_info``, ``~/ground_truth`` and, unless the
    parameter ``masks`` is false, ``~/mask`` and ``~/labels``. With the parameter ``cameras``, these
    topics are below ``~/view_0``, ``~/view_1`` and so on, and the poses of the cameras in ``world``
    are on ``/tf_static``.

    Args:
        source: creates the source of frames. The process ends after the last frame.
        name: node name.
        options: further arguments of `rclpy.node.Node`.
    """

    def __init__(
        self,
        source: Callable[
            [CameraNodeParameters, Callable[[str], object]], FrameSource
        ] = make_source,
        *,
        name: str = "camera",
        **options: Any,
    ) -> None:
        super().__init__(name, **options)
        self._settings = settings = declare(self, CameraNodeParameters)
        self._frames = source(settings, self.get_logger().warning)
        prefixes = [f"~/view_{k}" for k in range(settings.cameras)] or ["~"]
        self._cameras = [FramePublisher(self, prefix, settings) for prefix in prefixes]
        if settings.cameras:
            self._tell_poses()
        self._prepared: tuple[RgbdFrame, Sequence[GroundTruth]] | None = None
        self._wait_deadline_s = time.monotonic() + settings.wait_s
        self.create_timer(
            1.0 / settings.rate_hz,
            self._publish_next,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )

    def _tell_poses(self) -> None:
        """Publish the poses of the cameras."""
        from sdfpose_core.simulation.rig import rig_poses

        self._static = self.create_publisher(TFMessage, "/tf_static", _LATCHED_QOS)
        world = Header(stamp=self.get_clock().now().to_msg(), frame_id="world")
        poses = rig_poses(self._settings.cameras, self._settings.seed)
        self._static.publish(
            TFMessage(
                transforms=[
                    transform_message(x.rotation, x.translation, world, f"view_{k}_optical_frame")
                    for k, x in enumerate(poses)
                ]
            )
        )

    def _publish_next(self) -> None:
        if self._prepared is None:  # before the wait: the subscribers load meanwhile
            self._prepared = next(self._frames, None)
        if time.monotonic() < self._wait_deadline_s:
            if not all(x.is_awaited for x in self._cameras):
                return
            # A subscription may not be set up on both sides yet: without a pause the first messages
            # would be lost.
            self._wait_deadline_s = 0.0
            time.sleep(_SETTLE_S)
        item, self._prepared = self._prepared, None
        # The only place that creates a stamp; all others copy it from the image.
        stamp = self.get_clock().now().to_msg()
        for k, camera in enumerate(self._cameras):
            if k:
                item = next(self._frames, None)
            if item is None:
                self.get_logger().info("the last frame was published: exiting")
                raise SystemExit(0)
            frame_id = f"view_{k}_optical_frame" if self._settings.cameras else ""
            camera.publish(*item, Header(stamp=stamp, frame_id=frame_id or self._settings.frame_id))


def main(args: Sequence[str] | None = None) -> int:
    """Run the camera node."""
    return run_node(CameraNode, args)


if __name__ == "__main__":
    sys.exit(main())
