"""Two cameras that see the same objects, in a real graph."""

from __future__ import annotations

import numpy as np
import pytest
from pose_bench import Bench, stamped_header
from scipy.spatial.transform import Rotation
from tf2_msgs.msg import TFMessage
from tracker_fakes import FakeEstimator, make_tracker

from sdfpose_core.errors import ConfigurationError
from sdfpose_core.tracking.tracker import TrackState
from sdfpose_ros.graph.object_messages import transform_message
from sdfpose_ros.pose.camera_names import camera_names

PLACE = np.array([0.3, 0.1, 1.2])
"""The object's, in the world; each camera sees it 0.8 m before it."""

TURNS = {
    "left": Rotation.from_euler("y", 20, degrees=True).as_matrix(),
    "right": Rotation.from_euler("y", 110, degrees=True).as_matrix(),
}
TRACKED = int(TrackState.TRACKED)


@pytest.fixture
def bench(fakes, graph, wait_until):
    estimator = FakeEstimator()
    estimator.device = "stub"
    parameters = ("world_frame:=base", "cameras:=[left, right]")
    arguments = [x for y in parameters for x in ("-p", y)]
    bench = Bench(
        fakes, graph, wait_until, *arguments, cameras=tuple(TURNS), tracker=make_tracker(estimator)
    )
    bench.transforms = bench.client.create_publisher(TFMessage, "/tf", 10)
    wait_until(lambda: bench.transforms.get_subscription_count() > 1, "the node's listener")
    return bench


@pytest.fixture
def frame(fakes):
    """A block in the middle of the image."""
    return fakes.make_frame(mask=np.pad(np.ones((10, 10), np.uint16), ((19, 19), (27, 27))))


def send(bench, camera, frame, *, dt=0.05, frame_id=None):
    """An image of a camera, and the camera's pose; gives the stamp."""
    frame_id = frame_id or f"{camera}_optical"
    header = stamped_header(bench.now_ns + round(1e9 * dt), "base")
    turn = TURNS[camera]
    pose = transform_message(turn, PLACE - turn @ [0.0, 0.0, 0.8], header, frame_id)
    bench.transforms.publish(TFMessage(transforms=[pose]))
    return bench.send(frame, dt=dt, frame_id=frame_id, camera=camera)


def see(bench, camera, frame, **options):
    return bench.result(send(bench, camera, frame, **options))


def test_an_object_that_both_see_has_one_id(bench, frame):
    ids = set()
    for _ in range(6):
        for camera in TURNS:
            message = see(bench, camera, frame)
            assert message.header.frame_id == f"{camera}_optical"
            (found,) = message.objects
            ids.add(found.id)
            assert found.pose.pose.position.z == pytest.approx(0.8, abs=0.03)
    assert len(ids) == 1
    assert found.state == TRACKED


def test_what_one_camera_sees_is_not_lost_because_the_other_does_not(bench, frame, fakes):
    for _ in range(6):
        see(bench, "left", frame)
        (found,) = see(bench, "right", fakes.make_frame(())).objects
    assert found.state == TRACKED
    assert found.pose.pose.position.z == pytest.approx(0.8, abs=0.03)


def test_the_others_verdict_counts_when_a_camera_is_silent(bench, frame, fakes):
    for _ in range(6):
        see(bench, "left", frame)
        see(bench, "right", fakes.make_frame(()))
    for _ in range(30):  # 1.5 s
        (found,) = see(bench, "right", fakes.make_frame(())).objects
    assert found.state != TRACKED


def test_a_camera_whose_clock_is_late_begins_nothing_anew(bench, frame):
    (first,) = see(bench, "left", frame).objects
    for _ in range(4):
        (late,) = see(bench, "right", frame, dt=-0.1).objects
        (found,) = see(bench, "left", frame, dt=0.2).objects
    assert late.id == found.id == first.id
    assert not bench.log.has("forgotten")


def test_one_camera_without_a_transform_does_not_stop_the_other(bench, frame):
    bench.send(frame, frame_id="elsewhere", camera="right")
    bench.wait_until(lambda: bench.node.estimation.worker.failed, "the frame's end")
    assert bench.log.has("no transform from 'elsewhere' to 'base'")
    assert len(see(bench, "left", frame).objects) == 1


def test_two_cameras_in_one_frame_are_told(bench, frame):
    see(bench, "left", frame)
    send(bench, "right", frame, frame_id="left_optical")
    bench.wait_until(lambda: bench.node.estimation.worker.failed, "the frame's end")
    assert bench.log.has("'left' and 'right' both publish images in the frame 'left_optical'")


@pytest.mark.parametrize(
    ("cameras", "world", "told"),
    [
        (("left", "right"), "", "set world_frame"),
        (("left", "left"), "base", "each name once"),
        (("left", "a/b"), "base", "'a/b': expected letters"),
        (("2nd",), "base", "not beginning with a digit"),
    ],
)
def test_wrong_cameras_are_told(cameras, world, told):
    with pytest.raises(ConfigurationError, match=told):
        camera_names(cameras, world)


def test_one_camera_needs_no_name():
    assert camera_names((), "") == ("",)
