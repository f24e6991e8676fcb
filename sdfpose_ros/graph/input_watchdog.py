"""Input watchdog: explains why a node receives no messages."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, qos_check_compatible
from rclpy.subscription import Subscription

from sdfpose_core.messages.stamps import RecentStamps
from sdfpose_ros.graph.middleware import shared_memory_hint
from sdfpose_ros.graph.throttle import ThrottledLog

__all__ = ["SILENT_AFTER_S", "InputWatchdog", "likely_cause"]

SILENT_AFTER_S = 5.0
"""Warn when no messages have matched for this long."""


class InputWatchdog:
    """Logs why there are no frames: a topic is silent, or the stamps do not match.

    Args:
        node: node that subscribes.
        log: receives the warnings.
        colour: topic of the colour images.
    """

    def __init__(self, node: Node, log: ThrottledLog, colour: str) -> None:
        self._node = node
        self._log = log
        self._colour = colour
        self._received: dict[str, int] = {}
        self._matched = 0

    def check(
        self,
        received: Mapping[str, int],
        matched: int,
        subscriptions: Mapping[str, Subscription[Any]],
        stamps: RecentStamps,
        queue_size: int,
        *,
        once: Collection[str],
        image_size: tuple[int, int] | None,
        seconds: float,
        absent: Mapping[str, str] | None = None,
    ) -> None:
        """Compare the counts with those of the last check, and log what is wrong.

        Args:
            received: number of messages by topic since the start.
            matched: number of groups with matching stamps since the start.
            subscriptions: subscription of each topic.
            stamps: recent stamps of the topics that have to match.
            queue_size: messages kept for each topic.
            once: topics of which one message may serve all frames.
            image_size: width and height in the last camera info, pixels; None if there is none.
            seconds: time since the last check.
            absent: likely cause for topics without a publisher, in place of a general one.
        """
        before, self._received = self._received, dict(received)
        new = {topic: count - before.get(topic, 0) for topic, count in received.items()}
        found, self._matched = matched - self._matched, matched
        if found:
            return
        silent = [
            topic
            for topic, count in new.items()
            if not count and not (topic in once and received[topic])
        ]
        causes: dict[str, list[str]] = {}
        for topic in silent:
            offers = self._node.get_publishers_info_by_topic(topic)
            expected = "one" if topic in once and offers else "one for each image"
            hint = (absent or {}).get(topic) if not offers else None
            hint = hint or likely_cause(topic, offers, subscriptions[topic], image_size)
            cause = (
                f"no message for {seconds:.0f} s from {len(offers)} publisher(s): expected "
                f"{expected} ({hint})"
            )
            causes.setdefault(cause, []).append(topic)
        if causes:  # one warning for all: a node may wait for every one of its inputs
            self._log.warning(
                ("silent", *silent),
                "; ".join(f"{', '.join(topics)}: {cause}" for cause, topics in causes.items()),
            )
        else:
            rate_hz = new[self._colour] / seconds
            self._log.warning(
                "unmatched",
                f"messages arrive on {', '.join(received)}, but no stamps have agreed for "
                f"{seconds:.0f} s: expected the same stamp on all messages of a frame: "
                f"{stamps.explain(self._colour, rate_hz, queue_size)}",
            )


def likely_cause(
    topic: str,
    offers: Sequence[Any],
    wanted: Subscription[Any],
    image_size: tuple[int, int] | None,
) -> str:
    """Return the likely cause of a silent topic, and what to do.

    Args:
        topic: the topic.
        offers: its publishers, from `Node.get_publishers_info_by_topic`.
        wanted: the subscription.
        image_size: width and height of the images, pixels; None if unknown.
    """
    kind = wanted.msg_type.__name__
    expected = f"{wanted.msg_type.__module__.split('.')[0]}/msg/{kind}"
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
    if kind == "InstanceLabels":
        return (
            "is its publisher running? Labels that hold for all images have to be latched "
            "(transient local)"
        )
    if kind not in ("Image", "CompressedImage"):
        return "is its publisher running?"
    return f"is its publisher running? {shared_memory_hint(image_size)}"
