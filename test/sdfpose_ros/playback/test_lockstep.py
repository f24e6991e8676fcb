"""Bags into a running graph, frame by frame."""

from __future__ import annotations

import json
import shutil
import time
from types import SimpleNamespace

import numpy as np
import pytest
from rclpy.node import Node
from rclpy.parameter import Parameter
from rosbags.rosbag2 import StoragePlugin, Writer
from sdfpose.msg import SdfObjectArray

from sdfpose_core.cli.main import main
from sdfpose_core.datasets.bag_writing import write_frames
from sdfpose_core.datasets.bags import open_bag
from sdfpose_core.errors import BagError
from sdfpose_core.messages.decoding import InputTopics
from sdfpose_core.messages.definitions import message_definitions
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_core.messages.objects import pose_arrays
from sdfpose_core.simulation import simulated_frame
from sdfpose_core.simulation.tabletop import TABLE_CAMERA, orbit, table_scene
from sdfpose_ros.graph.process_group import ProcessGroup, ros_child_environment
from sdfpose_ros.graph.topics import input_remaps
from sdfpose_ros.playback import lockstep
from sdfpose_ros.playback.lockstep import Lockstep, PoseNodeMonitor
from sdfpose_ros.playback.player_node import PlayerNode
from sdfpose_ros.pose.pose_node import PoseNode

TOPICS = InputTopics("/c/colour", "/c/depth", "/c/mask", "/c/camera_info", "/c/labels")


def stamped(fakes, count, ids=(1, 2)):
    return [
        (fakes.make_frame(ids, stamp_ns=(10 + i) * 10**8, frame_id="optical"), [])
        for i in range(count)
    ]


def overrides(**values):
    return [Parameter(name, value=value) for name, value in values.items()]


def damage(path, topic, number):
    """Write a bag anew, with a message of a topic cut off."""
    with open_bag(path) as bag:
        messages = list(bag.messages())
        store = message_definitions()
        shutil.rmtree(path)
        writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
        with writer:
            connections = {
                x.topic: writer.add_connection(x.topic, x.msgtype, typestore=store)
                for x in bag.connections
            }
            count = 0
            for connection, recorded_ns, data in messages:
                is_damaged = connection.topic == topic and count == number
                count += connection.topic == topic
                data = data[:8] if is_damaged else data
                writer.write(connections[connection.topic], recorded_ns, data)


def ended(node):
    """Spins a player until it ends itself; gives its exit status."""
    from rclpy.executors import SingleThreadedExecutor

    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    try:
        executor.spin()
    except SystemExit as end:
        return end.code
    finally:
        executor.remove_node(node)
        node.destroy_node()


def test_a_slow_node_gets_every_frame(fakes, graph, tmp_path):
    write_frames(tmp_path / "bag", stamped(fakes, 6))
    graph.start(*input_remaps("/camera"))
    tracker = fakes.StubTracker()
    tracker.delay_s = 0.15
    node = graph.spin(PoseNode(lambda *_: tracker, context=graph.context))
    settings = overrides(bag=str(tmp_path / "bag"), lockstep=True)
    assert ended(PlayerNode(context=graph.context, parameter_overrides=settings)) == 0
    assert [x.stamp_ns for x in tracker.frames] == [(10 + i) * 10**8 for i in range(6)]
    assert node.estimation.worker.replaced == 0


def test_what_is_damaged_in_a_bag_is_told_and_the_rest_is_played(fakes, graph, tmp_path, capfd):
    path = tmp_path / "run #3"
    write_frames(path, stamped(fakes, 4))
    damage(path, "/camera/depth", 1)
    damage(path, "/camera/labels", 2)
    graph.start(*input_remaps("/camera"))
    tracker = fakes.StubTracker()
    graph.spin(PoseNode(lambda *_: tracker, context=graph.context))
    settings = overrides(bag=str(path), lockstep=True, result_timeout_s=5.0)
    assert ended(PlayerNode(context=graph.context, parameter_overrides=settings)) == 0
    assert [x.stamp_ns for x in tracker.frames] == [(10 + i) * 10**8 for i in (0, 3)]
    log = capfd.readouterr().err
    for topic in ("/camera/depth", "/camera/labels"):
        assert f"1 messages on {topic} are not played: they cannot be decoded" in log


def test_a_bag_that_was_not_closed_is_played_as_far_as_it_goes(fakes, graph, tmp_path, capfd):
    write_frames(tmp_path / "bag", stamped(fakes, 2))
    file = tmp_path / "bag" / "bag.mcap"
    content = file.read_bytes()
    file.write_bytes(content[: content.rindex(b"\x0f\x04\x00\x00\x00\x00\x00\x00\x00")])
    graph.start()
    settings = overrides(bag=str(file), rate=10.0)
    assert ended(PlayerNode(context=graph.context, parameter_overrides=settings)) == 0
    assert "bag.mcap: is incomplete (it was not closed)" in capfd.readouterr().err


def test_a_frame_that_the_node_refuses_is_not_waited_for(fakes, graph, tmp_path):
    frames = stamped(fakes, 3)
    write_frames(tmp_path / "bag", [frames[0], frames[0], frames[1], frames[2]])
    graph.start(*input_remaps("/camera"))
    tracker = fakes.StubTracker()
    graph.spin(PoseNode(lambda *_: tracker, context=graph.context))
    settings = overrides(bag=str(tmp_path / "bag"), lockstep=True, result_timeout_s=5.0)
    assert ended(PlayerNode(context=graph.context, parameter_overrides=settings)) == 0
    assert len(tracker.frames) == 3


def test_a_result_that_does_not_come_ends_the_player(fakes, graph, tmp_path):
    write_frames(tmp_path / "bag", stamped(fakes, 2))
    graph.start(*input_remaps("/camera"))
    tracker = fakes.StubTracker()
    tracker.failures = [RuntimeError("broken")]
    graph.spin(PoseNode(lambda *_: tracker, context=graph.context))
    settings = overrides(bag=str(tmp_path / "bag"), lockstep=True, result_timeout_s=0.5)
    with pytest.raises(BagError, match=r"/sdfpose/objects: no result for the frame of 1\.0+ s"):
        ended(PlayerNode(context=graph.context, parameter_overrides=settings))


def test_a_graph_without_a_pose_node_is_told(graph, monkeypatch):
    graph.start()
    node = graph.spin(Node("player", context=graph.context))
    inputs = (TOPICS.colour, TOPICS.depth, TOPICS.mask, TOPICS.camera_info)
    monitor = PoseNodeMonitor(node, inputs, TOPICS, "/sdfpose/objects")
    waiting = Lockstep(node, monitor, TOPICS, 1.0)
    assert not waiting.may_play()
    monkeypatch.setattr(lockstep, "_STARTUP_S", 0.0)
    with pytest.raises(BagError, match=r"/c/colour, .*/sdfpose/objects: no pose node .* after 0 s"):
        waiting.may_play()


def test_a_part_of_a_frame_has_no_result_to_wait_for(fakes, graph, tmp_path):
    write_frames(tmp_path / "bag", stamped(fakes, 1))
    graph.start()
    settings = overrides(bag=str(tmp_path / "bag"), lockstep=True, topics=["/camera/colour"])
    with pytest.raises(BagError, match=r"^/camera/depth, /camera/mask, .* not played"):
        PlayerNode(context=graph.context, parameter_overrides=settings)


def test_a_player_may_wait_for_the_node_and_then_keeps_the_pace(fakes, graph, wait_until, tmp_path):
    write_frames(tmp_path / "bag", stamped(fakes, 4))
    graph.start(*input_remaps("/camera"))
    tracker = fakes.StubTracker()
    settings = overrides(bag=str(tmp_path / "bag"), wait_s=30.0, loop=True)
    graph.spin(PlayerNode(context=graph.context, parameter_overrides=settings))
    time.sleep(0.5)  # longer than the bag
    graph.spin(PoseNode(lambda *_: tracker, context=graph.context))
    wait_until(lambda: tracker.frames, "the first frame")
    assert tracker.frames[0].stamp_ns == 10 * 10**8


def test_a_player_at_the_bags_speed_waits_for_the_first_result_and_recommends_lockstep(
    fakes, graph, tmp_path, capfd
):
    write_frames(tmp_path / "bag", stamped(fakes, 8))
    graph.start(*input_remaps("/camera"))
    tracker = fakes.StubTracker()
    tracker.delay_s = 0.4  # four images are dropped meanwhile
    graph.spin(PoseNode(lambda *_: tracker, context=graph.context))
    settings = overrides(bag=str(tmp_path / "bag"), wait_s=30.0)
    assert ended(PlayerNode(context=graph.context, parameter_overrides=settings)) == 0
    stamps = [x.stamp_ns for x in tracker.frames]
    assert stamps[:2] == [10 * 10**8, 11 * 10**8]
    assert len(stamps) < 6
    log = capfd.readouterr().err
    assert "of 8 images have a result; to process every image, play in lockstep" in log


def test_a_player_whose_first_result_does_not_come_plays_on(fakes, graph, tmp_path, capfd):
    write_frames(tmp_path / "bag", stamped(fakes, 3))
    graph.start(*input_remaps("/camera"))
    tracker = fakes.StubTracker()
    tracker.failures = [RuntimeError("broken")]
    graph.spin(PoseNode(lambda *_: tracker, context=graph.context))
    settings = overrides(bag=str(tmp_path / "bag"), wait_s=30.0, result_timeout_s=0.5)
    assert ended(PlayerNode(context=graph.context, parameter_overrides=settings)) == 0
    assert "playing on at the speed of the bag" in capfd.readouterr().err


def test_who_takes_the_frames_and_gives_no_results_is_no_pose_node(graph, wait_until):
    graph.start()
    player = graph.spin(Node("player", context=graph.context))
    player.create_publisher(SdfObjectArray, "/sdfpose/objects", 1)  # of a recorded run
    inputs = (TOPICS.colour, TOPICS.depth, TOPICS.mask, TOPICS.camera_info)
    monitor = PoseNodeMonitor(player, inputs, TOPICS, "/sdfpose/objects")
    recorder = graph.spin(Node("recorder", context=graph.context))
    pose_node = graph.spin(Node("sdfpose", context=graph.context))
    pose_node.create_publisher(SdfObjectArray, "/sdfpose/objects", 1)
    for topic in inputs:
        recorder.create_subscription(SdfObjectArray, topic, lambda _: None, 1)
    wait_until(lambda: player.count_subscribers(inputs[-1]), "the recorder")
    wait_until(lambda: player.count_publishers("/sdfpose/objects") == 2, "the pose node")
    assert monitor.missing_topics() == list(inputs)
    assert not monitor.is_ready()
    for topic in inputs:
        pose_node.create_subscription(SdfObjectArray, topic, lambda _: None, 1)
    wait_until(monitor.is_ready, "everybody")
    assert monitor.missing_topics() == []


def test_recorded_results_are_not_played_to_a_running_node(fakes, graph, tmp_path):
    write_frames(tmp_path / "bag", stamped(fakes, 1))
    graph.start()
    topics = {}
    for wait_s in (0.0, 1.0):
        settings = overrides(
            bag=str(tmp_path / "bag"), wait_s=wait_s, results="/camera/ground_truth"
        )
        player = PlayerNode(context=graph.context, parameter_overrides=settings)
        topics[wait_s] = {x.topic_name for x in player.publishers}
        player.destroy_node()
    assert topics[0.0] - topics[1.0] == {"/camera/ground_truth"}
    assert "/camera/colour" in topics[1.0]


def test_a_frame_that_was_left_out_is_told(fakes, graph):
    graph.start()
    node = graph.spin(Node("player", context=graph.context))
    inputs = (TOPICS.colour, TOPICS.depth, TOPICS.mask, TOPICS.camera_info)
    waiting = Lockstep(node, PoseNodeMonitor(node, inputs, TOPICS, "/sdfpose/objects"), TOPICS, 1.0)
    waiting._started, waiting.frames, waiting._pending_ns = True, 3, [1, 2, 3]
    assert not waiting.may_play()
    result = SdfObjectArray()
    result.header.stamp.nanosec = 2
    waiting._take_result(result)
    assert not waiting.may_play()
    result.header.stamp.nanosec = 3
    waiting._take_result(result)
    assert waiting.may_play()
    assert (waiting.frames, waiting.dropped) == (3, 1)


def test_the_running_graph_gives_the_poses_of_a_replay(graph, wait_until, tmp_path):
    """Two processes and a bag, against the same bag without ROS."""
    scene, rng, frames = table_scene(3), np.random.default_rng(0), []
    for i in range(6):
        frame, truths = simulated_frame(
            scene,
            TABLE_CAMERA.resize(320, 240),
            orbit(i / 10.0),
            rng,
            stamp_ns=1_000_000_000 + i * 100_000_000,
        )
        frames.append((frame, truths))
    bag = tmp_path / "bag"
    write_frames(bag, frames)
    results = tmp_path / "replay.json"
    assert main(["replay", str(bag), "--threads", "1", "--json", str(results)]) == 0

    graph.start()
    listener = Node("listener", context=graph.context)
    received: list[SdfObjectArray] = []
    listener.create_subscription(SdfObjectArray, "/sdfpose/objects", received.append, 10)
    graph.spin(listener)
    with ProcessGroup(tmp_path / "log", ros_child_environment({})) as group:
        remaps = input_remaps("/camera")
        group.start_node(
            "node",
            "sdfpose_ros.pose.pose_node",
            ["--ros-args", *remaps, "-p", "threads:=1", "-p", "wait_for_verification:=true"],
        )
        player = group.start_node(
            "player",
            "sdfpose_ros.playback.player_node",
            ["--ros-args", "-p", f"bag:='{bag}'", "-p", "lockstep:=true"],
        )
        wait_until(lambda: player.poll() is not None, "the player's end", timeout_s=90.0)
        assert player.returncode == 0, group.log_tail("player")
        wait_until(lambda: len(received) >= len(frames), "all results")

    live = {stamp_ns(x.header): x for x in received}
    document = json.loads(results.read_text())
    assert set(live) == {x["stamp_ns"] for x in document["frames"]}
    for frame in document["frames"]:
        message = live[frame["stamp_ns"]]
        shown = {x.id: x for x in message.objects if x.state != x.LOST}
        offline = {x["id"]: SimpleNamespace(**x) for x in frame["objects"]}
        assert set(shown) == set(offline)
        assert len(offline) == 6
        for object_id, x in offline.items():
            rotation, translation = pose_arrays(shown[object_id].pose.pose)
            np.testing.assert_allclose(rotation, x.R, atol=1e-5)
            np.testing.assert_allclose(translation, x.t, atol=1e-5)
            assert shown[object_id].scale == pytest.approx(x.scale, abs=1e-5)
