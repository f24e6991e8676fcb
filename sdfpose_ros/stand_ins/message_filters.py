"""Stand-in for `message_filters`: filters of `sdfpose_core.messages.filters` and a subscriber.

The camel-case names are those of the ROS 2 package.
"""

from __future__ import annotations

from typing import Any

from rclpy.node import Node

from sdfpose_core.messages.filters import ApproximateTimeSynchronizer, SimpleFilter

__all__ = ["ApproximateTimeSynchronizer", "SimpleFilter", "Subscriber"]


class Subscriber(SimpleFilter):
    """A subscription as the source of a chain of filters.

    Args:
        node: node that subscribes.
        msg_type: message class.
        topic: topic name.
        args, kwargs: further arguments of `Node.create_subscription`.
    """

    def __init__(self, node: Node, msg_type: type, topic: str, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.node = node
        self.topic = topic
        if not args:
            kwargs.setdefault("qos_profile", 10)
        self.sub = node.create_subscription(msg_type, topic, self.signalMessage, *args, **kwargs)

    def getTopic(self) -> str:  # noqa: N802
        """Return the topic name as it was passed."""
        return self.topic
