"""Distances, frames of parts and grasps of a real node, with solids as its objects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pose_bench import Bench
from scipy.spatial.transform import Rotation
from sdfpose.msg import GraspCandidateArray
from sdfpose.srv import Distance
from solid_decoders import SolidDecoder, solid_estimate
from visualization_msgs.msg import Marker, MarkerArray

from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_core.messages.objects import pose_arrays, transform_arrays
from sdfpose_core.observation.support_plane import SupportPlane
from sdfpose_core.shapes.families import sample_model

SPHERE = SolidDecoder("sphere", [0.35, 0.35, 0.35])
SCALE, PLACE = 0.1, np.array([0.02, -0.03, 0.6])
TURN = Rotation.from_euler("x", 180, degrees=True).as_matrix()


@pytest.fixture
def spheres(fakes):
    """A tracker whose object 101 is a sphere that stands on a table; the y axis points down."""

    class Spheres(fakes.StubTracker):
        estimate = solid_estimate(SPHERE, SCALE, TURN, PLACE, category="can")

        def decoder(self, category):
            return SPHERE

        def step(self, frame):
            result = super().step(frame)
            tracks = [
                replace(x, estimate=replace(self.estimate, mask_id=x.estimate.mask_id))
                for x in result.tracks
            ]
            table = SupportPlane(np.array([0.0, -1.0, 0.0], np.float32), -(-0.03 + 0.035))
            return replace(
                result, tracks=tracks, supports={x.estimate.mask_id: table for x in tracks}
            )

    return Spheres()


@pytest.fixture
def start(fakes, graph, wait_until, spheres):
    def make(*parameters, **options):
        arguments = [y for x in parameters for y in ("-p", x)]
        return Bench(fakes, graph, wait_until, *arguments, tracker=spheres, **options)

    return make


def test_distances_are_those_from_the_objects_of_the_last_image(fakes, start):
    bench = start()
    stamp = bench.send_and_wait(fakes.make_frame()).header.stamp
    points = PLACE + np.array([[0.055, 0.0, 0.0], [0.0, -0.045, 0.0], [0.0, 0.0, 0.025]])
    answer = bench.call(Distance, "distance", points=points.ravel().tolist())
    assert answer.success
    assert answer.message == "3 points, 1 objects"
    assert (answer.header.stamp, answer.header.frame_id) == (stamp, "optical")
    np.testing.assert_allclose(answer.distances, [0.02, 0.01, -0.01], atol=5e-4)
    gradients = np.array(answer.gradients).reshape(-1, 3)
    np.testing.assert_allclose(gradients, [(1, 0, 0), (0, -1, 0), (0, 0, 1)], atol=0.1)
    assert list(answer.ids) == [101] * 3


def test_an_object_in_the_gripper_is_left_out(fakes, start):
    bench = start()
    bench.send_and_wait(fakes.make_frame())
    answer = bench.call(Distance, "distance", points=[0.0, 0.0, 0.6], ignored_ids=[101])
    assert answer.success
    assert (list(answer.distances), list(answer.ids)) == ([np.inf], [0])


def test_points_in_another_frame_are_looked_up_at_the_images_time(fakes, start, monkeypatch):
    bench = start()
    stamp = bench.send(fakes.make_frame())
    bench.result(stamp)
    turn, shift = Rotation.random(random_state=1).as_matrix(), np.array([0.3, -0.2, 1.0])
    asked = []

    class Transforms:
        def lookup(self, target, source, at):
            asked.append((target, source, stamp_ns(type("H", (), {"stamp": at}))))
            return turn, shift

        def close(self):
            pass

    monkeypatch.setattr(bench.node, "transforms", Transforms())
    away = np.array([0.0, 0.6, -0.8])
    point = turn.T @ (PLACE + 0.045 * away - shift)
    answer = bench.call(Distance, "distance", frame_id="/map", points=point.tolist())
    assert answer.success, answer.message
    assert asked == [("optical", "map", stamp)]
    assert answer.header.frame_id == "map"
    assert answer.distances[0] == pytest.approx(0.01, abs=5e-4)
    np.testing.assert_allclose(answer.gradients, turn.T @ away, atol=0.1)


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        ({"points": [0.0, 1.0]}, "points has 2 numbers: expected x, y, z of each point"),
        ({"points": [0.0, np.nan, 1.0]}, "numbers that are not finite: expected metres"),
        (
            {"frame_id": "map", "points": [0.0] * 3},
            "the points are in frame 'map', the objects in 'optical': set the parameter "
            "listen_to_tf",
        ),
    ],
)
def test_a_request_that_cannot_be_answered_says_why(fakes, start, request_, problem):
    bench = start()
    bench.send_and_wait(fakes.make_frame())
    answer = bench.call(Distance, "distance", **request_)
    assert not answer.success
    assert problem in answer.message


def test_before_the_first_image_there_is_no_answer(start):
    answer = start().call(Distance, "distance", points=[0.0, 0.0, 1.0])
    assert not answer.success
    assert "no image was processed yet" in answer.message


def test_grasps_are_published_with_the_images_header(fakes, start):
    bench = start("grasps:=4", "grasp_markers:=true")
    received = {"grasps": [], "grasp_markers": []}
    for name, kind in (("grasps", GraspCandidateArray), ("grasp_markers", MarkerArray)):
        bench.client.create_subscription(kind, f"/sdfpose/{name}", received[name].append, 10)
    for name in received:
        bench.wait_until(
            lambda name=name: bench.node.count_subscribers(f"/sdfpose/{name}"), "a subscriber"
        )

    def sent():
        bench.send_and_wait(fakes.make_frame())
        return all(received.values())

    bench.wait_until(sent, "grasps")
    message = received["grasps"][0]
    assert message.header.frame_id == "optical"
    assert 1 <= len(message.grasps) <= 4
    quality = [x.quality for x in message.grasps]
    assert quality == sorted(quality, reverse=True)
    for grasp in message.grasps:
        assert (grasp.object_id, grasp.category) == (101, "can")
        rotation, translation = pose_arrays(grasp.pose)
        assert np.linalg.norm(translation - PLACE) < 0.02
        assert rotation[1, 2] > -0.3  # not from below: the image's y axis points down
        assert 0.03 < grasp.width < grasp.opening <= 0.085
        assert grasp.clearance >= 0.005
    markers = received["grasp_markers"][0].markers
    assert markers[0].action == Marker.DELETEALL
    assert {(x.ns, x.type, len(x.points)) for x in markers[1:]} == {("grasp", Marker.LINE_LIST, 8)}


def test_there_are_no_grasps_unless_asked_for(start):
    bench = start()
    topics = {name for name, _ in bench.node.get_topic_names_and_types()}
    assert "/sdfpose/grasps" not in topics


def test_frames_of_parts_are_children_of_their_object(fakes, start, spheres):
    model = sample_model("mug", 1)
    spheres.estimate = replace(
        spheres.estimate,
        category="mug",
        vertices=model.vertices.astype(np.float32),
        faces=model.faces,
        normals=np.zeros(model.vertices.shape, np.float32),
    )
    bench = start("part_frames:=true")
    bench.send_and_wait(fakes.make_frame())
    bench.wait_until(lambda: bench.received["tf"], "/tf")
    of = {x.child_frame_id: x for x in bench.received["tf"][0].transforms}
    parts = ("handle", "rim", "body_axis", "opening")
    assert list(of) == ["sdfpose/mug_101", *(f"sdfpose/mug_101/{x}" for x in parts)]
    handle = of["sdfpose/mug_101/handle"]
    assert handle.header.frame_id == "sdfpose/mug_101"
    assert handle.header.stamp == of["sdfpose/mug_101"].header.stamp
    rotation, translation = transform_arrays(handle.transform)
    assert translation[0] > 0.3 * model.dimensions_m[0]
    np.testing.assert_allclose(rotation[:, 2], (1, 0, 0), atol=0.05)

    spheres.estimate = replace(spheres.estimate, symmetric_about_y=True)
    bench.received["tf"].clear()
    bench.send_and_wait(fakes.make_frame())
    bench.wait_until(lambda: bench.received["tf"], "/tf")
    shown = [x.child_frame_id for x in bench.received["tf"][0].transforms]
    assert "sdfpose/mug_101/handle" not in shown
    assert "sdfpose/mug_101/rim" in shown
