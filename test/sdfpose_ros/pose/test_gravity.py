"""The direction of gravity in the frames that the pose node estimates, in a real graph."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from pose_bench import Bench, stamped_header
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import Imu
from std_msgs.msg import Header

from sdfpose_core.observation.input_warnings import InputWarning
from sdfpose_ros import stand_ins
from sdfpose_ros.graph.object_messages import transform_message

UP = np.array([0.0, -0.8, -0.6])
"""A camera that looks down on a table."""

CAMERA_IN_MAP = Rotation.from_euler("xyz", [-120, 10, 30], degrees=True).as_matrix()
IMU_IN_CAMERA = Rotation.from_euler("xz", [90, 20], degrees=True).as_matrix()


class TransformException(Exception):  # noqa: N818
    pass


@pytest.fixture
def transforms(monkeypatch):
    """A tf2_ros that knows how to turn from the map and the IMU to the camera."""
    known = {("optical", "map"): CAMERA_IN_MAP.T, ("optical", "imu"): IMU_IN_CAMERA}

    class Buffer:
        def lookup_transform(self, target, source, time, timeout):
            if (target, source) not in known:
                raise TransformException(f"no {source}")
            return transform_message(
                known[target, source], np.ones(3), Header(frame_id=target), source
            )

    listener = SimpleNamespace(unregister=lambda: None)
    fake = SimpleNamespace(
        Buffer=Buffer,
        TransformListener=lambda *_: listener,
        TransformException=TransformException,
    )
    monkeypatch.setattr(stand_ins, "tf2_ros", fake)
    return known


@pytest.fixture
def make_bench(fakes, graph, wait_until):
    def make(*parameters, **options):
        arguments = [part for x in parameters for part in ("-p", x)]
        reliable = "qos_overrides./sdfpose/imu.subscription.reliability:=reliable"
        bench = Bench(fakes, graph, wait_until, *arguments, "-p", reliable, **options)
        bench.imu = bench.client.create_publisher(Imu, "/sdfpose/imu", 10)
        if "use_imu:=true" in parameters:
            wait_until(bench.imu.get_subscription_count, "the subscription to the IMU")
        return bench

    return make


def send_imu(bench, acceleration, frame_id="optical", seconds_before=0.0):
    """Publish a sample of the time of the next image, or earlier, and wait until it is there."""
    stamp = bench.now_ns + round(1e9 * (0.1 - seconds_before))
    message = Imu(header=stamped_header(stamp, frame_id))
    a = message.linear_acceleration
    a.x, a.y, a.z = (float(x) for x in acceleration)
    imu = bench.node._gravity._subscriptions
    before = imu.received["/sdfpose/imu"]
    bench.imu.publish(message)
    bench.wait_until(lambda: imu.received["/sdfpose/imu"] > before, "the sample")


def up_of_next_frame(bench, fakes):
    bench.send_and_wait(fakes.make_frame())
    return bench.tracker.frames[-1].up


def test_without_parameters_gravity_is_unknown_and_nothing_is_said(fakes, make_bench):
    bench = make_bench()
    assert up_of_next_frame(bench, fakes) is None
    assert not bench.log.has("gravity")


def test_the_z_axis_of_the_gravity_frame_points_up(fakes, make_bench, transforms):
    bench = make_bench("gravity_frame:=map")
    up = up_of_next_frame(bench, fakes)
    np.testing.assert_allclose(up, CAMERA_IN_MAP.T @ [0.0, 0.0, 1.0], atol=1e-9)
    np.testing.assert_allclose(CAMERA_IN_MAP @ up, [0.0, 0.0, 1.0], atol=1e-9)


def test_without_the_transform_frames_go_on_and_the_log_says_so_once(fakes, make_bench, transforms):
    bench = make_bench("gravity_frame:=odom")
    for _ in range(3):
        assert up_of_next_frame(bench, fakes) is None
    told = [x for x in bench.log.lines if "gravity is not used" in x]
    assert len(told) == 1
    assert "no transform from 'odom' to 'optical'" in told[0]


def test_an_imu_in_the_frame_of_the_images_needs_no_transform(fakes, make_bench):
    bench = make_bench("use_imu:=true")
    send_imu(bench, 9.81 * UP)
    np.testing.assert_allclose(up_of_next_frame(bench, fakes), UP, atol=1e-9)


def test_an_imu_in_its_own_frame_is_turned_into_that_of_the_images(fakes, make_bench, transforms):
    bench = make_bench("use_imu:=true")
    send_imu(bench, 9.81 * IMU_IN_CAMERA.T @ UP, frame_id="imu")
    np.testing.assert_allclose(up_of_next_frame(bench, fakes), UP, atol=1e-9)


def test_an_imu_in_an_unknown_frame_is_not_used(fakes, make_bench):
    bench = make_bench("use_imu:=true")
    send_imu(bench, 9.81 * UP, frame_id="imu")
    assert up_of_next_frame(bench, fakes) is None
    assert bench.log.has("no transform from 'imu' to 'optical'", "gravity is not used")


@pytest.mark.parametrize("seconds_before", [None, 3.0])
def test_frames_go_on_with_a_silent_imu_and_the_log_says_so_once(
    fakes, make_bench, transforms, seconds_before
):
    bench = make_bench("use_imu:=true")
    if seconds_before is not None:
        send_imu(bench, 9.81 * UP, seconds_before=seconds_before)
    for _ in range(3):
        assert up_of_next_frame(bench, fakes) is None
    told = [x for x in bench.log.lines if "gravity is not used" in x]
    assert len(told) == 1
    assert "/sdfpose/imu: no acceleration" in told[0]


def test_the_imu_stands_in_for_a_missing_gravity_frame(fakes, make_bench, transforms):
    bench = make_bench("gravity_frame:=odom", "use_imu:=true")
    send_imu(bench, 9.81 * UP)
    np.testing.assert_allclose(up_of_next_frame(bench, fakes), UP, atol=1e-9)
    assert bench.log.has("no transform from 'odom'", "the IMU is tried")
    assert not bench.log.has("gravity is not used")
    transforms["optical", "odom"] = CAMERA_IN_MAP.T
    np.testing.assert_allclose(up_of_next_frame(bench, fakes), CAMERA_IN_MAP.T[:, 2], atol=1e-9)


@pytest.mark.parametrize(
    "acceleration", [[np.nan] * 3, [np.inf, 0.0, 0.0], [0.0] * 3, 2.0 * 9.81 * UP, UP]
)
def test_accelerations_that_are_not_gravity_are_a_silent_imu(fakes, make_bench, acceleration):
    bench = make_bench("use_imu:=true")
    send_imu(bench, acceleration)
    assert up_of_next_frame(bench, fakes) is None
    assert bench.log.has("/sdfpose/imu: no acceleration", "gravity is not used")


def test_accelerations_of_before_a_jump_back_in_time_are_forgotten(fakes, make_bench):
    bench = make_bench("use_imu:=true")
    for _ in range(3):  # the jump is to a time that the IMU has seen
        send_imu(bench, 9.81 * UP)
        assert up_of_next_frame(bench, fakes) is not None
        bench.now_ns += 2_000_000_000
    bench.send_and_wait(fakes.make_frame(), dt=-4.2)
    assert bench.log.has("time jumped back")
    assert bench.tracker.frames[-1].up is None


def test_cues_that_the_tracker_does_not_use_are_told_once(fakes, make_bench):
    class Telling(fakes.StubTracker):
        def step(self, frame):
            told = InputWarning("gravity", "the planes contradict it: gravity is not used")
            return dataclasses.replace(super().step(frame), warnings=[told])

    bench = make_bench(tracker=Telling())
    for _ in range(3):
        assert len(bench.send_and_wait(fakes.make_frame()).objects) == 1
    bench.wait_until(lambda: bench.log.has("the planes contradict it"), "the warning")
    assert sum("the planes contradict it" in x for x in bench.log.lines) == 1
