"""A camera that runs is observed: its topics, its messages and what is wrong with them."""

from __future__ import annotations

import pytest
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from sdfpose_core.diagnosis.camera import diagnose_camera
from sdfpose_core.errors import ConfigurationError
from sdfpose_ros.diagnosis.live_camera import observe
from sdfpose_ros.diagnosis.observer import observe_topics
from sdfpose_ros.graph.image_messages import frame_messages
from sdfpose_ros.playback.camera_node import CameraNode


@pytest.fixture
def camera(fakes, graph):
    """A camera at 20 Hz."""
    graph.start("-p", "rate_hz:=20.0")
    frame = fakes.make_frame((1, 2))
    frames = iter(lambda: (frame, []), None)
    graph.spin(CameraNode(lambda *_: frames, context=graph.context))
    return frame


def faults(sample):
    return {x.name: x.text for x in diagnose_camera(sample, live=True) if x.level == "fault"}


def test_a_camera_is_observed(camera):
    sample = observe("/camera", topics={}, seconds=1.0, depth_unit=None, network=False)
    assert sample.topics.depth == "/camera/depth"
    assert {x.role for x in sample.headers} == {"colour", "depth", "mask", "camera_info", "labels"}
    count = sum(x.role == "colour" for x in sample.headers)
    assert count >= 5
    assert (sample.views[0].mask == camera.mask).all()
    found = {x.name: x for x in diagnose_camera(sample, live=True)}
    assert found["synchronisation"].level == "ok"
    assert found["clock"].level == "ok"
    assert found["topics"].level == "ok"


def test_a_camera_that_is_not_there_is_named(graph):
    graph.start()
    (finding,) = observe_topics("/nowhere", {}, 0.2, None).findings
    assert (finding.level, finding.name) == ("fault", "topics")
    assert "/nowhere: has no topic for colour" in finding.text
    assert "start the driver" in finding.remedy


def test_topics_of_a_driver_are_found_by_type_and_name_and_silent_ones_are_named(fakes, graph):
    graph.start()
    driver = Node("driver", context=graph.context)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    messages = frame_messages(fakes.make_frame(), Header(frame_id="optical"))
    names = {
        "colour": "/cam/color/image_raw",
        "depth": "/cam/aligned_depth_to_color/image_raw",
        "infra": "/cam/infra1/image_rect_raw",
    }
    images = {role: driver.create_publisher(Image, x, 5) for role, x in names.items()}
    info = driver.create_publisher(CameraInfo, "/cam/color/camera_info", latched)
    info.publish(messages["camera_info"])  # once, before anybody listens

    def publish():
        images["colour"].publish(messages["colour"])

    driver.create_timer(0.05, publish)
    graph.spin(driver)
    sample = observe_topics("/cam", {}, 0.5, None)
    assert sample.topics.colour == names["colour"]
    assert sample.topics.depth == names["depth"]
    assert sample.topics.mask == ""
    assert any(x.role == "camera_info" for x in sample.headers)
    assert names["depth"] in faults(sample)["topics"]


def test_a_wrong_namespace_is_an_error(graph):
    graph.start()
    with pytest.raises(ConfigurationError, match="is no name of a node or namespace"):
        observe_topics("/9 cameras", {}, 0.2, None)
