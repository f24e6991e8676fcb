"""A node that observes the topics of a camera for some seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.exceptions import NameValidationException
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from sdfpose_core.datasets.bag_reader import Connection
from sdfpose_core.datasets.bags import find_topics
from sdfpose_core.diagnosis.findings import Finding, Level
from sdfpose_core.diagnosis.sample import CameraSample
from sdfpose_core.diagnosis.sampling import CameraSampler
from sdfpose_core.errors import BagError, ConfigurationError
from sdfpose_core.messages.decoding import InputTopics
from sdfpose_ros.diagnosis.environment import check_shared_memory
from sdfpose_ros.graph.input_watchdog import SILENT_AFTER_S, likely_cause
from sdfpose_ros.graph.message_factory import message_class
from sdfpose_ros.graph.subscriptions import InputSubscriptions

__all__ = ["CameraObserver", "observe_topics"]

_DISCOVERY_S = 5.0
"""Longest wait for the publishers of a camera."""

_REQUIRED = ("colour", "depth", "camera_info")
"""Roles without which there are no poses."""


class CameraObserver(Node):
    """Finds the topics of a camera, and keeps what `CameraSampler` keeps of their messages.

    Args:
        namespace: namespace of the topics, e.g. ``/camera``.
        given: topics by role that override the search by type and name.
        options: further arguments of `rclpy.node.Node`.

    Raises:
        ConfigurationError: the namespace is no name.
    """

    def __init__(self, namespace: str, given: Mapping[str, str], **options: Any) -> None:
        super().__init__("sdfpose_doctor", **options)
        try:
            self._prefix = self.resolve_topic_name(namespace.rstrip("/") or "/x").removesuffix("/x")
        except NameValidationException as error:
            raise ConfigurationError(
                f"topic:{namespace}: {error}: expected the namespace of a camera, e.g. /camera"
            ) from error
        self._given = given
        self._subscriptions = InputSubscriptions(self)
        self._sampler: CameraSampler | None = None
        self._topics: InputTopics | None = None
        self._size: tuple[int, int] | None = None
        self.first_s: float | None = None

    def find_topics(self) -> InputTopics:
        """Find the topics of the camera among those that are published now.

        Raises:
            BagError: a part of a frame has no topic, or several.
        """
        connections = [
            Connection(topic, kinds[0], 0, False)
            for topic, kinds in self.get_topic_names_and_types()
            if (topic.startswith(f"{self._prefix}/") or topic in self._given.values())
            and self.count_publishers(topic)
        ]
        return find_topics(connections, self._prefix or "/", self._given, needs_mask=False)

    def subscribe(self, topics: InputTopics, seconds: float, depth_unit: float | None) -> None:
        """Begin to observe; see `CameraSampler`."""
        types = dict(self.get_topic_names_and_types())
        self._topics = topics
        self._sampler = CameraSampler(topics, seconds, depth_unit)
        for topic in self._sampler.topics:
            source = self._subscriptions.add(message_class(types[topic][0]), topic)
            source.registerCallback(self._take, topic)

    def sample(self) -> CameraSample:
        """Return what was observed."""
        assert self._sampler is not None and self._topics is not None
        findings = [Finding("ok", "topics", ", ".join(self._sampler.topics))]
        for role, topic in asdict(self._topics).items():
            if topic and not self._subscriptions.received[topic]:
                findings.append(self._silent(role, topic))
        if self._size is not None:
            memory = check_shared_memory(self._size)
            findings += [memory] if memory.level == "fault" else []
        return self._sampler.sample(
            findings, latched_labels=self._subscriptions.is_latched(self._topics.labels)
        )

    def _take(self, message: Any, topic: str) -> None:
        assert self._sampler is not None and self._topics is not None
        self.first_s = time.monotonic() if self.first_s is None else self.first_s
        if topic == self._topics.camera_info:
            self._size = (message.width, message.height)
        self._sampler.take(topic, message, time.time_ns())

    def _silent(self, role: str, topic: str) -> Finding:
        offers = self.get_publishers_info_by_topic(topic)
        level: Level = "fault" if role in _REQUIRED else "warning"
        cause = likely_cause(topic, offers, self._subscriptions.by_topic[topic], self._size)
        return Finding(
            level, "topics", f"{topic}: no message from {len(offers)} publisher(s)", cause
        )


def observe_topics(
    namespace: str, given: Mapping[str, str], seconds: float, depth_unit: float | None
) -> CameraSample:
    """Observe a camera in a context of its own; arguments as of `live_camera.observe`.

    Raises:
        ConfigurationError: the namespace is no name.
    """
    context = Context()
    # An interrupt has to end this process: nothing else spins in it.
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    try:
        observer = CameraObserver(namespace, given, context=context)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(observer)

        def spin_until(done: Callable[[], bool], timeout_s: float) -> bool:
            end = time.monotonic() + timeout_s
            while not done() and time.monotonic() < end:
                executor.spin_once(timeout_sec=0.05)
            return done()

        return _observe(observer, spin_until, seconds, depth_unit)
    finally:
        context.try_shutdown()


def _observe(
    observer: CameraObserver,
    spin_until: Callable[[Callable[[], bool], float], bool],
    seconds: float,
    depth_unit: float | None,
) -> CameraSample:
    def topics_are_there() -> bool:
        with suppress(BagError):  # raised below if it lasts
            return bool(observer.find_topics())
        return False

    spin_until(topics_are_there, _DISCOVERY_S)
    # Masks and labels may be discovered a little later than the images.
    spin_until(lambda: False, 0.5)
    try:
        topics = observer.find_topics()
    except BagError as error:
        return CameraSample(
            findings=[
                Finding(
                    "fault",
                    "topics",
                    str(error),
                    "start the driver, check the namespace, ROS_DOMAIN_ID and the discovery range "
                    "(--network reaches other machines), or name the topics with --topic",
                )
            ]
        )
    observer.subscribe(topics, seconds, depth_unit)
    if spin_until(lambda: observer.first_s is not None, max(seconds, SILENT_AFTER_S)):
        spin_until(lambda: False, seconds)
    return observer.sample()
