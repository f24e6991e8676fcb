"""The viewer node: which images and objects it shows; the page itself is tested with the viewer."""

from __future__ import annotations

import socket

import numpy as np
import pytest
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sdfpose.msg import SdfObjectArray
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from sdfpose_core.errors import ConfigurationError
from sdfpose_ros.graph.image_messages import frame_messages
from sdfpose_ros.graph.object_messages import object_message
from sdfpose_ros.viewer import viewer_node

QOS = {"meshes": QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)}
KINDS = {"colour": Image, "depth": Image, "camera_info": CameraInfo}


class Screen:
    """Stands for the page: keeps what is shown."""

    def __init__(self, address, categories, title):
        self.address, self.is_watched = address, True
        self.views, self.results, self.lines, self.settled = [], [], [], 0

    def show(self, view):
        self.views.append(view)

    def add_result(self, now_s, latency_s, confidences):
        self.results.append((latency_s, confidences))

    def log(self, line):
        self.lines.append(line)

    def settle(self):
        self.settled += 1

    def close(self):
        self.is_watched = False


class Scene:
    """A viewer node, and a node that plays the camera and the pose node."""

    def __init__(self, fakes, graph, wait_until):
        self.fakes, self.wait_until = fakes, wait_until
        graph.start()
        self.viewer = viewer_node.ViewerNode(
            context=graph.context, parameter_overrides=[Parameter("max_rate_hz", value=50.0)]
        )
        self.screen = self.viewer.viewer
        node = Node("player", context=graph.context)
        kinds = {**KINDS, "objects": SdfObjectArray, "meshes": SdfObjectArray}
        self.publishers = {
            name: node.create_publisher(kind, f"/viewer/{name}", QOS.get(name, 10))
            for name, kind in kinds.items()
        }
        self.node = node
        self.executor = graph._executor_type(context=graph.context)
        for x in (self.viewer, node):
            self.executor.add_node(x)
        self.spin_until(
            lambda: all(x.get_subscription_count() for x in self.publishers.values()), "connections"
        )

    def spin_until(self, condition, what):
        def step():
            self.executor.spin_once(timeout_sec=0.02)
            return condition()

        self.wait_until(step, what)

    def header(self, nanosec):
        now = self.node.get_clock().now().to_msg()
        return Header(stamp=type(now)(sec=now.sec, nanosec=nanosec), frame_id="optical")

    def send_images(self, header):
        messages = frame_messages(self.fakes.make_frame(), header, "16UC1")
        for name in KINDS:
            self.publishers[name].publish(messages[name])

    def send_objects(self, header, *, with_mesh, revision=1):
        track = self.fakes.make_track(7, self.fakes.make_estimate(), mesh_revision=revision)
        message = object_message(track, header, with_mesh=with_mesh)
        self.publishers["objects"].publish(SdfObjectArray(header=header, objects=[message]))


@pytest.fixture
def scene(fakes, graph, wait_until, monkeypatch):
    monkeypatch.setattr(viewer_node, "Viewer", Screen)
    scene = Scene(fakes, graph, wait_until)
    yield scene
    scene.viewer.destroy_node()
    scene.node.destroy_node()
    assert not scene.screen.is_watched


def test_a_result_is_shown_with_its_own_image(scene):
    first, second = scene.header(1), scene.header(100_000_000)
    scene.send_images(first)
    scene.send_images(second)
    scene.send_objects(first, with_mesh=True)
    scene.spin_until(lambda: scene.screen.views, "a view")
    view = scene.screen.views[0]
    expected = scene.fakes.make_frame()
    np.testing.assert_array_equal(view.frame.colour, expected.colour)
    np.testing.assert_allclose(view.frame.depth, expected.depth, atol=1e-3)
    assert view.frame.stamp_ns == first.stamp.sec * 10**9 + 1
    assert view.name == "0.0 s"
    (x,) = view.objects
    assert (x.id, x.state, x.revision) == (7, "tracked", 1)
    assert len(x.estimate.vertices) == 4
    latency_s, confidences = scene.screen.results[0]
    assert 0.0 <= latency_s < 30.0
    assert confidences == [pytest.approx(0.75)]


def test_a_mesh_that_was_sent_once_is_shown_with_later_results(scene):
    for i, with_mesh in enumerate((True, False)):
        header = scene.header(i)
        scene.send_images(header)
        scene.send_objects(header, with_mesh=with_mesh)
        scene.spin_until(lambda count=i: len(scene.screen.views) > count, "the next view")
    (x,) = scene.screen.views[-1].objects
    assert len(x.estimate.vertices) == 4
    assert x.revision == 1


def test_without_results_the_images_are_shown_alone(scene, monkeypatch):
    monkeypatch.setattr(viewer_node, "_SILENT_S", 0.0)
    monkeypatch.setattr(viewer_node, "_SETTLE_S", 0.0)
    scene.send_images(scene.header(5))
    scene.spin_until(lambda: scene.screen.views, "a view")
    assert scene.screen.views[-1].objects == []
    scene.spin_until(lambda: scene.screen.settled, "the whole image")


def test_nothing_is_decoded_while_nobody_watches(scene, monkeypatch):
    scene.screen.is_watched = False
    header = scene.header(1)
    scene.send_images(header)
    scene.send_objects(header, with_mesh=True)
    scene.spin_until(lambda: scene.screen.results, "the result")
    assert scene.screen.views == []
    scene.screen.is_watched = True
    scene.spin_until(lambda: scene.screen.views, "the view, when somebody looks")


def test_log_lines_are_shown(scene):
    scene.node.get_logger().info("ready to play")
    scene.spin_until(lambda: "player: ready to play" in scene.screen.lines, "the line")


def test_a_port_in_use_is_a_clear_error(graph):
    graph.start()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} of 127.0.0.1 is in use"):
            viewer_node.ViewerNode(
                context=graph.context, parameter_overrides=[Parameter("port", value=port)]
            )
