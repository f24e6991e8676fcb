"""What sdfpose relies on in `tf2_ros`, be it the real package or the stand-in."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time
from tf2_msgs.msg import TFMessage

from sdfpose_ros.stand_ins import tf2_ros

LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def moved(parent, child, seconds, x):
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    message.header.stamp = Time(nanoseconds=round(1e9 * seconds)).to_msg()
    message.transform.translation.x = x
    return message


class Robot:
    """A listener in a graph, and what it listens to."""

    def __init__(self, graph, wait_until):
        graph.start()
        self.node = Node("listener", context=graph.context)
        self.other = Node("robot", context=graph.context)
        self.buffer = tf2_ros.Buffer()
        self.listener = tf2_ros.TransformListener(self.buffer, self.node)
        self.moving = self.other.create_publisher(TFMessage, "/tf", 10)
        self.fixed = self.other.create_publisher(TFMessage, "/tf_static", LATCHED)
        graph.spin(self.node)
        graph.spin(self.other)
        wait_until(self.moving.get_subscription_count, "the listener")
        wait_until(self.fixed.get_subscription_count, "the listener of static transforms")

    def place(self, target, source, seconds, timeout_s=5.0):
        found = self.buffer.lookup_transform(
            target, source, Time(nanoseconds=round(1e9 * seconds)), Duration(seconds=timeout_s)
        )
        assert (found.header.frame_id, found.child_frame_id) == (target, source)
        return found.transform.translation.x


@pytest.fixture
def robot(graph, wait_until):
    return Robot(graph, wait_until)


def test_transforms_are_chained_and_interpolated(robot):
    robot.fixed.publish(TFMessage(transforms=[moved("hand", "camera", 0.0, 0.5)]))
    for seconds, x in ((10.0, 1.0), (10.1, 2.0)):
        robot.moving.publish(TFMessage(transforms=[moved("base", "hand", seconds, x)]))
    assert robot.place("base", "camera", 10.05) == pytest.approx(2.0)
    assert robot.place("camera", "base", 10.0) == pytest.approx(-1.5)


def test_a_lookup_waits_for_what_is_late(robot):
    sender = threading.Timer(
        0.3,
        lambda: robot.moving.publish(TFMessage(transforms=[moved("base", "hand", 10.0, 1.0)])),
    )
    sender.start()
    assert robot.place("base", "hand", 10.0, timeout_s=10.0) == 1.0
    sender.join()


@pytest.mark.parametrize(("frame", "seconds"), [("nowhere", 10.0), ("hand", 11.0), ("hand", 9.0)])
def test_what_is_not_known_in_time_is_an_error(robot, frame, seconds):
    robot.moving.publish(TFMessage(transforms=[moved("base", "hand", 10.0, 1.0)]))
    robot.place("base", "hand", 10.0)
    start = time.monotonic()
    with pytest.raises(tf2_ros.TransformException, match=frame):
        robot.place("base", frame, seconds, timeout_s=0.2)
    assert time.monotonic() - start < 5.0


def test_when_time_jumps_back_only_static_transforms_stay(robot):
    robot.fixed.publish(TFMessage(transforms=[moved("hand", "camera", 0.0, 0.5)]))
    robot.moving.publish(TFMessage(transforms=[moved("base", "hand", 10.0, 1.0)]))
    robot.place("base", "camera", 10.0)
    robot.buffer.clear()
    with pytest.raises(tf2_ros.TransformException):
        robot.place("base", "camera", 10.0, timeout_s=0.1)
    assert np.isclose(robot.place("hand", "camera", 3.0), 0.5)
