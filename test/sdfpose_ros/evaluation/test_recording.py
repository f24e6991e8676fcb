"""What the recorder writes is read by others, and played again as it was."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.highlevel import AnyReader
from sdfpose.msg import SdfObjectArray
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from sdfpose_core.errors import BagError
from sdfpose_core.messages.definitions import message_definitions
from sdfpose_ros.evaluation.recorder import McapRecorder, RecordedTopic
from sdfpose_ros.graph.image_messages import image_message
from sdfpose_ros.graph.object_messages import object_message
from sdfpose_ros.playback.player_node import PlayerNode
from sdfpose_ros.pose.markers import box_marker

QOS = QoSProfile(depth=10)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TOPICS = {
    "/image": RecordedTopic(Image, QOS),
    "/objects": RecordedTopic(SdfObjectArray, LATCHED),
    "/markers": RecordedTopic(MarkerArray, QOS),
}


def header() -> Header:
    message = Header(frame_id="optical")
    message.stamp.sec = 5
    return message


def messages(fakes):
    track = fakes.make_track(9, fakes.make_estimate())
    return {
        "/image": image_message(fakes.make_frame().colour, "rgb8", header()),
        "/objects": SdfObjectArray(
            header=header(), objects=[object_message(track, header(), with_mesh=True)]
        ),
        "/markers": MarkerArray(markers=[box_marker(track.estimate, (1, 2, 3), 9, header())]),
    }


def overrides(values):
    return [Parameter(name, value=value) for name, value in values.items()]


@pytest.fixture
def recording(fakes, graph, wait_until, tmp_path) -> Path:
    graph.start()
    node = Node("recording", context=graph.context)
    recorder = McapRecorder(node, tmp_path / "demo.mcap", TOPICS)
    publishers = {
        name: node.create_publisher(topic.message, name, topic.qos)
        for name, topic in TOPICS.items()
    }
    graph.spin(node)
    wait_until(lambda: all(x.get_subscription_count() for x in publishers.values()), "matching")
    for name, message in messages(fakes).items():
        publishers[name].publish(message)
    wait_until(lambda: set(recorder.counts.values()) == {1}, "the messages")
    path = recorder.close()
    for publisher in publishers.values():
        node.destroy_publisher(publisher)
    assert list(tmp_path.iterdir()) == [path]
    return path


def test_rosbags_reads_the_recording(fakes, recording):
    expected = messages(fakes)
    with AnyReader([recording]) as reader:
        read = {
            connection.topic: reader.deserialize(data, connection.msgtype)
            for connection, _, data in reader.messages()
        }
        kinds = {x.topic: x.msgtype for x in reader.connections}
    assert kinds == {
        "/image": "sensor_msgs/msg/Image",
        "/objects": "sdfpose/msg/SdfObjectArray",
        "/markers": "visualization_msgs/msg/MarkerArray",
    }
    np.testing.assert_array_equal(read["/image"].data, expected["/image"].data)
    item, sent = read["/objects"].objects[0], expected["/objects"].objects[0]
    assert (item.id, item.category, item.scale) == (sent.id, sent.category, sent.scale)
    assert item.TRACKED == 2
    np.testing.assert_array_equal(item.mesh_vertices, sent.mesh_vertices)
    np.testing.assert_array_equal(item.pose.covariance, sent.pose.covariance)


def test_the_recording_holds_the_definitions_that_viewers_need(recording):
    with recording.open("rb") as file:
        reader = make_reader(file)
        assert reader.get_header().profile == "ros2"
        summary = reader.get_summary()
    assert summary.statistics.message_count == 3
    schemas = {x.name: x for x in summary.schemas.values()}
    definition = schemas["sdfpose/msg/SdfObjectArray"]
    assert definition.encoding == "ros2msg"
    text = definition.data.decode()
    for part in ("MSG: sdfpose/SdfObject\n", "MSG: geometry_msgs/Pose\n", "float32[] latent_code"):
        assert part in text
    assert {x.message_encoding for x in summary.channels.values()} == {"cdr"}


def test_definitions_agree_with_the_installed_messages():
    store = message_definitions()
    for name in ("InstanceLabel", "InstanceLabels", "SdfObject", "SdfObjectArray"):
        message = getattr(importlib.import_module("sdfpose.msg"), name)
        fields = {field for field, _ in store.fielddefs[f"sdfpose/msg/{name}"][1]}
        assert fields == set(message.get_fields_and_field_types())


def test_a_recording_is_played_as_it_was(fakes, graph, wait_until, recording):
    listener = Node("listener", context=graph.context)
    received: dict[str, list] = {name: [] for name in TOPICS}
    for name, topic in TOPICS.items():
        listener.create_subscription(topic.message, name, received[name].append, topic.qos)
    graph.spin(listener)
    player = PlayerNode(
        context=graph.context,
        parameter_overrides=overrides({"bag": str(recording), "loop": True, "clock": True}),
    )
    graph.spin(player)
    wait_until(lambda: all(received.values()), "all topics")
    for name, message in messages(fakes).items():
        # Numbers of the message are single precision only once they were sent.
        sent = deserialize_message(serialize_message(message), type(message))
        assert received[name][0] == sent


def test_only_the_topics_that_were_asked_for_are_played(graph, recording):
    values = {"bag": str(recording), "topics": ["/image"], "loop": True}
    player = PlayerNode(context=graph.context, parameter_overrides=overrides(values))
    graph.spin(player)
    # Asked of the node itself: the graph may still hold an earlier node of that name.
    own = {publisher.topic_name for publisher in player.publishers}
    assert own & set(TOPICS) == {"/image"}


def test_a_topic_that_is_not_in_the_bag_is_named_and_those_that_are(graph, recording):
    values = {"bag": str(recording), "topics": ["/imag"]}
    with pytest.raises(BagError, match=r"no topic /imag: expected some of /image, /markers"):
        PlayerNode(context=graph.context, parameter_overrides=overrides(values))


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "no such bag"), (b"", "cannot be read"), (b"x" * 99, "cannot")]
)
def test_a_bag_that_cannot_be_read_is_named(graph, tmp_path, content, problem):
    path = tmp_path / "broken.mcap"
    if content is not None:
        path.write_bytes(content)
    graph.start()
    with pytest.raises(BagError, match=rf"broken\.mcap: {problem}"):
        PlayerNode(context=graph.context, parameter_overrides=overrides({"bag": str(path)}))


def test_a_truncated_recording_is_an_error_that_names_it(graph, recording):
    recording.write_bytes(recording.read_bytes()[:200])
    with pytest.raises(BagError, match=rf"{recording.name}: holds no messages; .* is incomplete"):
        PlayerNode(context=graph.context, parameter_overrides=overrides({"bag": str(recording)}))
