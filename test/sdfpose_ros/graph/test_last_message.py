from __future__ import annotations

import os
import signal
import subprocess
import sys

from rclpy.node import Node
from std_msgs.msg import String

from sdfpose_ros.graph.last_message import publish_last
from sdfpose_ros.graph.process_group import ros_child_environment

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


INTERRUPTED = """
import os, sys
from rclpy.node import Node
from std_msgs.msg import String
from sdfpose_ros.graph.last_message import publish_last
from sdfpose_ros.graph.process import run_node

class Ending(Node):
    def __init__(self):
        super().__init__("ending")
        self.create_publisher(String, "/complete", 1)

    def destroy_node(self):
        assert not self.context.ok()
        publish_last(String(data="bye"), "/end", int(os.environ["ROS_DOMAIN_ID"]), 10.0)
        super().destroy_node()

sys.exit(run_node(Ending, []))
"""


def test_an_interrupted_node_has_its_last_word(graph, wait_until):
    received = []
    node = Node("listener", context=graph.start().context)
    node.create_subscription(String, "/end", received.append, 10)
    graph.spin(node)
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], env=ros_child_environment({})
    ) as process:
        # An interrupt while the node is made leaves none that could say anything.
        wait_until(lambda: node.count_publishers("/complete") > 0, "the node")
        process.send_signal(signal.SIGINT)
        assert process.wait(30.0) == 0
    wait_until(lambda: received, "the message")
    assert received[0].data == "bye"
