"""The pose node in a real graph: a stub in place of the estimator, everything else as it is."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from pose_bench import LATCHED
from rclpy.node import Node
from rclpy.parameter import Parameter
from sdfpose.msg import SdfObject, SdfObjectArray
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger
from visualization_msgs.msg import Marker, MarkerArray

import sdfpose_core
from sdfpose_core.categories import default_categories
from sdfpose_core.errors import ConfigurationError, DeviceError, WeightsError
from sdfpose_core.estimation.estimator import EstimatorConfig, FrameResult
from sdfpose_core.estimation.pose_following import NetworkPrediction
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_core.messages.objects import pose_arrays, transform_arrays
from sdfpose_core.observation.frame import InstanceLabel
from sdfpose_core.observation.segmentation import segment
from sdfpose_core.tracking.tracker import Tracker
from sdfpose_ros.graph.image_messages import (
    image_message,
)
from sdfpose_ros.graph.topics import input_remaps
from sdfpose_ros.pose.estimation import make_tracker
from sdfpose_ros.pose.parameters import PoseNodeParameters
from sdfpose_ros.pose.pose_node import PoseNode

WEIGHTS = Path(sdfpose_core.__file__).parent / "weights"


def test_poses_sizes_and_meshes_arrive_as_they_were_estimated(fakes, bench):
    stamp = bench.send(fakes.make_frame((1, 2)))
    objects = bench.result(stamp)
    assert objects.header.frame_id == "optical"
    assert [(x.id, x.category, x.state) for x in objects.objects] == [
        (101, "mug", SdfObject.TRACKED),
        (102, "mug", SdfObject.TRACKED),
    ]
    for item in objects.objects:
        expected = fakes.make_estimate(item.id - 100)
        assert item.header == objects.header
        rotation, translation = pose_arrays(item.pose.pose)
        np.testing.assert_allclose(rotation, expected.rotation, atol=1e-12)
        np.testing.assert_array_equal(translation, expected.translation)
        np.testing.assert_array_equal(item.pose.covariance, expected.covariance.reshape(-1))
        vertices = np.array(item.mesh_vertices, np.float32).reshape(-1, 3)
        np.testing.assert_array_equal(vertices, expected.vertices)
        assert len(item.mesh_colours) == expected.vertices.size
    (frame,) = bench.tracker.frames
    assert frame.stamp_ns == stamp
    np.testing.assert_array_equal(frame.colour, fakes.make_frame().colour)
    assert frame.labels == {
        1: InstanceLabel("mug", 0.5, detected=True),
        2: InstanceLabel("mug", 0.5, detected=True),
    }


def test_all_transforms_of_a_frame_come_in_one_message(fakes, bench):
    stamp = bench.send(fakes.make_frame((1, 2)))
    bench.wait_until(lambda: bench.received["tf"], "/tf")
    (message,) = bench.received["tf"]
    assert [x.child_frame_id for x in message.transforms] == ["sdfpose/mug_101", "sdfpose/mug_102"]
    for number, transform in enumerate(message.transforms, start=1):
        assert stamp_ns(transform.header) == stamp
        assert transform.header.frame_id == "optical"
        rotation, translation = transform_arrays(transform.transform)
        expected = fakes.make_estimate(number)
        np.testing.assert_allclose(rotation, expected.rotation, atol=1e-12)
        np.testing.assert_array_equal(translation, expected.translation)


def test_a_namespace_keeps_the_frames_of_two_cameras_apart(fakes, graph):
    graph.start("-r", "__ns:=/left")
    node = graph.spin(PoseNode(lambda *_: fakes.StubTracker(), context=graph.context))
    assert node._publisher._frame_prefix == "sdfpose/left"
    assert node.inputs.topics.colour == "/left/sdfpose/colour"


def test_markers_show_objects_and_are_deleted_when_these_go(fakes, bench):
    first = bench.result(bench.send(fakes.make_frame((1, 2))), "markers")
    shown = {(x.ns, x.id) for x in first.markers if x.action == Marker.ADD}
    assert shown == {(ns, i) for ns in ("mesh", "box", "axes", "label") for i in (101, 102)}
    surface = next(x for x in first.markers if (x.ns, x.id) == ("mesh", 101))
    assert (surface.type, len(surface.points)) == (Marker.TRIANGLE_LIST, 12)
    assert surface.header.frame_id == "sdfpose/mug_101"

    second = bench.result(bench.send(fakes.make_frame((1,))), "markers")
    deleted = {(x.ns, x.id) for x in second.markers if x.action == Marker.DELETE}
    assert deleted == {(ns, 102) for ns in ("mesh", "box", "axes", "label")}
    # The surface of the object that stays has not changed, and is not sent again.
    assert ("mesh", 101) not in {(x.ns, x.id) for x in second.markers}


def test_a_mesh_is_sent_when_it_changed_and_is_there_for_late_subscribers(fakes, bench):
    assert len(bench.send_and_wait(fakes.make_frame()).objects[0].mesh_vertices) == 12
    assert len(bench.send_and_wait(fakes.make_frame()).objects[0].mesh_vertices) == 0
    bench.tracker.revision = 2
    again = bench.send_and_wait(fakes.make_frame()).objects[0]
    assert (again.mesh_revision, len(again.mesh_vertices)) == (2, 12)

    late = Node("late", context=bench.graph.context)
    bench.received["late"] = []
    late.create_subscription(
        SdfObjectArray, "/sdfpose/meshes", bench.received["late"].append, LATCHED
    )
    late.create_subscription(
        MarkerArray, "/sdfpose/markers", bench.received.setdefault("late markers", []).append, 10
    )
    bench.graph.spin(late)
    bench.wait_until(lambda: bench.received["late"], "the latched meshes")
    (latched,) = bench.received["late"]
    assert [(x.id, x.mesh_revision, len(x.mesh_triangles)) for x in latched.objects] == [
        (101, 2, 12)
    ]

    def surfaces():
        bench.send(fakes.make_frame())
        time.sleep(0.05)
        return [m for a in bench.received["late markers"] for m in a.markers if m.ns == "mesh"]

    bench.wait_until(surfaces, "surfaces for the late subscriber")


def test_a_surface_that_changes_all_the_time_is_sent_now_and_then(fakes, bench):
    sent = []
    for number in range(1, 7):
        bench.tracker.revision = number
        stamp = bench.send(fakes.make_frame(), dt=0.9)
        markers = bench.result(stamp, "markers").markers
        sent.append(any(x.ns == "mesh" for x in markers))
    # Every 0.9 s a new shape; no surface within 2 s of the last.
    assert sent == [True, False, False, True, False, False]


def test_a_latched_mesh_goes_with_its_object(fakes, bench):
    bench.result(bench.send(fakes.make_frame((1, 2))), "meshes")
    remaining = bench.result(bench.send(fakes.make_frame((2,))), "meshes")
    assert [x.id for x in remaining.objects] == [102]


def test_the_overlay_has_size_and_header_of_the_image(fakes, bench):
    overlay = bench.result(bench.send(fakes.make_frame()), "overlay")
    assert (overlay.width, overlay.height, overlay.encoding) == (64, 48, "rgb8")
    assert overlay.header.frame_id == "optical"


def test_nothing_is_drawn_for_nobody(fakes, make_bench, monkeypatch):
    def fail(*_, **__):
        raise AssertionError("drawn for nobody")

    monkeypatch.setattr("sdfpose_ros.pose.publishers.draw_overlay", fail)
    monkeypatch.setattr("sdfpose_ros.pose.publishers.box_marker", fail)
    bench = make_bench(outputs=("objects",))
    assert len(bench.send_and_wait(fakes.make_frame()).objects) == 1


def test_outputs_can_be_switched_off(fakes, make_bench):
    bench = make_bench(
        "-p", "publish_meshes:=false", "-p", "publish_markers:=false",
        "-p", "publish_overlay:=false",
    )  # fmt: skip
    assert len(bench.send_and_wait(fakes.make_frame()).objects[0].mesh_vertices) == 0
    bench.send_and_wait(fakes.make_frame())
    assert not any(bench.received[name] for name in ("meshes", "markers", "overlay"))


def test_parameters_name_categories_where_no_labels_come(fakes, make_bench):
    bench = make_bench("-p", "mask_categories:=['1:bowl']", "-p", "category:=can")
    stamp = bench.send(fakes.make_frame((1, 9)), without=("labels",))
    assert [x.category for x in bench.result(stamp).objects] == ["bowl", "can"]


def test_a_reset_forgets_all_objects(fakes, bench):
    bench.send_and_wait(fakes.make_frame())
    assert bench.reset.wait_for_service(5.0)
    answer = bench.reset.call(Trigger.Request())
    assert answer.success
    bench.wait_until(lambda: bench.tracker.resets == 1, "the reset")
    bench.wait_until(lambda: bench.received["objects"][-1].objects == [], "an empty list")
    bench.wait_until(
        lambda: bench.received["markers"][-1].markers[0].action == Marker.DELETEALL, "DELETEALL"
    )
    bench.wait_until(lambda: bench.received["meshes"][-1].objects == [], "no latched meshes")
    assert len(bench.send_and_wait(fakes.make_frame()).objects[0].mesh_vertices) == 12


def test_a_disabled_node_passes_images_over_and_forgets_what_it_followed(fakes, bench):
    enable = bench.client.create_client(SetBool, "/sdfpose/set_enabled")
    assert enable.wait_for_service(5.0)
    bench.send_and_wait(fakes.make_frame())
    answer = enable.call(SetBool.Request(data=False))
    assert (answer.success, answer.message) == (
        True,
        "disabled: images are ignored, and all objects are forgotten",
    )
    bench.wait_until(lambda: bench.received["objects"][-1].objects == [], "an empty list")
    for _ in range(3):
        bench.send(fakes.make_frame())
    bench.wait_until(lambda: bench.node.estimation.ignored >= 2, "ignored images")
    assert len(bench.tracker.frames) == 1
    assert bench.tracker.resets == 1
    assert enable.call(SetBool.Request(data=True)).message == "enabled: images are processed"
    assert len(bench.send_and_wait(fakes.make_frame()).objects) == 1


def test_a_bag_that_starts_again_resets_the_tracker(fakes, bench):
    bench.send_and_wait(fakes.make_frame())
    forgotten = []
    bench.node._transforms = SimpleNamespace(
        forget=lambda: forgotten.append(True), close=lambda: None
    )
    bench.send_and_wait(fakes.make_frame(), dt=-60.0)
    assert forgotten == [True]  # transforms of times that come again
    assert bench.tracker.resets == 1
    assert bench.log.has("/sdfpose/", "time jumped back")


def test_a_slow_estimator_works_on_the_newest_frame_and_every_frame_is_accounted_for(fakes, bench):
    bench.tracker.delay_s = 0.15
    stamps = []
    for _ in range(12):
        stamps.append(bench.send(fakes.make_frame()))
        time.sleep(0.03)
    bench.result(stamps[-1])
    assert bench.node.estimation.worker.wait_idle(5.0)
    worker, statistics = bench.node.estimation.worker, bench.node.inputs.synchronizer.statistics
    assert statistics.received["/sdfpose/colour"] == statistics.matched == worker.submitted
    assert worker.submitted == worker.processed + worker.replaced
    assert worker.replaced > 0
    published = [stamp_ns(x.header) for x in bench.received["objects"]]
    assert published == sorted(set(published))


def test_an_exception_in_the_estimator_is_told_and_the_node_lives_on(fakes, bench):
    bench.tracker.failures = [ZeroDivisionError("inside the network")]
    bench.send(fakes.make_frame())
    bench.wait_until(lambda: bench.log.has("ZeroDivisionError", "inside the network"), "the error")
    assert len(bench.send_and_wait(fakes.make_frame()).objects) == 1
    assert bench.node.estimation.worker.wait_idle(5.0)
    assert (bench.node.estimation.worker.failed, bench.node.estimation.worker.processed) == (1, 1)


class StubEstimator:
    """Known poses for the real tracker."""

    uses_colour = False
    device = "cpu"

    def __init__(self, fakes):
        self.fakes = fakes
        self.categories = default_categories()
        self.config = EstimatorConfig()

    def segment(self, frame):
        return segment(frame, self.categories, min_points=self.config.min_points)

    def estimate(self, instances, expected=None, *, draft=False):
        estimates = [self.fakes.make_estimate(x.mask_id, x.category) for x in instances]
        words = dict.fromkeys(expected or {}, NetworkPrediction(None, None))
        return FrameResult(estimates, [], {"refine": 1.0}, words)

    def with_full_mesh(self, draft):
        return draft

    def as_keyframe(self, instance):
        return instance

    def shape_of(self, estimate):
        return None

    def add_keyframe(self, keyframes, instance, estimates):
        return keyframes, estimates[0]


def test_an_object_that_leaves_is_lost_and_then_deleted(fakes, make_bench):
    bench = make_bench(tracker=Tracker(StubEstimator(fakes)))
    frame, rest = fakes.make_frame((1, 2)), fakes.make_frame((1,))
    for _ in range(3):
        first = bench.send_and_wait(frame)
    tracked = {x.id: x for x in first.objects}
    assert {x.state for x in tracked.values()} == {SdfObject.TRACKED}

    stamp = bench.send(rest)
    missing = {x.id: x.state for x in bench.result(stamp).objects}
    assert sorted(missing.values()) == [SdfObject.TRACKED, SdfObject.LOST]
    lost = next(i for i, state in missing.items() if state == SdfObject.LOST)
    shown = {x.id for x in bench.result(stamp, "markers").markers if x.action == Marker.ADD}
    assert lost in shown
    assert [x.child_frame_id for x in bench.received["tf"][-1].transforms] == [
        f"sdfpose/mug_{i}" for i in missing if i != lost
    ]

    stamp = bench.send(rest, dt=5.0)
    assert [x.id for x in bench.result(stamp).objects] == [i for i in missing if i != lost]
    markers = bench.result(stamp, "markers").markers
    assert {x.id for x in markers if x.action == Marker.DELETE} == {lost}


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


def test_weights_that_cannot_be_read_are_named_and_the_others_are_used(tmp_path):
    for path in WEIGHTS.glob("bowl.*"):
        (tmp_path / path.name).symlink_to(path)
    damaged = tmp_path / "mug.decoder.safetensors"
    damaged.write_bytes(b"rubbish")
    told: list[str] = []
    parameters = PoseNodeParameters(weights_dir=str(tmp_path), device="cpu")
    assert make_tracker(parameters, default_categories(), told.append)
    assert len(told) == 5
    assert any("category 'mug'" in x and f"{damaged}: damaged" in x for x in told)


def test_weights_of_which_none_can_be_read_end_the_start(tmp_path):
    parameters = PoseNodeParameters(weights_dir=str(tmp_path), device="cpu")
    with pytest.raises(WeightsError, match="no category has usable weights"):
        make_tracker(parameters, default_categories(), print)


def test_a_device_that_is_not_there_ends_the_start():
    with pytest.raises(DeviceError, match="warp"):
        make_tracker(PoseNodeParameters(device="warp"), default_categories(), print)


def test_a_target_frame_without_tf2_ros_says_what_to_do(fakes, graph, monkeypatch):
    monkeypatch.setattr("sdfpose_ros.stand_ins.tf2_ros", None)
    graph.start("-p", "target_frame:=map")
    with pytest.raises(ConfigurationError, match="target_frame is 'map', which needs tf2_ros"):
        PoseNode(lambda *_: fakes.StubTracker(), context=graph.context)


def test_the_node_tells_of_its_health(fakes, make_bench):
    class Failing(fakes.StubTracker):
        fails = False

        def step(self, frame):
            if self.fails:
                raise RuntimeError("out of memory")
            return super().step(frame)

    bench = make_bench(tracker=Failing())
    told = []
    bench.client.create_subscription(DiagnosticArray, "/diagnostics", told.append, 10)

    def status(level):
        """The next one of that level."""
        before = len(told)
        bench.wait_until(lambda: any(x.status[0].level == level for x in told[before:]), "a status")
        return next(x.status[0] for x in told[before:] if x.status[0].level == level)

    assert status(DiagnosticStatus.WARN).message == "waiting for the first complete frame"
    for _ in range(3):
        bench.send_and_wait(fakes.make_frame((1, 2)))
    bench.wait_until(lambda: any("2 objects" in x.status[0].message for x in told), "two objects")
    found = next(x.status[0] for x in told if "2 objects" in x.status[0].message)
    assert found.level == DiagnosticStatus.OK
    assert found.name == "sdfpose: pose estimation"
    assert found.hardware_id == "stub"
    values = {x.key: x.value for x in found.values}
    assert int(values["frames processed"]) >= 1
    assert values["objects"] == "2"
    assert float(values["confidence min"]) == pytest.approx(
        fakes.make_estimate(1).confidence, abs=0.01
    )
    assert values["frames waiting for camera info"] == "0"
    assert float(values["memory peak (MiB)"]) > 10.0
    bench.tracker.fails = True
    bench.send(fakes.make_frame((1,)))
    assert status(DiagnosticStatus.ERROR).message == "all 1 frames failed, see the log"
