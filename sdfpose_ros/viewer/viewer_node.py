"""The viewer node: shows the images and results of a pose node in the browser."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from rcl_interfaces.msg import Log
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sdfpose.msg import SdfObjectArray

from sdfpose_core.categories import default_categories
from sdfpose_core.errors import SdfposeError
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.observation.support_plane import SupportPlane
from sdfpose_core.viewer.address import free_address
from sdfpose_core.viewer.viewer import Viewer
from sdfpose_core.viewer.views import FrameView, ObjectView, message_view, support_plane
from sdfpose_ros.graph.parameters import declare
from sdfpose_ros.graph.process import run_node
from sdfpose_ros.graph.throttle import ThrottledLog
from sdfpose_ros.viewer.image_buffer import ImageBuffer
from sdfpose_ros.viewer.parameters import ViewerNodeParameters

__all__ = ["ViewerNode", "main"]

_NICENESS = 5
"""The pose node comes first where the cores are few."""

_SETTLE_S = 1.0
"""Without a new result for this long, all of the last one is shown."""

_SILENT_S = 10.0
"""Without a result for this long, the images are shown alone."""

_PLANE_PERIOD_S = 1.0
"""Time between two searches for the table."""

_MAX_LATENCY_S = 60.0
"""A greater age of a result means that its stamp is of another clock."""

_RESULT_QOS = QoSProfile(depth=10)
_LATCHED_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_LOG_QOS = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class ViewerNode(Node):
    """Shows a camera and the results of a pose node.

    Remap its inputs ``~/colour``, ``~/depth``, ``~/camera_info``, ``~/objects`` and ``~/meshes`` to
    the topics of the camera and the pose node. Nothing is decoded or sent while no browser is
    connected.

    Args:
        name: node name.
        options: further arguments of `rclpy.node.Node`.

    Raises:
        ViewerError: Viser is not installed.
        ConfigurationError: the address is in use, or none of this machine.
    """

    _viewer: Viewer | None = None

    def __init__(self, *, name: str = "viewer", **options: Any) -> None:
        super().__init__(name, **options)
        settings = declare(self, ViewerNodeParameters)
        address = free_address(settings.host, settings.port or None)
        self._viewer = Viewer(address, default_categories(), settings.title)
        self._images = ImageBuffer(self, settings.depth_unit or None)
        self._log = ThrottledLog(self.get_logger())
        self._result: SdfObjectArray | None = None
        self._result_s = -np.inf
        self._shown_stamp = -1
        self._first_stamp: int | None = None
        self._settled = True
        self._latency_s: float | None = None
        self._meshes: dict[int, ObjectView] = {}
        self._plane: SupportPlane | None = None
        self._plane_s = -np.inf
        self.create_subscription(SdfObjectArray, "~/objects", self._take_result, _RESULT_QOS)
        self.create_subscription(SdfObjectArray, "~/meshes", self._take_meshes, _LATCHED_QOS)
        self.create_subscription(Log, "/rosout", self._take_log, _LOG_QOS)
        self._period_s, self._shown_s = 1.0 / settings.max_rate_hz, -np.inf
        self.create_timer(self._period_s, self._show, clock=Clock(clock_type=ClockType.STEADY_TIME))
        for line in address.lines():
            self.get_logger().info(line)

    @property
    def viewer(self) -> Viewer:
        """The viewer."""
        assert self._viewer is not None
        return self._viewer

    def destroy_node(self) -> None:
        """End the page, then destroy the node."""
        if self._viewer is not None:
            self._viewer.close()
        super().destroy_node()

    def _take_result(self, message: SdfObjectArray) -> None:
        self._result, self._result_s, self._settled = message, time.monotonic(), False
        self._take_meshes(message)
        known = {int(x.id) for x in message.objects}
        for gone in self._meshes.keys() - known:
            del self._meshes[gone]
        age_s = 1e-9 * (self.get_clock().now().nanoseconds - stamp_ns(message.header))
        self._latency_s = age_s if 0.0 <= age_s < _MAX_LATENCY_S else None
        confidences = [float(x.confidence) for x in message.objects]
        self.viewer.add_result(self._result_s, self._latency_s, confidences)
        if self._result_s - self._shown_s >= self._period_s:  # do not wait for the timer
            self._show()

    def _take_meshes(self, message: SdfObjectArray) -> None:
        for x in message.objects:
            if len(x.mesh_vertices):
                view = message_view(x)
                if view is not None:
                    self._meshes[view.id] = view

    def _take_log(self, message: Log) -> None:
        self.viewer.log(f"{message.name}: {message.msg}")

    def _show(self) -> None:
        """Show the newest result with its image; or, without results, the newest image."""
        if not self.viewer.is_watched:
            return
        quiet_s = time.monotonic() - self._result_s
        stamp = self._images.newest_stamp() if quiet_s > _SILENT_S else self._result_stamp()
        try:
            if stamp is not None and stamp != self._shown_stamp:
                self._show_image(stamp, with_result=stamp == self._result_stamp())
            elif quiet_s > _SETTLE_S and not self._settled:
                self._settled = True
                self.viewer.settle()
        except SdfposeError as error:
            self._log.failure(error)

    def _result_stamp(self) -> int | None:
        return None if self._result is None else stamp_ns(self._result.header)

    def _show_image(self, stamp: int, *, with_result: bool) -> None:
        frame = self._images.frame(stamp)
        if frame is None and not with_result:
            return
        self._shown_stamp, self._shown_s, self._settled = stamp, time.monotonic(), False
        if self._first_stamp is None or stamp < self._first_stamp:  # a bag starts again
            self._first_stamp = stamp
        objects = [] if self._result is None or not with_result else self._objects(self._result)
        self.viewer.show(
            FrameView(
                f"{1e-9 * (stamp - self._first_stamp):.1f} s",
                objects,
                frame,
                None if frame is None else self._table(frame),
                self._latency_s,
            )
        )

    def _objects(self, message: SdfObjectArray) -> list[ObjectView]:
        """The objects of a result, with their last meshes."""
        views = [x for x in map(message_view, message.objects) if x is not None]
        return [self._with_mesh(x) for x in views]

    def _with_mesh(self, x: ObjectView) -> ObjectView:
        mesh = self._meshes.get(x.id)
        if mesh is None:
            return x
        made = mesh.estimate
        estimate = replace(
            x.estimate, vertices=made.vertices, faces=made.faces, normals=made.normals
        )
        return replace(x, estimate=estimate, revision=mesh.revision, colours=mesh.colours)

    def _table(self, frame: RgbdFrame) -> SupportPlane | None:
        """The table, which is looked for once a second."""
        now = time.monotonic()
        if now - self._plane_s >= _PLANE_PERIOD_S:
            self._plane_s, self._plane = now, support_plane(frame)
        return self._plane


def main(args: Sequence[str] | None = None) -> int:
    """Run the viewer node, with a lower priority than the pose node's."""
    os.nice(_NICENESS)
    return run_node(ViewerNode, args)


if __name__ == "__main__":
    sys.exit(main())
