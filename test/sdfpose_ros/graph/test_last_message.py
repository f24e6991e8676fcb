from __future__ import annotations

import os

from rclpy.node import Node
from std_msgs.msg import String

from sdfpose_ros.graph.last_message import publish_last

DOMAIN = int(os.environ["ROS_DOMAIN_ID"])


def test_a_message_arrives_without_the_context_of_a_node(graph, wait_until):
    received = []
    node = Node("listener", context=graph.start().context)
    node.create_subscription(String, "/end", received.append, 10)
    graph.spin(node)
    assert publish_last(String(data="bye"), "/end", DOMAIN, timeout_s=10.0)
    wait_until(lambda: received, "the message")
    assert received[0].data == "bye"


def test_nobody_is_waited_for_in_vain():
    assert not publish_last(String(), "/end_without_listeners", DOMAIN, timeout_s=0.1)
