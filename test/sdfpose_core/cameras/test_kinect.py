"""The adapter of the Azure Kinect on a fake of pyk4a; no device was at hand."""

from __future__ import annotations

from enum import Enum
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from camera_contract import check_camera, colour_pixels, depth_pixels

from sdfpose_core.cameras.camera import CameraSettings
from sdfpose_core.cameras.errors import (
    CameraAbsentError,
    CameraBusyError,
    CameraLostError,
    UnsupportedProfileError,
)
from sdfpose_core.cameras.kinect import KinectCamera
from sdfpose_core.errors import ConfigurationError


class FakeK4a:
    """The part of pyk4a that the adapter uses."""

    K4AException = type("K4AException", (Exception,), {})
    ColorResolution = Enum(
        "ColorResolution", "RES_720P RES_1080P RES_1440P RES_1536P RES_2160P RES_3072P"
    )
    ImageFormat = Enum("ImageFormat", "COLOR_BGRA32")
    DepthMode = Enum("DepthMode", "NFOV_UNBINNED")
    FPS = Enum("FPS", "FPS_5 FPS_15 FPS_30")
    CalibrationType = Enum("CalibrationType", "DEPTH COLOR")

    def __init__(self, serials=("K1", "K2")):
        self.serials, self.number = serials, 0
        self.busy = self.gone = False
        self.cameras = []

    def connected_device_count(self):
        return len(self.serials)

    def Config(self, **values):  # noqa: N802
        return SimpleNamespace(**values)

    def PyK4A(self, config, device_id):  # noqa: N802
        self.cameras.append(FakeDevice(self, config, self.serials[device_id]))
        return self.cameras[-1]


class FakeDevice:
    def __init__(self, sdk, config, serial):
        self.sdk, self.config, self.serial = sdk, config, serial
        self.opened = self.is_running = False
        self.exposure = None
        self.calibration = SimpleNamespace(
            get_extrinsic_parameters=lambda source, target: (
                np.eye(3),
                np.array([[0.032, 0.0, 0.0]]),
            ),
            get_camera_matrix=lambda _: np.array([[610, 0, 640], [0, 610, 360], [0, 0, 1.0]]),
            get_distortion_coefficients=lambda _: np.linspace(0.1, 0.8, 8),
        )

    def open(self):
        if self.sdk.busy:
            raise self.sdk.K4AException
        self.opened = True

    def start(self):
        self.is_running = True

    def close(self):
        self.opened = False

    def stop(self):
        self.opened = self.is_running = False

    def get_capture(self, timeout):
        assert isinstance(timeout, int)
        if self.sdk.gone:
            raise self.sdk.K4AException
        self.sdk.number += 1
        return SimpleNamespace(
            color=cv2.cvtColor(colour_pixels(720, 1280), cv2.COLOR_RGB2BGRA),
            transformed_depth=depth_pixels(720, 1280),
            color_timestamp_usec=round(1e6 * self.sdk.number / 30.0) + 11,
        )


def test_the_contract():
    k4a = FakeK4a()
    camera = KinectCamera(k4a, CameraSettings(serial_number="K2", exposure_us=8330))
    found = check_camera(camera, "K2")
    assert (found.camera.width, found.camera.height, found.rate_hz) == (1280, 720, 30.0)
    assert found.distortion.model == "rational_polynomial"
    first, second = k4a.cameras
    assert not first.opened
    assert second.exposure == 8330
    assert second.config.synchronized_images_only
    assert second.config.camera_fps == k4a.FPS.FPS_30
    camera.close()
    assert not second.opened
    camera.close()


def test_no_camera_and_a_busy_one_are_told():
    with pytest.raises(CameraAbsentError, match="no Azure Kinect found"):
        KinectCamera(FakeK4a(serials=()), CameraSettings())
    with pytest.raises(CameraAbsentError, match="K3: expected one of K1, K2"):
        KinectCamera(FakeK4a(), CameraSettings(serial_number="K3"))
    k4a = FakeK4a()
    k4a.busy = True
    with pytest.raises(CameraBusyError, match="Azure Kinect is busy"):
        KinectCamera(k4a, CameraSettings())


def test_a_silent_camera_is_lost():
    k4a = FakeK4a()
    camera = KinectCamera(k4a, CameraSettings())
    k4a.gone = True
    with pytest.raises(CameraLostError, match="Azure Kinect sends no images"):
        camera.read(0.1)


def test_what_it_does_not_have_is_refused():
    with pytest.raises(UnsupportedProfileError, match="nearest are 1280x720 at 30 Hz"):
        KinectCamera(FakeK4a(), CameraSettings(width=640, height=480))
    with pytest.raises(ConfigurationError, match="cannot set the projector of Azure Kinect"):
        KinectCamera(FakeK4a(), CameraSettings(laser_power=0.5))
    with pytest.raises(ConfigurationError, match="plays no recordings of Azure Kinect"):
        KinectCamera(FakeK4a(), CameraSettings(bag="run.mkv"))
