"""The pose node in a real graph: a stub in place of the estimator, everything else as it is."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from pose_bench import LATCHED
from rclpy.node import Node
from sdfpose.msg import SdfObject, SdfObjectArray
from std_srvs.srv import SetBool, Trigger
from visualization_msgs.msg import Marker, MarkerArray

from sdfpose_core.categories import default_categories
from sdfpose_core.estimation.estimator import EstimatorConfig, FrameResult
from sdfpose_core.estimation.pose_following import NetworkPrediction
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_core.messages.objects import pose_arrays, transform_arrays
from sdfpose_core.observation.frame import InstanceLabel
from sdfpose_core.observation.segmentation import segment
from sdfpose_core.tracking.tracker import Tracker
from sdfpose_ros.pose.pose_node import PoseNode


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
    assert node.inputs[""].topics.colour == "/left/sdfpose/colour"


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
    bench.node.transforms = SimpleNamespace(
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
    worker, statistics = bench.node.estimation.worker, bench.node.inputs[""].synchronizer.statistics
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

    def unused_cues(self, frame, instances):
        return []

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
