"""A last message of a node whose context is already shut down."""

from __future__ import annotations

import time
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import QoSProfile

__all__ = ["publish_last"]

_POLL_S = 0.02

_SETTLE_S = 0.2
"""A subscriber may learn of the publisher this much later than the publisher of it. A message in
between is lost, although it is reliable and counts as acknowledged."""


def publish_last(message: Any, topic: str, domain_id: int, timeout_s: float = 2.0) -> bool:
    """Publish one reliable message from a context of its own.

    An interrupt shuts down the context of a node before the node can say that it ends.

    Args:
        message: the message.
        topic: full name of the topic; the remappings of the process do not apply again.
        domain_id: ROS domain.
        timeout_s: longest wait for a subscriber, and for it to have the message, seconds each.

    Returns:
        Whether a subscriber was there and has it.
    """
    context = Context()
    rclpy.init(args=[], context=context, domain_id=domain_id)
    try:
        node = Node(
            "last_message",
            context=context,
            use_global_arguments=False,
            enable_rosout=False,
            start_parameter_services=False,
        )
        publisher = node.create_publisher(type(message), topic, QoSProfile(depth=1))
        end_s = time.monotonic() + timeout_s
        while not publisher.get_subscription_count():
            if time.monotonic() > end_s:
                node.destroy_node()
                return False
            time.sleep(_POLL_S)
        time.sleep(_SETTLE_S)
        publisher.publish(message)
        done = bool(publisher.wait_for_all_acked(Duration(seconds=timeout_s)))
        node.destroy_node()
        return done
    finally:
        context.try_shutdown()
