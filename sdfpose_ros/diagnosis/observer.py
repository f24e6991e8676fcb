"""Observation of the topics of a camera for some seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from sdfpose_core.datasets.bag_reader import Connection
from sdfpose_core.datasets.bags import find_topics
from sdfpose_core.diagnosis.findings import Finding
from sdfpose_core.diagnosis.sample import CameraSample, silent_topic
from sdfpose_core.diagnosis.sampling import CameraSampler
from sdfpose_core.errors import BagError
from sdfpose_core.messages.decoding import InputTopics
from sdfpose_ros.diagnosis.environment import check_shared_memory
from sdfpose_ros.graph.input_watchdog import SILENT_AFTER_S, likely_cause
from sdfpose_ros.graph.message_factory import message_class
from sdfpose_ros.graph.subscriptions import InputSubscriptions
from sdfpose_ros.graph.topics import topic_of

__all__ = ["CameraObserver", "camera_topics", "observe_topics"]

_DISCOVERY_S = 6.0
"""Longest wait for the publishers of a camera..."""

_SETTLING_S = 1.0
"""...and for those of masks and labels, which may be discovered a little later."""

_SpinUntil = Callable[[Callable[[], bool], float], bool]
"""Handles messages until a condition holds, or for some seconds; returns whether it holds."""


class CameraObserver:
    """Subscribes to the topics of a camera and samples their messages.

    Args:
        node: node that subscribes.
        topics: topics of the camera.
        seconds: expected time from the first to the last message, seconds.
        depth_unit: metres per unit of depth; None for millimetres in 16-bit and metres in float
            images.

    Attributes:
        started: whether a message has arrived.
    """

    def __init__(
        self, node: Node, topics: InputTopics, seconds: float, depth_unit: float | None
    ) -> None:
        self._node = node
        self._topics = topics
        self._sampler = CameraSampler(topics, seconds, depth_unit)
        self._subscriptions = InputSubscriptions(node)
        self._size: tuple[int, int] | None = None
        self.started = False
        types = dict(node.get_topic_names_and_types())
        for topic in self._sampler.topics:
            source = self._subscriptions.add(message_class(types[topic][0]), topic)
            source.registerCallback(self._take, topic)

    def sample(self) -> CameraSample:
        """Return what was observed, and which topics were silent."""
        findings = [Finding("ok", "topics", ", ".join(self._sampler.topics))]
        for role, topic in self._sampler.silent.items():
            offers = self._node.get_publishers_info_by_topic(topic)
            wanted = self._subscriptions.by_topic[topic]
            cause = likely_cause(topic, offers, wanted, self._size)
            findings.append(silent_topic(role, topic, cause))
        if self._size is not None:
            memory = check_shared_memory(self._size)
            findings += [memory] if memory.level == "fault" else []
        return self._sampler.sample(
            findings, latched_labels=self._subscriptions.is_latched(self._topics.labels)
        )

    def _take(self, message: Any, topic: str) -> None:
        self.started = True
        if topic == self._topics.camera_info:
            self._size = (message.width, message.height)
        self._sampler.take(topic, message, time.time_ns())


def camera_topics(node: Node, namespace: str, given: Mapping[str, str]) -> InputTopics:
    """Find the topics of a camera among those that are published now.

    Args:
        node: node that knows the graph.
        namespace: namespace of the topics, e.g. ``/camera``.
        given: topics by role that override the search by type and name.

    Raises:
        BagError: a part of a frame has no topic, or several.
        ConfigurationError: the namespace is no name.
    """
    prefix = node.resolve_topic_name(topic_of(namespace, "x")).removesuffix("/x")
    connections = [
        Connection(topic, kinds[0], 0, False)
        for topic, kinds in node.get_topic_names_and_types()
        if (topic.startswith(f"{prefix}/") or topic in given.values())
        and node.count_publishers(topic)
    ]
    return find_topics(connections, prefix or "/", given, needs_mask=False)


def observe_topics(
    namespace: str, given: Mapping[str, str], seconds: float, depth_unit: float | None
) -> CameraSample:
    """Observe a camera in a context of its own; arguments as of `live_camera.observe`.

    Raises:
        ConfigurationError: the namespace is no name.
    """
    context = Context()
    # An interrupt has to end the command, not only the context.
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = Node("sdfpose_doctor", context=context)
    try:
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)

        def spin_until(done: Callable[[], bool], timeout_s: float) -> bool:
            end = time.monotonic() + timeout_s
            while not done() and time.monotonic() < end:
                executor.spin_once(timeout_sec=0.05)
            return done()

        try:
            topics = _discovered_topics(node, spin_until, namespace, given)
        except BagError as error:
            return CameraSample(findings=[_undiscovered(error)])
        observer = CameraObserver(node, topics, seconds, depth_unit)
        if spin_until(lambda: observer.started, max(seconds, SILENT_AFTER_S)):
            spin_until(lambda: False, seconds)
        return observer.sample()
    finally:
        node.destroy_node()
        context.try_shutdown()


def _discovered_topics(
    node: Node, spin_until: _SpinUntil, namespace: str, given: Mapping[str, str]
) -> InputTopics:
    """Wait for the topics of a camera.

    Raises:
        BagError: they do not appear.
    """

    def are_there() -> bool:
        try:
            camera_topics(node, namespace, given)
        except BagError:  # raised below if it lasts
            return False
        return True

    if spin_until(are_there, _DISCOVERY_S):
        spin_until(lambda: False, _SETTLING_S)
    return camera_topics(node, namespace, given)


def _undiscovered(error: BagError) -> Finding:
    return Finding(
        "fault",
        "topics",
        str(error),
        "start the driver, check the namespace, ROS_DOMAIN_ID and the discovery range (--network "
        "reaches other machines), or name the topics with --topic",
    )
