"""Bad, silent and unmatched inputs of the pose node: each is told, and the next one is used."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from sdfpose_ros.graph.image_messages import (
    image_message,
)
from sdfpose_ros.graph.topics import input_remaps
from sdfpose_ros.pose.pose_node import PoseNode

NAN_INFO = CameraInfo(width=64, height=48)


def depth_message(value: float) -> Image:
    return image_message(np.full((48, 64), value, np.float32), "32FC1", Header())


def unknown_encoding() -> Image:
    message = image_message(np.zeros((48, 64), np.uint8), "mono8", Header())
    message.encoding = "polar12"
    return message


@pytest.mark.parametrize(
    ("replaced", "told"),
    [
        (
            {"depth": image_message(np.zeros((24, 32), np.uint16), "16UC1", Header())},
            ("/sdfpose/depth: ", "32x24", "64x48", "/sdfpose/colour"),
        ),
        (
            {"mask": image_message(np.zeros((24, 32), np.uint8), "mono8", Header())},
            ("/sdfpose/mask: ", "32x24", "64x48"),
        ),
        (
            {"colour": image_message(np.zeros((24, 32, 3), np.uint8), "rgb8", Header())},
            ("/sdfpose/depth: ", "64x48", "32x24"),
        ),
        ({"colour": unknown_encoding()}, ("/sdfpose/colour: ", "'polar12'", "rgb8")),
        ({"depth": unknown_encoding()}, ("/sdfpose/depth: ", "'polar12'", "16UC1")),
        ({"mask": unknown_encoding()}, ("/sdfpose/mask: ", "'polar12'", "mono8")),
        ({"camera_info": NAN_INFO}, ("/sdfpose/camera_info: ", "unusable K", "calibrated")),
        (
            {"depth": image_message(np.zeros((48, 64), np.uint16), "16UC1", Header(frame_id="x"))},
            ("/sdfpose/depth: ", "frame id 'x'", "'optical'"),
        ),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else None,
)
def test_a_frame_that_cannot_be_used_is_told_and_the_next_one_is_estimated(
    fakes, bench, replaced, told
):
    bench.send(fakes.make_frame(), **replaced)
    bench.wait_until(lambda: bench.log.has(*told), f"a warning with {told}")
    assert len(bench.send_and_wait(fakes.make_frame()).objects) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, -1.0])
def test_missing_depth_reaches_the_estimator_as_zero(fakes, bench, value):
    objects = bench.send_and_wait(fakes.make_frame(), depth=depth_message(value))
    assert len(objects.objects) == 1
    np.testing.assert_array_equal(bench.tracker.frames[-1].depth, 0.0)


def test_absurd_depth_is_told(fakes, bench):
    bench.send_and_wait(fakes.make_frame(), depth=depth_message(800.0))
    assert bench.log.has("/sdfpose/depth: ", "median of 800 m", "16UC1 in millimetres")


@pytest.mark.parametrize(
    ("raw", "encoding", "unit"), [(8000, "16UC1", 0.0001), (800.0, "32FC1", 0.001)]
)
def test_depth_in_another_unit_is_read_with_a_parameter(fakes, bench, raw, encoding, unit):
    message = depth_message(0.8)
    pixels = np.full((message.height, message.width), raw)
    kind = np.uint16 if encoding == "16UC1" else np.float32
    message = image_message(pixels.astype(kind), encoding, message.header)
    (result,) = bench.node.set_parameters([Parameter("depth_unit", value=unit)])
    assert result.successful
    bench.send_and_wait(fakes.make_frame(), depth=message)
    np.testing.assert_allclose(bench.tracker.frames[-1].depth, 0.8, rtol=1e-5)
    assert not bench.log.has("/sdfpose/depth: ", "depth_unit")


@pytest.mark.parametrize("unit", [-0.001, 1000.0, float("nan"), 1])
def test_a_depth_unit_that_is_none_is_refused(bench, unit):
    (result,) = bench.node.set_parameters([Parameter("depth_unit", value=unit)])
    assert not result.successful


def test_an_empty_mask_is_told_and_gives_an_empty_list(fakes, bench):
    objects = bench.send_and_wait(fakes.make_frame(()))
    assert objects.objects == []
    assert bench.log.has("/sdfpose/mask: ", "mask is empty")


def test_a_mask_id_without_a_category_is_told_and_the_others_are_estimated(fakes, bench):
    frame = fakes.make_frame((1, 2, 3))
    labels = {mask_id: x for mask_id, x in frame.labels.items() if mask_id != 2}
    objects = bench.send_and_wait(dataclasses.replace(frame, labels=labels))
    assert [x.id for x in objects.objects] == [101, 103]
    bench.wait_until(lambda: bench.log.has("/sdfpose/mask: ", "mask id 2 has no label"), "warning")


def test_two_hundred_instances_without_an_estimate_take_one_line(fakes, bench):
    mask = np.zeros((48, 64), np.uint16)
    mask.reshape(-1)[:200] = np.arange(1, 201)
    objects = bench.send_and_wait(fakes.make_frame(mask=mask, labels={}))
    assert objects.objects == []
    bench.wait_until(lambda: bench.log.has("200 instance(s)", "and 195 more"), "warning")
    before = len(bench.log.lines)
    bench.send_and_wait(fakes.make_frame(mask=mask, labels={}))
    time.sleep(0.05)
    assert len(bench.log.lines) == before


def test_an_image_older_than_the_last_is_told_and_left_out(fakes, bench):
    bench.send_and_wait(fakes.make_frame())
    bench.send(fakes.make_frame(), dt=-0.5)
    bench.wait_until(lambda: bench.log.has("/sdfpose/colour: ", "0.500 s older"), "warning")
    assert len(bench.send_and_wait(fakes.make_frame(), dt=1.0).objects) == 1
    assert len(bench.tracker.frames) == 2


def test_frames_without_camera_info_are_told(fakes, bench):
    for _ in range(2):
        bench.send(fakes.make_frame(), without=("camera_info",))
    bench.wait_until(lambda: bench.log.has("/sdfpose/camera_info: no camera info"), "warning")
    assert len(bench.send_and_wait(fakes.make_frame()).objects) == 1


def test_a_silent_topic_is_named(fakes, make_bench, monkeypatch):
    monkeypatch.setattr("sdfpose_ros.pose.inputs.SILENT_AFTER_S", 0.3)
    bench = make_bench()
    bench.send(fakes.make_frame(), without=("mask",))
    bench.wait_until(lambda: bench.log.has("/sdfpose/mask: no message", "1 publisher"), "warning")


def test_topics_that_nobody_publishes_are_one_warning_that_names_the_mask_node(
    fakes, graph, monkeypatch, capfd, wait_until
):
    monkeypatch.setattr("sdfpose_ros.pose.inputs.SILENT_AFTER_S", 0.3)
    graph.start(*input_remaps("/nobody"))
    tracker = fakes.StubTracker()
    graph.spin(PoseNode(lambda *_: tracker, context=graph.context))
    lines = []

    def warned():
        lines.extend(x for x in capfd.readouterr().err.splitlines() if "no message for" in x)
        return lines

    wait_until(warned, "a warning")
    (line,) = lines
    assert "/nobody/colour, /nobody/depth, /nobody/camera_info: no message for 0 s from 0" in line
    assert "/nobody/mask, /nobody/labels: no message" in line
    assert "run the mask node ('sdfpose mask')" in line


def test_a_node_at_work_warns_of_no_silence(fakes, make_bench, monkeypatch):
    """A player in lockstep sends nothing until it has the result."""
    monkeypatch.setattr("sdfpose_ros.pose.inputs.SILENT_AFTER_S", 0.1)
    bench = make_bench()
    bench.tracker.delay_s = 1.0
    bench.send_and_wait(fakes.make_frame())
    assert not bench.log.has("no message for")
    assert bench.log.has("first result: 1 object(s) after 1.")


def test_stamps_that_never_agree_are_told(fakes, make_bench, monkeypatch):
    monkeypatch.setattr("sdfpose_ros.pose.inputs.SILENT_AFTER_S", 0.5)
    bench = make_bench()

    def send_and_look():
        bench.send(fakes.make_frame(), without=("mask",))
        bench.send(fakes.make_frame(), without=("colour", "depth", "labels"))
        time.sleep(0.02)
        return bench.log.has("no stamps have agreed", "slop_s")

    bench.wait_until(send_and_look, "a warning")
