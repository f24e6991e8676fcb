"""The camera's pose in the world, from transforms of a real graph."""

from __future__ import annotations

import numpy as np
import pytest
from pose_bench import Bench, stamped_header
from scipy.spatial.transform import Rotation
from tf2_msgs.msg import TFMessage
from tracker_fakes import FakeEstimator, make_tracker

from sdfpose_core.messages.objects import transform_arrays
from sdfpose_core.tracking.tracker import TrackState
from sdfpose_ros.graph.object_messages import transform_message

TURN = Rotation.from_euler("xyz", [-100, 20, 30], degrees=True).as_matrix()
PLACE = np.array([0.4, -0.2, 0.9])
UNOBSERVED = int(TrackState.UNOBSERVED)


@pytest.fixture
def make_bench(fakes, graph, wait_until):
    def make(*parameters, **options):
        arguments = [x for y in ("world_frame:=base", *parameters) for x in ("-p", y)]
        bench = Bench(fakes, graph, wait_until, *arguments, **options)
        bench.transforms = bench.client.create_publisher(TFMessage, "/tf", 10)
        wait_until(lambda: bench.node.count_publishers("/tf") > 1, "the publisher of /tf")
        wait_until(lambda: bench.transforms.get_subscription_count() > 1, "the node's listener")
        return bench

    return make


def tell(bench, stamp, rotation=TURN, translation=PLACE, parent="base", child="optical"):
    header = stamped_header(stamp, parent)
    transform = transform_message(rotation, np.asarray(translation, float), header, child)
    bench.transforms.publish(TFMessage(transforms=[transform]))


def beside(metres):
    """A place of the camera beside the usual one."""
    return PLACE + np.array([metres, 0.0, 0.0])


def next_stamp(bench, dt=0.1):
    return bench.now_ns + round(1e9 * dt)


def send_placed(bench, frame, rotation=TURN, translation=PLACE, **options):
    """A frame and the camera's pose at its time; gives the message of the objects."""
    tell(bench, next_stamp(bench), rotation, translation)
    return bench.send_and_wait(frame, **options)


def test_frames_have_the_pose_of_the_camera_at_their_time(fakes, make_bench):
    bench = make_bench("camera_pose_sd_m:=0.01", "camera_pose_sd_deg:=0.0")
    tell(bench, next_stamp(bench, 0.05), translation=beside(-0.1))
    tell(bench, next_stamp(bench, 0.15), translation=beside(0.1))
    message = bench.send_and_wait(fakes.make_frame())
    assert message.header.frame_id == "optical"
    (frame,) = bench.tracker.frames
    np.testing.assert_allclose(frame.camera_pose.rotation, TURN, atol=1e-9)
    np.testing.assert_allclose(frame.camera_pose.translation, PLACE, atol=1e-6)
    np.testing.assert_allclose(np.diag(frame.camera_pose.covariance), [1e-4] * 3 + [0.0] * 3)


def test_the_node_waits_for_transforms_that_are_late(fakes, make_bench):
    bench = make_bench("transform_timeout_s:=10.0")
    stamp = bench.send(fakes.make_frame())
    bench.wait_until(lambda: bench.node.estimation.worker.busy, "the frame")
    tell(bench, stamp)
    bench.result(stamp)
    assert not bench.log.has("no transform")


def test_images_without_a_transform_are_dropped_and_the_log_says_so_once(fakes, make_bench):
    bench = make_bench()
    send_placed(bench, fakes.make_frame())
    for _ in range(3):
        before = bench.node.estimation.worker.failed
        bench.send(fakes.make_frame(), dt=1.0)
        bench.wait_until(
            lambda n=before: bench.node.estimation.worker.failed > n, "the frame's end"
        )
    told = [x for x in bench.log.lines if "no transform from 'optical' to 'base'" in x]
    assert len(told) == 1
    send_placed(bench, fakes.make_frame())
    assert len(bench.tracker.frames) == 2
    assert bench.tracker.resets == 0  # no object is lost


def test_a_loop_in_the_tree_is_told(fakes, make_bench):
    bench = make_bench()
    stamp = next_stamp(bench)
    tell(bench, stamp, parent="hand")
    tell(bench, stamp, parent="optical", child="hand")
    bench.send(fakes.make_frame())
    bench.wait_until(lambda: bench.node.estimation.worker.failed, "the frame's end")
    assert bench.log.has("no transform from 'optical' to 'base'")


def test_a_camera_that_jumps_is_told(fakes, make_bench):
    bench = make_bench()
    send_placed(bench, fakes.make_frame())
    send_placed(bench, fakes.make_frame(), translation=beside(0.05))
    assert not bench.log.has("the camera jumps")
    send_placed(bench, fakes.make_frame(), translation=beside(0.85))
    assert bench.log.has("the camera jumps by 0.80 m", "odom, not one that a localisation")
    assert len(bench.tracker.frames) == 3


def test_objects_stay_in_the_world_while_the_camera_looks_away(fakes, make_bench):
    estimator = FakeEstimator()
    estimator.device = "stub"
    bench = make_bench(tracker=make_tracker(estimator))
    frame = fakes.make_frame(mask=np.pad(np.ones((10, 10), np.uint16), ((19, 19), (27, 27))))
    for _ in range(12):
        (seen,) = send_placed(bench, frame).objects
    away = TURN @ Rotation.from_euler("y", 90, degrees=True).as_matrix()
    empty = fakes.make_frame(())
    for _ in range(3):
        (gone,) = send_placed(bench, empty, away, dt=0.1).objects
    assert (gone.id, gone.state) == (seen.id, UNOBSERVED)
    by_parent = {}
    for message in bench.received["tf"]:
        for x in message.transforms:
            if x.child_frame_id.startswith("sdfpose/"):
                by_parent.setdefault(x.header.frame_id, []).append(transform_arrays(x.transform))
    assert by_parent.keys() == {"base"}
    places = np.array([translation for _, translation in by_parent["base"]])
    np.testing.assert_allclose(places[-1], places[-4], atol=1e-6)
    expected = TURN @ [0.0, 0.0, 0.8] + PLACE
    np.testing.assert_allclose(places[-1], expected, atol=0.02)
    (back,) = send_placed(bench, frame).objects
    assert back.id == seen.id
