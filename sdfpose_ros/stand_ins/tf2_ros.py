"""Stand-in for `tf2_ros`: the part that looks up transforms.

The names are those of the ROS 2 package.
"""

from __future__ import annotations

import threading
from typing import Any

from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from sdfpose_core.messages.objects import transform_message
from sdfpose_core.messages.transform_tree import TransformError, TransformTree

__all__ = ["Buffer", "TransformException", "TransformListener"]

_CACHE_NS = 10_000_000_000
_QOS = QoSProfile(depth=100)
_STATIC_QOS = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)


_MESSAGES = {
    f"geometry_msgs/msg/{x.__name__}": x for x in (Quaternion, Transform, TransformStamped, Vector3)
}


class TransformException(Exception):  # noqa: N818
    """There is no transform between two frames at a time."""


class Buffer:
    """Transforms of the last ten seconds. Safe to use from any thread."""

    def __init__(self) -> None:
        self._tree = TransformTree(keep_ns=_CACHE_NS)
        self._changed = threading.Condition()

    def clear(self) -> None:
        """Forget all transforms that are not static."""
        with self._changed:
            self._tree.forget()

    def take(self, message: TFMessage, *, static: bool) -> None:
        """Take a message of ``/tf`` or ``/tf_static``."""
        with self._changed:
            (self._tree.take_static if static else self._tree.take)(message)
            self._changed.notify_all()

    def lookup_transform(
        self, target_frame: str, source_frame: str, time: Time, timeout: Duration | None = None
    ) -> TransformStamped:
        """Look up the transform from one frame to another, and wait for it.

        Args:
            target_frame: frame of the results.
            source_frame: frame of the arguments.
            time: of the transform.
            timeout: longest wait, wall time; None does not wait. Another thread has to spin the
                node meanwhile.

        Raises:
            TransformException: there is no such transform at that time.
        """
        found: Any = None
        problem: TransformError | None = None

        def known() -> bool:
            nonlocal found, problem
            try:
                found = self._tree.lookup(target_frame, source_frame, time.nanoseconds)
            except TransformError as error:
                problem = error
            return found is not None

        with self._changed:
            self._changed.wait_for(known, 0.0 if timeout is None else 1e-9 * timeout.nanoseconds)
        if found is None:
            raise TransformException(str(problem)) from problem
        header = Header(stamp=time.to_msg(), frame_id=target_frame)
        message: TransformStamped = transform_message(
            _new, found[:3, :3], found[:3, 3], header, source_frame
        )
        return message


class TransformListener:
    """Fills a buffer from ``/tf`` and ``/tf_static``.

    Args:
        buffer: the buffer.
        node: subscribes.
    """

    def __init__(self, buffer: Buffer, node: Node) -> None:
        self._node = node
        self._subscriptions = [
            node.create_subscription(
                TFMessage, "/tf", lambda x: buffer.take(x, static=False), _QOS
            ),
            node.create_subscription(
                TFMessage, "/tf_static", lambda x: buffer.take(x, static=True), _STATIC_QOS
            ),
        ]

    def unregister(self) -> None:
        """Destroy the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)


def _new(kind: str, /, **fields: Any) -> Any:
    return _MESSAGES[kind](**fields)
