"""Subscriptions of a node's inputs, which follow the QoS of their publishers."""

from __future__ import annotations

from typing import Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

from sdfpose_ros.graph.parameters import checked_qos_overrides
from sdfpose_ros.stand_ins import message_filters

__all__ = ["InputSubscriptions"]

_DEPTH = 10
"""Messages of a topic that are queued for the node's thread."""

_PERIOD_S = 0.5
"""Period of the check whether publishers latch their messages, seconds."""

_OVERRIDES = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
)


class InputSubscriptions:
    """Subscribes to topics; each subscription is the source of a chain of filters.

    By default, a subscription requests nothing that a publisher could refuse. That misses what a
    publisher latched (transient local) before. Therefore, a topic without a message whose
    publishers all latch is subscribed to anew, as reliable and transient local.

    Args:
        node: node that subscribes.

    Attributes:
        received: number of messages by topic.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._sources: dict[str, message_filters.Subscriber] = {}
        self._latched: dict[str, bool] = {}
        self._defaults: dict[str, QoSProfile] = {}  # profiles of topics subscribed to anew
        self.received: dict[str, int] = {}
        self._timer = node.create_timer(
            _PERIOD_S, self._follow_publishers, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def add(self, message: type, topic: str) -> message_filters.Subscriber:
        """Subscribe to a resolved topic, and return the source of its messages.

        Raises:
            ConfigurationError: a QoS override of the topic is wrong.
        """
        with checked_qos_overrides(topic):
            source = message_filters.Subscriber(
                self._node,
                message,
                topic,
                # One profile per subscription: rclpy writes the overrides into it.
                qos_profile=QoSProfile(depth=_DEPTH, reliability=ReliabilityPolicy.BEST_EFFORT),
                qos_overriding_options=QoSOverridingOptions(policy_kinds=_OVERRIDES),
            )
        self._sources[topic] = source
        self.received[topic] = 0
        source.registerCallback(self._count, topic)
        self._follow(topic)
        return source

    @property
    def by_topic(self) -> dict[str, Subscription[Any]]:
        """The subscription of each topic."""
        return {topic: source.sub for topic, source in self._sources.items()}

    def is_latched(self, topic: str) -> bool:
        """Whether all publishers of a topic latch their messages."""
        return self._latched.get(topic, False)

    def close(self) -> None:
        """Destroy the subscriptions."""
        self._node.destroy_timer(self._timer)
        for source in self._sources.values():
            self._node.destroy_subscription(source.sub)

    def _count(self, _: object, topic: str) -> None:
        if not self.received[topic]:
            self._latched[topic] = self._publishers_latch(topic)
        self.received[topic] += 1

    def _follow_publishers(self) -> None:
        for topic in self._sources:
            self._follow(topic)

    def _follow(self, topic: str) -> None:
        """Subscribe anew if that is needed to receive what the publishers latched."""
        latched = self._latched[topic] = self._publishers_latch(topic)
        profile = self._sources[topic].sub.qos_profile
        transient = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
        reliable = profile.reliability == ReliabilityPolicy.RELIABLE
        if latched and not (transient and reliable) and not self.received[topic]:
            self._defaults[topic] = profile
            self._subscribe_anew(
                topic,
                QoSProfile(
                    history=profile.history,
                    depth=profile.depth,
                    reliability=ReliabilityPolicy.RELIABLE,
                    durability=DurabilityPolicy.TRANSIENT_LOCAL,
                ),
            )
        elif not latched and topic in self._defaults and self._node.count_publishers(topic):
            self._subscribe_anew(topic, self._defaults.pop(topic))

    def _subscribe_anew(self, topic: str, profile: QoSProfile) -> None:
        source = self._sources[topic]
        old = source.sub
        source.sub = self._node.create_subscription(
            old.msg_type, topic, source.signalMessage, profile
        )
        self._node.destroy_subscription(old)

    def _publishers_latch(self, topic: str) -> bool:
        """Whether a topic has publishers, and all of them latch their messages."""
        offers = self._node.get_publishers_info_by_topic(topic)
        return bool(offers) and all(
            x.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
            and x.qos_profile.reliability == ReliabilityPolicy.RELIABLE
            for x in offers
        )
