from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore
from sdfpose.msg import SdfObject
from simple_estimates import make_alternative
from std_msgs.msg import Header

from sdfpose_core.messages.factory import bag_messages, header_message
from sdfpose_core.messages.objects import (
    child_frame_id,
    detections_message,
    pose_arrays,
    transform_arrays,
)
from sdfpose_core.tracking.tracker import TrackState
from sdfpose_ros.graph import object_messages as m

HEADER = Header(stamp=Time(sec=3, nanosec=4), frame_id="optical")

# Those of vision_msgs 4, which the wheels of ROS 2 lack.
DETECTION_DEFINITIONS = {
    "BoundingBox3D": "geometry_msgs/Pose center\ngeometry_msgs/Vector3 size",
    "ObjectHypothesis": "string class_id\nfloat64 score",
    "ObjectHypothesisWithPose": (
        "ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose"
    ),
    "Detection3D": (
        "std_msgs/Header header\nObjectHypothesisWithPose[] results\nBoundingBox3D bbox\nstring id"
    ),
    "Detection3DArray": "std_msgs/Header header\nDetection3D[] detections",
}


@pytest.fixture(scope="module")
def detection_types() -> Typestore:
    store = get_typestore(Stores.LATEST)
    for name, text in DETECTION_DEFINITIONS.items():
        store.register(get_types_from_msg(text, f"vision_msgs/msg/{name}"))
    return store


@pytest.mark.parametrize("seed", range(8))
def test_a_pose_survives_the_round_trip_through_quaternions(fakes, seed):
    rotation, translation = fakes.make_rotation(seed), np.array([0.1, -0.2, 0.3])
    pose = m.pose_message(rotation, translation)
    q = pose.orientation
    assert np.linalg.norm([q.x, q.y, q.z, q.w]) == pytest.approx(1.0)
    back_rotation, back_translation = pose_arrays(pose)
    np.testing.assert_allclose(back_rotation, rotation, atol=1e-12)
    np.testing.assert_array_equal(back_translation, translation)


def test_quaternions_are_in_the_order_x_y_z_w():
    quarter_turn_about_z = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    q = m.pose_message(quarter_turn_about_z, np.zeros(3)).orientation
    np.testing.assert_allclose([q.x, q.y, q.z, q.w], [0, 0, np.sqrt(0.5), np.sqrt(0.5)])


def test_a_transform_goes_from_the_object_to_the_image_frame(fakes, estimate):
    child = child_frame_id("sdfpose/left", "mug", 7)
    transform = m.transform_message(estimate.rotation, estimate.translation, HEADER, child)
    assert transform.header == HEADER
    assert transform.child_frame_id == "sdfpose/left/mug_7"
    rotation, translation = transform_arrays(transform.transform)
    np.testing.assert_allclose(rotation, estimate.rotation, atol=1e-12)
    np.testing.assert_array_equal(translation, estimate.translation)


def test_an_object_message_says_everything_of_the_estimate(fakes, estimate):
    track = fakes.make_track(4_000_000_000, estimate, mesh_revision=3)
    track = dataclasses.replace(track, stamp_ns=1_700_000_000_000_000_007)
    colours = np.arange(12, dtype=np.uint8).reshape(4, 3)
    message = m.object_message(track, HEADER, with_mesh=True, colours=colours)
    assert message.header == HEADER
    assert (message.id, message.category, message.state) == (
        4_000_000_000,
        "mug",
        SdfObject.TRACKED,
    )
    seen_ns = message.last_seen.sec * 1_000_000_000 + message.last_seen.nanosec
    assert seen_ns == track.stamp_ns
    assert message.scale == estimate.scale
    assert (message.dimensions.x, message.dimensions.y, message.dimensions.z) == (0.10, 0.12, 0.08)
    assert message.confidence == pytest.approx(0.75)
    assert list(message.latent_code) == [0.5, -1.5]
    assert message.mesh_revision == 3
    # Row-major in the order x, y, z, rx, ry, rz, as the estimate has it.
    np.testing.assert_array_equal(message.pose.covariance, np.arange(36))
    vertices = np.array(message.mesh_vertices, np.float32).reshape(-1, 3)
    np.testing.assert_array_equal(vertices, estimate.vertices)
    faces = np.array(message.mesh_triangles).reshape(-1, 3)
    np.testing.assert_array_equal(faces, estimate.faces)
    normals = np.array(message.mesh_normals, np.float32).reshape(-1, 3)
    np.testing.assert_array_equal(normals, estimate.normals)
    assert list(message.mesh_colours) == list(range(12))


def test_an_object_message_has_symmetries_and_alternatives(fakes, estimate):
    upside_down = np.diag([1.0, -1.0, -1.0])
    rivals = (make_alternative(probability=0.2), make_alternative("can", probability=0.1))
    estimate = dataclasses.replace(
        estimate, symmetries=upside_down[None], probability=0.7, alternatives=rivals
    )
    message = m.object_message(fakes.make_track(1, estimate), HEADER, with_mesh=False)
    (q,) = message.symmetries
    np.testing.assert_allclose([q.x, q.y, q.z, q.w], [1.0, 0.0, 0.0, 0.0], atol=1e-12)
    assert message.probability == pytest.approx(0.7)
    assert [x.category for x in message.alternatives] == ["bowl", "can"]
    assert message.probability + sum(x.probability for x in message.alternatives) == pytest.approx(
        1.0
    )
    first = message.alternatives[0]
    rotation, translation = pose_arrays(first.pose)
    np.testing.assert_allclose(rotation, rivals[0].rotation, atol=1e-12)
    np.testing.assert_array_equal(translation, rivals[0].translation)
    assert (first.dimensions.x, first.dimensions.y, first.dimensions.z) == (0.1, 0.2, 0.3)
    assert first.scale == pytest.approx(rivals[0].scale)


@pytest.mark.parametrize("state", ["TENTATIVE", "TRACKED", "LOST"])
def test_states_have_the_numbers_of_the_message(fakes, estimate, state):
    track = fakes.make_track(1, estimate, TrackState[state])
    message = m.object_message(track, HEADER, with_mesh=False)
    assert message.state == getattr(SdfObject, state)


def test_without_the_mesh_only_its_revision_is_left(fakes, estimate):
    track = fakes.make_track(1, estimate, mesh_revision=2)
    message = m.object_message(track, HEADER, with_mesh=False, colours=np.zeros((4, 3), np.uint8))
    assert message.mesh_revision == 2
    for name in ("mesh_vertices", "mesh_triangles", "mesh_normals", "mesh_colours"):
        assert len(getattr(message, name)) == 0


def test_ground_truth_carries_pose_size_and_symmetry(fakes):
    truth = dataclasses.replace(fakes.make_truth(5, "bowl"), symmetric_about_y=True)
    message = m.ground_truth_message(truth, HEADER)
    assert (message.id, message.category, message.confidence) == (5, "bowl", 1.0)
    assert message.symmetric_about_y
    assert (message.probability, len(message.alternatives), len(message.symmetries)) == (1.0, 0, 0)
    assert message.state == SdfObject.UNKNOWN
    rotation, translation = pose_arrays(message.pose.pose)
    np.testing.assert_allclose(rotation, truth.rotation, atol=1e-12)
    np.testing.assert_array_equal(translation, truth.translation)
    assert message.scale == pytest.approx(truth.scale)


def assert_detections_are_those_of_the_tracks(message, tracks):
    assert [detection.id for detection in message.detections] == [str(x.id) for x in tracks]
    for detection, track in zip(message.detections, tracks, strict=True):
        estimate = track.estimate
        assert detection.header == message.header
        (result,) = detection.results
        assert result.hypothesis.class_id == estimate.category
        assert result.hypothesis.score == estimate.confidence
        np.testing.assert_array_equal(result.pose.covariance, estimate.covariance.ravel())
        for pose in (result.pose.pose, detection.bbox.center):
            rotation, translation = pose_arrays(pose)
            np.testing.assert_allclose(rotation, estimate.rotation, atol=1e-12)
            np.testing.assert_array_equal(translation, estimate.translation)
        size = detection.bbox.size
        np.testing.assert_array_equal([size.x, size.y, size.z], estimate.dimensions_m)


def test_detections_say_category_pose_and_box_of_each_object(fakes, detection_types):
    tracks = [
        fakes.make_track(7, fakes.make_estimate(1)),
        fakes.make_track(2**32 - 1, fakes.make_estimate(2, "can")),
    ]
    new = bag_messages(detection_types)
    message = detections_message(new, tracks, header_message(new, 3_000_000_004, "optical"))
    assert (message.header.stamp.sec, message.header.frame_id) == (3, "optical")
    kind = "vision_msgs/msg/Detection3DArray"
    written = detection_types.deserialize_cdr(detection_types.serialize_cdr(message, kind), kind)
    assert_detections_are_those_of_the_tracks(written, tracks)


def test_no_objects_are_no_detections(detection_types):
    new = bag_messages(detection_types)
    message = detections_message(new, [], header_message(new, 0, "optical"))
    assert message.detections == []


def test_detections_are_published_where_vision_msgs_is_installed(fakes, estimate):
    pytest.importorskip("vision_msgs.msg")
    tracks = [fakes.make_track(7, estimate)]
    message = m.detections_message(tracks, HEADER)
    assert message.header == HEADER
    assert_detections_are_those_of_the_tracks(message, tracks)
