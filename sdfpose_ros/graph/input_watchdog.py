"""Input watchdog: explains why a node receives no messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, qos_check_compatible
from rclpy.subscription import Subscription

from sdfpose_ros.graph.throttle import ThrottledLog

__all__ = ["SILENT_AFTER_S", "warn_silent_inputs"]

SILENT_AFTER_S = 5.0
"""Warn when no messages have matched for this long."""


def warn_silent_inputs(
    node: Node,
    silent: Iterable[str],
    subscriptions: Mapping[str, Subscription[Any]],
    log: ThrottledLog,
    seconds: float,
) -> None:
    """Log each silent topic with its likely cause.

    Args:
        node: node that subscribes.
        silent: topics without a message.
        subscriptions: subscription of each topic.
        log: receives the warnings.
        seconds: length of the silence, seconds.
    """
    for topic in silent:
        offers = node.get_publishers_info_by_topic(topic)
        log.warning(
            ("silent", topic),
            f"{topic}: no message for {seconds:.0f} s from {len(offers)} publisher(s): expected "
            f"one for each image ({_hint(topic, offers, subscriptions[topic])})",
        )


def _hint(topic: str, offers: Sequence[Any], wanted: Subscription[Any]) -> str:
    """Return the likely cause of a silent topic."""
    expected = f"{wanted.msg_type.__module__.split('.')[0]}/msg/{wanted.msg_type.__name__}"
    if not offers:
        return "is the topic name right, and is its publisher on this machine and domain?"
    for offer in offers:
        if offer.topic_type != expected:
            return f"its type is {offer.topic_type}, expected {expected}"
        compatibility, reason = qos_check_compatible(offer.qos_profile, wanted.qos_profile)
        if compatibility == QoSCompatibility.ERROR:
            return (
                f"the QoS of '{offer.node_name}' is incompatible: {reason.strip()} Set "
                f"qos_overrides.{topic}.subscription"
            )
    return "is its publisher running? Large images need a large shared-memory segment"
