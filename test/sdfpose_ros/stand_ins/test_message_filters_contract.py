"""What sdfpose relies on in `message_filters`, be it the real package or the stand-in."""

from __future__ import annotations

import itertools

import pytest
from builtin_interfaces.msg import Time
from std_msgs.msg import Header, String

from sdfpose_ros.stand_ins import message_filters

SLOP_S = 0.01


class Stamped:
    """Any message with a header."""

    def __init__(self, name: str, seconds: float) -> None:
        whole = int(seconds)
        self.name = name
        self.header = Header(stamp=Time(sec=whole, nanosec=round((seconds - whole) * 1e9)))


class Chain:
    """Three inputs and the groups that come out."""

    def __init__(self, queue_size: int = 5, count: int = 3) -> None:
        self.inputs = [message_filters.SimpleFilter() for _ in range(count)]
        self.groups: list[list[str]] = []
        self.filter = message_filters.ApproximateTimeSynchronizer(self.inputs, queue_size, SLOP_S)
        self.filter.registerCallback(lambda *group: self.groups.append([x.name for x in group]))

    def add(self, index: int, seconds: float) -> None:
        self.inputs[index].signalMessage(Stamped(f"{'abc'[index]}{seconds:g}", seconds))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_group_comes_out_when_its_last_message_came_in_the_order_of_the_inputs(order):
    chain = Chain()
    for position, index in enumerate(order):
        assert chain.groups == []
        chain.add(index, 1.0)
        assert bool(chain.groups) == (position == 2)
    assert chain.groups == [["a1", "b1", "c1"]]


def test_stamps_may_differ_by_less_than_the_slop():
    chain = Chain()
    chain.add(0, 1.000)
    chain.add(1, 1.004)
    chain.add(2, 0.996)
    assert chain.groups == [["a1", "b1.004", "c0.996"]]


def test_stamps_that_differ_by_more_than_the_slop_give_nothing():
    chain = Chain()
    chain.add(0, 1.000)
    chain.add(1, 1.008)
    chain.add(2, 0.992)  # within the slop of a, but not of b
    assert chain.groups == []


def test_a_message_is_used_once():
    chain = Chain()
    for index in (0, 1, 2, 2, 1):
        chain.add(index, 1.0)
    assert len(chain.groups) == 1
    chain.add(0, 1.0)
    assert len(chain.groups) == 2


def test_the_nearest_stamp_is_taken():
    chain = Chain(count=2)
    chain.add(0, 1.000)
    chain.add(0, 1.006)
    chain.add(1, 1.005)
    assert chain.groups == [["a1.006", "b1.005"]]


def test_a_message_that_comes_several_frames_late_finds_its_group():
    chain = Chain(queue_size=4)
    for k in range(4):
        chain.add(0, 1.0 + k)
        chain.add(1, 1.0 + k)
    chain.add(2, 1.0)
    assert chain.groups == [["a1", "b1", "c1"]]


def test_the_queue_is_bounded_and_loses_the_oldest():
    chain = Chain(queue_size=2, count=2)
    for k in range(4):
        chain.add(0, 1.0 + k)
    for k in range(4):
        chain.add(1, 1.0 + k)
    assert chain.groups == [["a3", "b3"], ["a4", "b4"]]


def test_callbacks_get_the_arguments_that_they_were_registered_with():
    source = message_filters.SimpleFilter()
    seen = []
    source.registerCallback(lambda message, *args: seen.append((message, args)), "x", 2)
    source.registerCallback(lambda message: seen.append(message))
    source.signalMessage("m")
    assert seen == [("m", ("x", 2)), "m"]


def test_a_subscriber_is_a_source(graph, wait_until):
    from rclpy.node import Node
    from rclpy.qos import qos_profile_sensor_data
    from rclpy.qos_overriding_options import QoSOverridingOptions

    graph.start()
    node = Node("contract", context=graph.context)
    subscriber = message_filters.Subscriber(
        node,
        String,
        "~/text",
        qos_profile=qos_profile_sensor_data,
        qos_overriding_options=QoSOverridingOptions.with_default_policies(),
    )
    seen = []
    subscriber.registerCallback(lambda message: seen.append(message.data))
    publisher = node.create_publisher(String, "~/text", 10)
    graph.spin(node)
    wait_until(publisher.get_subscription_count, "the subscription")
    publisher.publish(String(data="hello"))
    wait_until(lambda: seen == ["hello"], "the message")
    assert node.has_parameter("qos_overrides./contract/text.subscription.reliability")
