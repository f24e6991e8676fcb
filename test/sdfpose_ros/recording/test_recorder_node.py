"""A camera and a pose node are recorded, and the recording is what they have published."""

from __future__ import annotations

import itertools
import json
import signal
import time

import numpy as np
import pytest
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sdfpose.msg import InstanceLabels, SdfObjectArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header, String

from sdfpose_core.cli.main import main as sdfpose
from sdfpose_core.datasets.bag_writing import write_frames
from sdfpose_core.datasets.bags import bag_frames, find_topics, open_bag
from sdfpose_core.errors import BagError, ConfigurationError
from sdfpose_core.messages.decoding import LabelRules
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_ros.graph.image_messages import frame_messages
from sdfpose_ros.graph.object_messages import object_message
from sdfpose_ros.graph.process_group import ProcessGroup, ros_child_environment
from sdfpose_ros.graph.topics import input_remaps, result_remaps
from sdfpose_ros.playback.camera_node import CameraNode
from sdfpose_ros.playback.player_node import PlayerNode
from sdfpose_ros.playback.sources import simulated_frames
from sdfpose_ros.recording.recorder_node import RecorderNode

REMAPS = (*input_remaps("/camera"), *result_remaps("/sdfpose"))
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def overrides(values):
    return [Parameter(name, value=value) for name, value in values.items()]


@pytest.fixture
def record(graph, tmp_path):
    """Starts a recorder; `end` ends it and gives the path of its file."""

    class Recording:
        path = tmp_path / "out.mcap"

        def start(self, **values):
            settings = {"path": str(self.path), **values}
            self.node = RecorderNode(context=graph.context, parameter_overrides=overrides(settings))
            graph.spin(self.node)
            return self

        def counts(self):
            return dict(self.node._file.counts)

        def end(self):
            self.node.finish()
            return self.path

    return Recording()


def simulated_camera(graph, **values):
    settings = {"width": 160, "prerender": 3, "rate_hz": 10.0, "wait_s": 20.0, **values}
    return CameraNode(context=graph.context, parameter_overrides=overrides(settings))


def source(count: int):
    frames = simulated_frames(seed=0, width=160, rate_hz=10.0, turn_s=120.0, loop=True)
    first = [x for x, _ in itertools.islice(frames, count)]
    return [*first, *first[-2:0:-1]]


def recorded_frames(path):
    problems: list[str] = []
    frames = [x.frame for x in bag_frames(path, LabelRules({}), problems)]
    assert problems == []
    return frames


@pytest.mark.parametrize("depth", ["png", "rvl"])
def test_the_frames_of_a_recording_are_those_of_the_camera(graph, wait_until, record, depth):
    graph.start(*REMAPS)
    recording = record.start(depth_codec=depth)
    graph.spin(simulated_camera(graph))
    wait_until(lambda: recording.counts().get("/camera/mask/compressed", 0) >= 20, "20 images")
    path = recording.end()

    with open_bag(path) as bag:
        topics = find_topics(bag.connections, path, {})
        assert {x.topic for x in bag.connections} == {
            "/camera/colour/compressed", "/camera/depth/compressedDepth",
            "/camera/mask/compressed", "/camera/camera_info", "/camera/labels",
            "/camera/ground_truth",
        }  # fmt: skip
    assert topics.depth == "/camera/depth/compressedDepth"
    frames = recorded_frames(path)
    assert len(frames) >= 19
    for frame, sent in zip(frames, itertools.cycle(source(3)), strict=False):
        np.testing.assert_array_equal(frame.colour, sent.colour)
        np.testing.assert_array_equal(frame.depth, np.float32(0.001) * np.rint(1e3 * sent.depth))
        np.testing.assert_array_equal(frame.mask, sent.mask)
        assert frame.camera == sent.camera
        assert {i: x.category for i, x in frame.labels.items()} == {
            i: x.category for i, x in sent.labels.items()
        }
    steps = np.diff([x.stamp_ns for x in frames])
    assert (steps > 0).all()


def test_a_recording_is_replayed_as_its_source(graph, wait_until, record, tmp_path):
    graph.start(*REMAPS)
    recording = record.start()
    graph.spin(simulated_camera(graph, categories=["can"]))
    wait_until(lambda: recording.counts().get("/camera/mask/compressed", 0) >= 3, "3 images")
    path = recording.end()
    raw = tmp_path / "raw"
    write_frames(raw, [(x, []) for x in recorded_frames(path)])

    def replayed(bag):
        out = tmp_path / "replay.json"
        arguments = ["--encoder", "none", "--threads", "1", "--json", str(out)]
        assert sdfpose(["replay", str(bag), *arguments]) == 0
        return json.loads(out.read_text())["frames"]

    frames = replayed(path)
    assert len(frames) >= 3
    plain = ("id", "category", "R", "t", "dimensions_m", "confidence")
    for ours, theirs in zip(frames, replayed(raw), strict=True):
        assert ours["stamp_ns"] == theirs["stamp_ns"]
        assert [[x[k] for k in plain] for x in ours["objects"]] == [
            [x[k] for k in plain] for x in theirs["objects"]
        ]


def test_a_recording_is_played_raw_as_it_was(fakes, graph, wait_until, record):
    graph.start(*REMAPS)
    recording = record.start()
    sent = fakes.make_frame((1, 2))
    messages = frame_messages(sent, Header(frame_id="optical"))
    kinds = {"colour": Image, "depth": Image, "mask": Image, "camera_info": CameraInfo,
             "labels": InstanceLabels}  # fmt: skip
    driver = Node("driver", context=graph.context)
    publishers = {k: driver.create_publisher(x, f"/camera/{k}", 5) for k, x in kinds.items()}
    graph.spin(driver)
    ready = lambda: all(x.get_subscription_count() for x in publishers.values())  # noqa: E731
    wait_until(ready, "the recorder")
    for name, publisher in publishers.items():
        publisher.publish(messages[name])
    wait_until(lambda: len(recording.counts()) == 5, "all messages")
    path = recording.end()

    listener = Node("listener", context=graph.context)
    received: dict[str, list] = {name: [] for name in kinds}
    for name, kind in kinds.items():
        listener.create_subscription(kind, f"/camera/{name}", received[name].append, 10)
    graph.spin(listener)
    values = {"bag": str(path), "raw": True, "loop": True}
    graph.spin(PlayerNode(context=graph.context, parameter_overrides=overrides(values)))
    wait_until(lambda: all(received.values()), "all topics")
    for name, message in messages.items():
        got = received[name][0]
        if name in ("colour", "depth", "mask"):
            assert (got.encoding, got.step) == (message.encoding, message.step)
            assert bytes(got.data) == bytes(message.data)
        assert got.header == message.header


def test_results_and_transforms_are_recorded_and_what_was_latched_before(
    fakes, graph, wait_until, record
):
    graph.start(*REMAPS)
    node = Node("sdfpose", context=graph.context)
    track = fakes.make_track(9, fakes.make_estimate())
    head = Header(frame_id="optical")
    result = SdfObjectArray(header=head, objects=[object_message(track, head, with_mesh=True)])
    meshes = node.create_publisher(SdfObjectArray, "/sdfpose/meshes", LATCHED)
    objects = node.create_publisher(SdfObjectArray, "/sdfpose/objects", 10)
    notes = node.create_publisher(String, "/notes", 10)
    graph.spin(node)
    meshes.publish(result)
    recording = record.start(topics=["/notes"])
    wait_until(lambda: objects.get_subscription_count() and notes.get_subscription_count(), "it")
    objects.publish(result)
    notes.publish(String(data="red mug"))
    wait_until(lambda: len(recording.counts()) == 3, "all messages")
    with open_bag(recording.end()) as bag:
        found = {x.topic: (x.msgtype, x.latched) for x in bag.connections}
    kind = "sdfpose/msg/SdfObjectArray"
    assert found == {
        "/sdfpose/objects": (kind, False),
        "/sdfpose/meshes": (kind, True),
        "/notes": ("std_msgs/msg/String", False),
    }


def test_images_that_are_published_compressed_are_recorded_as_they_are(graph, wait_until, record):
    graph.start(*REMAPS)
    driver = Node("driver", context=graph.context)
    colour = driver.create_publisher(CompressedImage, "/camera/colour/compressed", 5)
    graph.spin(driver)
    recording = record.start()
    wait_until(colour.get_subscription_count, "the recorder")
    colour.publish(CompressedImage(format="bgr8; jpeg compressed bgr8", data=b"abc"))
    wait_until(lambda: recording.counts(), "a message")
    with open_bag(recording.end()) as bag:
        ((connection, _, data),) = bag.messages()
        assert connection.topic == "/camera/colour/compressed"
        assert bytes(bag.deserialize(data, connection.msgtype).data) == b"abc"


def test_bad_parameters_are_named(graph, tmp_path):
    graph.start()
    with pytest.raises(ConfigurationError, match="parameter path is empty"):
        RecorderNode(context=graph.context)
    taken = tmp_path / "a.mcap"
    taken.touch()
    with pytest.raises(BagError, match="already exists"):
        RecorderNode(context=graph.context, parameter_overrides=overrides({"path": str(taken)}))


def test_nothing_leaves_no_file(graph, record):
    graph.start(*REMAPS)
    assert not record.start().end().exists()


def test_a_recording_of_given_length_ends_without_a_camera(graph, tmp_path):
    graph.start()
    begun = time.monotonic()
    arguments = ["record", str(tmp_path / "a.mcap"), "--camera", "/nothing", "--seconds", "1"]
    with ProcessGroup(tmp_path / "log", ros_child_environment({})) as group:
        child = group.start_module("record", "sdfpose_core.cli.main", arguments)
        assert child.wait(60.0) == 1
        log = group.log_tail("record")
    assert time.monotonic() - begun > 5.0
    assert "no topic had a message: expected publishers of /nothing/colour, /nothing/depth" in log
    assert "Traceback" not in log
    assert not list(tmp_path.glob("a.*"))


def test_an_interrupt_leaves_a_whole_file_and_so_does_a_disk_that_is_nearly_full(
    tmp_path, graph, wait_until
):
    graph.start(*REMAPS)
    graph.spin(simulated_camera(graph, wait_s=0.0))
    paths = {"whole": tmp_path / "whole.mcap", "full": tmp_path / "full.mcap"}
    with ProcessGroup(tmp_path / "log", ros_child_environment({})) as group:

        def start(name, *more):
            arguments = ["--ros-args", *REMAPS, "-p", f"path:={paths[name]}", *more]
            return group.start_node(name, "sdfpose_ros.recording.recorder_node", arguments)

        whole = start("whole")
        full = start("full", "-p", "reserve_mib:=900000000.0")
        folder = paths["whole"].with_suffix(".recording")
        started = lambda: "recording to" in group.log_tail("whole")  # noqa: E731
        wait_until(lambda: started() and folder.is_dir(), "the recorder", timeout_s=60.0)
        wait_until(lambda: full.poll() is not None, "the other one", timeout_s=60.0)
        assert full.returncode == 1
        assert "the file is whole" in group.log_tail("full")
        time.sleep(2.5)
        whole.send_signal(signal.SIGINT)
        assert whole.wait(20.0) == 0
        assert "Traceback" not in group.log_tail("whole")
        assert "MiB/s" in group.log_tail("whole")
    frames = recorded_frames(paths["whole"])
    assert len(frames) >= 2
    assert sorted(x.stamp_ns for x in frames) == [x.stamp_ns for x in frames]
    assert not folder.exists()


def test_the_stamps_are_those_of_the_camera(fakes, graph, wait_until, record):
    graph.start(*REMAPS)
    recording = record.start(duration_s=1000.0)
    seen = []
    listener = Node("listener", context=graph.context)
    listener.create_subscription(
        CameraInfo, "/camera/camera_info", lambda x: seen.append(stamp_ns(x.header)), 10
    )
    graph.spin(listener)
    frames = iter(lambda: (fakes.make_frame(), []), None)
    camera = CameraNode(
        lambda *_: frames,
        context=graph.context,
        parameter_overrides=overrides({"rate_hz": 20.0, "wait_s": 20.0}),
    )
    graph.spin(camera)
    wait_until(lambda: recording.counts().get("/camera/camera_info", 0) >= 5, "messages")
    stamps = [x.stamp_ns for x in recorded_frames(recording.end())]
    assert len(set(stamps) & set(seen)) >= 3
