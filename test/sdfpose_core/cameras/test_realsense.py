"""The adapter of RealSense cameras through the real library, with a device of its own making."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from sdfpose_core.cameras.camera import CameraSettings
from sdfpose_core.cameras.errors import (
    CameraAbsentError,
    CameraBusyError,
    CameraLostError,
    UnsupportedProfileError,
)
from sdfpose_core.cameras.rectification import Rectifier
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.simulation.rendering import render
from sdfpose_core.simulation.scene import CameraPose
from sdfpose_core.simulation.tabletop import orbit, table_scene

rs = pytest.importorskip(
    "pyrealsense2", reason="pyrealsense2 is not installed: pip install 'sdfpose[realsense]'"
)

from sdfpose_core.cameras.realsense import RealSenseCamera, find_device  # noqa: E402
from sdfpose_core.cameras.software_realsense import SoftwareRealSense  # noqa: E402

COLOUR = PinholeCamera(320, 240, 300.0, 301.0, 158.5, 121.0)
DEPTH = PinholeCamera(424, 240, 210.0, 210.0, 211.5, 119.5)
BASELINE_M = 0.05
PERIOD_NS = 33_333_333


@pytest.fixture(scope="module")
def views():
    """Colour, depth from the place of the depth camera, and depth as it has to be registered."""
    scene, pose = table_scene(), orbit(0.0)
    place = pose.translation - BASELINE_M * pose.rotation[:, 0]
    seen = render(scene, COLOUR, pose)
    measured = render(scene, DEPTH, CameraPose(pose.rotation, place), colour=False)
    return seen.colour, measured.depth, seen.depth


class Running:
    """A software device and the camera that reads it."""

    def __init__(self, settings=CameraSettings(320, 240, 30.0), **options):  # noqa: B008
        self.source = SoftwareRealSense(rs, COLOUR, DEPTH, baseline_m=BASELINE_M, **options)
        self.camera = RealSenseCamera(rs, settings, self.source.device)
        self.start_ns = time.time_ns()

    def send(self, views, number):
        colour, depth, _ = views
        self.source.send(colour, depth, self.start_ns + number * PERIOD_NS, number)


@pytest.fixture
def running():
    opened = []

    def start(*arguments, **options):
        opened.append(Running(*arguments, **options))
        return opened[-1]

    yield start
    for one in opened:
        one.camera.close()


def read_frames(running, views, count):
    """Send and read in turn; the first pair may be split until both streams are known."""
    running.send(views, 0)
    images = []
    for number in range(1, count + 1):
        time.sleep(0.03)
        running.send(views, number)
        images.append(running.camera.read(2.0))
    return images


def misplaced(depth_m, edges):
    """Share of the true edges without an edge of depth within a pixel."""
    found = np.abs(np.diff(depth_m, axis=1))[:, 1:-1] > 0.04
    near = cv2.dilate(found.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return np.mean(~near[edges])


def test_images_are_registered_in_the_right_unit_with_stamps_that_rise(running, views):
    one = running()
    images = read_frames(one, views, 12)
    numbers = [x.number for x in images]
    assert np.all(np.diff(numbers) == 1), "frames were lost"
    stamps = [x.stamp_ns for x in images]
    assert np.allclose(np.diff(stamps), PERIOD_NS, atol=1_000)
    assert abs(stamps[0] - (one.start_ns + numbers[0] * PERIOD_NS)) < 1_000
    last = images[-1]
    assert np.array_equal(last.colour, views[0])
    assert last.depth.shape == (240, 320)
    depth_m, truth_m = last.depth * last.depth_unit_m, views[2]
    both = (depth_m > 0) & (truth_m > 0)
    assert both.mean() > 0.6
    error = (depth_m / np.maximum(truth_m, 0.1) - 1.0)[both]
    # librealsense paints the area of each depth pixel, and the nearest surface wins: on a slope
    # that is up to half of such a pixel off, 0.25 % of the distance and more on a steep one.
    assert abs(np.median(error)) < 0.004
    assert np.mean(np.abs(error) < 0.01) > 0.9
    edges = np.abs(np.diff(truth_m, axis=1))[:, 1:-1] > 0.05
    unaligned = cv2.resize(views[1], (320, 240), interpolation=cv2.INTER_NEAREST)
    assert misplaced(depth_m, edges) < 0.3 * misplaced(unaligned, edges)


def test_images_that_are_kept_do_not_stop_the_camera(running, views):
    assert len(read_frames(running(), views, 40)) == 40, "librealsense has 16 frames"


def test_the_unit_of_depth_is_that_of_the_device(running, views):
    fine = running(depth_unit_m=0.0001)
    last = read_frames(fine, views, 2)[-1]
    assert last.depth_unit_m == pytest.approx(0.0001)
    middle = last.depth[100:140, 140:180].astype(float)
    assert np.median(middle) * 0.0001 == pytest.approx(
        float(np.median(views[2][100:140, 140:180])), rel=0.01
    )


def test_the_description_has_intrinsics_extrinsics_and_the_port(running):
    found = running(distortion=(-0.05, 0.06, 0.0004, -0.0006, -0.02)).camera.description
    assert (found.name, found.serial_number) == ("Software RealSense", "000000000001")
    assert found.connection == "USB 3.2"
    assert (found.camera.width, found.camera.height, found.rate_hz) == (320, 240, 30.0)
    assert np.allclose(found.camera.matrix, COLOUR.matrix)
    assert found.distortion.model == "plumb_bob"
    assert np.allclose(found.distortion.coefficients, (-0.05, 0.06, 0.0004, -0.0006, -0.02))
    assert np.allclose(found.colour_rotation, np.eye(3))
    assert np.allclose(found.colour_translation, (BASELINE_M, 0.0, 0.0))
    assert found.warnings == ()


def test_rectification_agrees_with_the_projection_of_librealsense():
    coefficients = (-0.055, 0.066, 0.0005, -0.0007, -0.021)
    source = SoftwareRealSense(rs, COLOUR, DEPTH, distortion=coefficients)
    camera = RealSenseCamera(rs, CameraSettings(320, 240, 30.0), source.device)
    found = camera.description
    model = rs.intrinsics()
    model.width, model.height = 320, 240
    model.fx, model.fy, model.ppx, model.ppy = 300.0, 301.0, 158.5, 121.0
    model.model, model.coeffs = rs.distortion.inverse_brown_conrady, list(coefficients)
    for x, y in ((0.0, 0.0), (0.45, 0.3), (-0.5, 0.38), (0.2, -0.37)):
        theirs = rs.rs2_project_point_to_pixel(model, [x, y, 1.0])
        ours, _ = cv2.projectPoints(
            np.array([[[x, y, 1.0]]]),
            np.zeros(3),
            np.zeros(3),
            found.camera.matrix,
            np.array(found.distortion.coefficients),
        )
        assert np.allclose(ours.ravel(), theirs, atol=0.02)
    assert not found.distortion.is_zero
    Rectifier(found.camera, found.distortion)
    camera.close()


@pytest.mark.parametrize("name", ["decimation", "spatial", "temporal", "hole_filling"])
def test_filters_keep_size_and_distance(running, views, name):
    settings = CameraSettings(320, 240, 30.0, filters=frozenset({name}))
    last = read_frames(running(settings), views, 3)[-1]
    assert last.depth.shape == (240, 320)
    middle = last.depth[100:140, 140:180] * last.depth_unit_m
    assert np.median(middle[middle > 0]) == pytest.approx(
        float(np.median(views[2][100:140, 140:180])), rel=0.02
    )


def test_hole_filling_invents_depth(running, views):
    colour, depth, truth = views
    holes = depth.copy()
    holes[:, 180:200] = 0.0
    plain = read_frames(running(), (colour, holes, truth), 2)[-1]
    settings = CameraSettings(320, 240, 30.0, filters=frozenset({"hole_filling"}))
    filled = read_frames(running(settings), (colour, holes, truth), 2)[-1]
    assert np.count_nonzero(filled.depth) > np.count_nonzero(plain.depth) + 1000


def test_a_profile_that_is_not_there_is_told_with_the_nearest_ones(running):
    with pytest.raises(
        UnsupportedProfileError, match=r"does not send 640x480 at 60 Hz.* 320x240 at 30 Hz, 320x240"
    ):
        running(CameraSettings(640, 480, 60.0), rates_hz=(30, 15))


def test_on_usb_2_a_smaller_profile_is_taken_with_a_warning(running):
    slow = running(CameraSettings(640, 480, 30.0), rates_hz=(15, 6), usb="2.1")
    found = slow.camera.description
    assert (found.camera.width, found.rate_hz) == (320, 15.0)
    assert "USB 2" in found.warnings[0]
    assert "in place of 640x480 at 30 Hz" in found.warnings[0]


def test_a_camera_that_goes_silent_is_lost(running, views):
    one = running()
    read_frames(one, views, 2)
    with pytest.raises(CameraLostError, match=r"no image for 0\.2 s"):
        one.camera.read(0.2)
    one.camera.close()
    one.camera.close()  # again, as after an error


def test_pairs_that_are_not_whole_are_left_out(running, views):
    one = running()
    read_frames(one, views, 2)
    one.source.send(views[0], None, one.start_ns + 3 * PERIOD_NS, 3)
    with pytest.raises(CameraLostError, match="no pairs of images"):
        one.camera.read(0.2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (CameraSettings(320, 240, exposure_us=8000), "exposure_us: .* does not have it"),
        (CameraSettings(320, 240, laser_power=0.5), "laser_power: .* does not have it"),
    ],
)
def test_options_that_the_device_lacks_are_refused(running, settings, message):
    with pytest.raises(ConfigurationError, match=message):
        running(settings)


def option_range(low, high, step, default):
    made = rs.option_range()  # its constructor takes step and default the wrong way round
    made.min, made.max, made.step, made.default = low, high, step, default
    return made


def with_options(settings):
    """The sensors of a device that has exposure and laser power, opened with the settings."""
    source = SoftwareRealSense(rs, COLOUR, DEPTH)
    source.colour_sensor.add_option(rs.option.exposure, option_range(1, 10_000, 1, 156), True)
    source.colour_sensor.add_option(rs.option.enable_auto_exposure, option_range(0, 1, 1, 1), True)
    source.depth_sensor.add_option(rs.option.laser_power, option_range(0, 360, 30, 150), True)
    RealSenseCamera(rs, settings, source.device).close()
    return source.colour_sensor, source.depth_sensor


def test_exposure_and_laser_power_are_set_in_the_units_of_the_device():
    colour, depth = with_options(CameraSettings(320, 240, exposure_us=8000, laser_power=0.5))
    assert colour.get_option(rs.option.exposure) == 80.0
    assert colour.get_option(rs.option.enable_auto_exposure) == 0.0
    assert depth.get_option(rs.option.laser_power) == 180.0
    colour, depth = with_options(CameraSettings(320, 240))
    assert colour.get_option(rs.option.enable_auto_exposure) == 1.0


def test_an_exposure_out_of_range_is_refused_with_the_range():
    with pytest.raises(ConfigurationError, match=r"expects 100 to 1e\+06"):
        with_options(CameraSettings(320, 240, exposure_us=50))


def test_a_device_that_streams_already_is_busy_and_streams_on(running, views):
    one = running()
    read_frames(one, views, 2)
    with pytest.raises(CameraBusyError, match=r"is busy \(.*\): expected that no other program"):
        RealSenseCamera(rs, CameraSettings(320, 240, 30.0), one.source.device)
    one.send(views, 3)
    assert one.camera.read(2.0).number == 3


def test_no_camera_is_a_message():
    with pytest.raises(CameraAbsentError, match="no RealSense camera found"):
        find_device(rs, "")
