"""Subscriptions follow the QoS of their publishers: what was latched before is received."""

from __future__ import annotations

import pytest
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from sdfpose_ros.graph import subscriptions
from sdfpose_ros.graph.subscriptions import InputSubscriptions

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
VOLATILE = QoSProfile(depth=5)
TOPIC = "/camera/camera_info"


@pytest.fixture
def connect(graph, monkeypatch):
    monkeypatch.setattr(subscriptions, "_PERIOD_S", 0.05)

    def start(kind=CameraInfo, *arguments):
        graph.start(*arguments)
        client = graph.spin(Node("client", context=graph.context))
        node = Node("listener", context=graph.context)
        inputs = InputSubscriptions(node)
        received = []

        def listen():
            inputs.add(kind, TOPIC).registerCallback(received.append)
            graph.spin(node)

        return client, inputs, received, listen

    return start


@pytest.mark.parametrize("kind", [CameraInfo, Image])
@pytest.mark.parametrize("first", [True, False])
def test_what_was_latched_before_is_received(connect, wait_until, kind, first):
    client, inputs, received, listen = connect(kind)
    if not first:
        listen()
    publisher = client.create_publisher(kind, TOPIC, LATCHED)
    publisher.publish(kind(width=7))
    if first:
        listen()
    wait_until(lambda: received, "the latched message")
    assert received[0].width == 7
    assert inputs.is_latched(TOPIC)
    publisher.publish(kind(width=8))
    wait_until(lambda: received[-1].width == 8, "the next message")
    assert inputs.received == {TOPIC: len(received)}


@pytest.mark.parametrize("reliability", list(ReliabilityPolicy)[1:3])
def test_publishers_that_do_not_latch_are_heard_with_the_default(connect, wait_until, reliability):
    client, inputs, received, listen = connect()
    profile = QoSProfile(depth=5, reliability=reliability)
    publisher = client.create_publisher(CameraInfo, TOPIC, profile)
    listen()

    def send():
        publisher.publish(CameraInfo(width=7))
        return received

    wait_until(send, "a message")
    assert not inputs.is_latched(TOPIC)
    assert inputs.by_topic[TOPIC].qos_profile.durability == DurabilityPolicy.VOLATILE


def test_a_publisher_that_comes_later_and_does_not_latch_is_heard_too(connect, wait_until):
    client, _, received, listen = connect()
    first = client.create_publisher(CameraInfo, TOPIC, LATCHED)
    first.publish(CameraInfo(width=7))
    listen()
    wait_until(lambda: received, "the latched message")
    client.destroy_publisher(first)
    second = client.create_publisher(CameraInfo, TOPIC, VOLATILE)

    def send():
        second.publish(CameraInfo(width=9))
        return received[-1].width == 9

    wait_until(send, "a message of the second publisher")


def test_an_override_of_the_durability_takes_effect(connect):
    _, inputs, _, listen = connect(
        CameraInfo, "-p", f"qos_overrides.{TOPIC}.subscription.durability:=transient_local"
    )
    listen()
    assert inputs.by_topic[TOPIC].qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
