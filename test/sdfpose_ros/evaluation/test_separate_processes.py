"""Camera and pose node as separate processes, as a robot runs them."""

from __future__ import annotations

import signal
import time

import pytest
from rclpy.node import Node
from sdfpose.msg import SdfObjectArray

from sdfpose_core.datasets import write_frame
from sdfpose_ros.graph.process_group import ProcessGroup, ros_child_environment
from sdfpose_ros.graph.topics import input_remaps
from sdfpose_ros.pose.pose_node import PoseNode


@pytest.fixture
def cameras(fakes, tmp_path):
    """Starts a process that plays a frame folder as a camera."""
    write_frame(tmp_path / "frame", fakes.make_frame((1, 2)), [fakes.make_truth(1)])
    arguments = ["--ros-args", "-p", "rate_hz:=20.0", "-p", f"folders:=['{tmp_path}']"]
    with ProcessGroup(tmp_path / "log", ros_child_environment({})) as group:
        yield lambda: group.start_node("camera", "sdfpose_ros.playback.camera_node", arguments)


def test_results_come_and_resume_when_the_camera_was_killed_and_restarted(
    fakes, graph, wait_until, cameras
):
    graph.start(*input_remaps("/camera"))
    tracker = fakes.StubTracker()
    node = graph.spin(PoseNode(lambda *_: tracker, context=graph.context))
    listener = Node("listener", context=graph.context)
    results: list[SdfObjectArray] = []
    listener.create_subscription(SdfObjectArray, "/sdfpose/objects", results.append, 10)
    graph.spin(listener)

    camera = cameras()
    wait_until(lambda: len(results) >= 5, "results", timeout_s=20.0)
    camera.send_signal(signal.SIGKILL)
    camera.wait(5.0)
    before = len(results)
    cameras()
    wait_until(lambda: len(results) >= before + 5, "results after the restart", timeout_s=20.0)

    assert all(len(x.objects) == 2 for x in results)
    assert node.estimation.worker.failed == 0
    stamps = [(x.header.stamp.sec, x.header.stamp.nanosec) for x in results]
    assert stamps == sorted(set(stamps))


def test_a_node_that_is_interrupted_twice_ends_well(tmp_path, graph, wait_until):
    graph.start()
    listener = graph.spin(Node("listener", context=graph.context))
    with ProcessGroup(tmp_path / "log", ros_child_environment({})) as group:
        arguments = ["--ros-args", "-p", "encoder:=none", "-p", "threads:=1"]
        node = group.start_node("node", "sdfpose_ros.pose.pose_node", arguments)
        ready = lambda: listener.count_subscribers("/sdfpose/colour")  # noqa: E731
        wait_until(ready, "the node", timeout_s=60.0)
        node.send_signal(signal.SIGINT)
        while node.poll() is None:  # from the terminal, from a launch file, and from the impatient
            node.send_signal(signal.SIGINT)
            time.sleep(0.02)
        assert node.returncode == 0, group.log_tail("node")
        assert "Traceback" not in group.log_tail("node")
