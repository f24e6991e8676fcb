"""Azure Kinect, by the Azure Kinect SDK (package ``pyk4a``)."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import cv2
import numpy as np

from sdfpose_core.cameras.camera import (
    CameraDescription,
    CameraSettings,
    Distortion,
    RgbdImages,
    require_offered,
)
from sdfpose_core.cameras.clock import DeviceClock
from sdfpose_core.cameras.errors import CameraAbsentError, CameraLostError, open_error
from sdfpose_core.cameras.profiles import Profile, choose_profile, wanted_profile
from sdfpose_core.geometry.camera import PinholeCamera

__all__ = ["KinectCamera"]

_NAME = "Azure Kinect"
_DEFAULT = Profile(1280, 720, 30.0)
_SIZES = {
    (1280, 720): "RES_720P",
    (1920, 1080): "RES_1080P",
    (2048, 1536): "RES_1536P",
    (2560, 1440): "RES_1440P",
    (3840, 2160): "RES_2160P",
}
_RATES = {5.0: "FPS_5", 15.0: "FPS_15", 30.0: "FPS_30"}
_MILLIMETRE = 0.001


class KinectCamera:
    """An Azure Kinect that streams; see `RgbdCamera`.

    Colour and depth are paired and registered by the Azure Kinect SDK.

    Args:
        k4a: module ``pyk4a``.
        settings: what is wanted of it. It does not work at USB 2 at all.

    Raises:
        CameraError: there is no camera, it is busy, or it has no such profile.
        ConfigurationError: a setting is not offered.
    """

    def __init__(self, k4a: Any, settings: CameraSettings) -> None:
        require_offered(settings, _NAME, exposure=True, laser=False, filters=())
        self._k4a = k4a
        self._clock = DeviceClock()
        wanted = wanted_profile(settings, _DEFAULT)
        available = [Profile(*size, rate) for size in _SIZES for rate in _RATES]
        profile, _ = choose_profile(_NAME, wanted, available)
        self._rate_hz = profile.rate_hz
        config = k4a.Config(
            color_resolution=getattr(k4a.ColorResolution, _SIZES[profile.width, profile.height]),
            color_format=k4a.ImageFormat.COLOR_BGRA32,
            depth_mode=k4a.DepthMode.NFOV_UNBINNED,
            camera_fps=getattr(k4a.FPS, _RATES[profile.rate_hz]),
            synchronized_images_only=True,
        )
        self._camera = _find(k4a, config, settings.serial_number)
        try:
            self._camera.start()
            if settings.exposure_us:
                self._camera.exposure = settings.exposure_us
            self.description = self._describe(profile)
        except k4a.K4AException as error:
            self.close()
            raise open_error(_NAME, error) from error

    def read(self, timeout_s: float) -> RgbdImages:
        """See `RgbdCamera`."""
        try:
            capture = self._camera.get_capture(max(1, round(1000.0 * timeout_s)))
            arrival_ns = time.time_ns()
            colour, depth = capture.color, capture.transformed_depth
            device_us = capture.color_timestamp_usec
        except self._k4a.K4AException as error:  # of a timeout, too; neither has a text
            raise CameraLostError(
                f"{_NAME} sends no images: none for {timeout_s:g} s (was it unplugged?)"
            ) from error
        if colour is None or depth is None:
            raise CameraLostError(f"{_NAME} sends colour without depth, or the reverse")
        return RgbdImages(
            np.asarray(cv2.cvtColor(colour, cv2.COLOR_BGRA2RGB), dtype=np.uint8),
            depth,
            _MILLIMETRE,
            self._clock.stamp_ns(1000 * device_us, arrival_ns),
            round(device_us * 1e-6 * self._rate_hz),  # the SDK does not number its images
        )

    def close(self) -> None:
        """See `RgbdCamera`."""
        if not self._camera.opened:
            return
        with contextlib.suppress(self._k4a.K4AException):  # it may have been unplugged
            if self._camera.is_running:
                self._camera.stop()
            else:
                self._camera.close()

    def _describe(self, profile: Profile) -> CameraDescription:
        calibration, kinds = self._camera.calibration, self._k4a.CalibrationType
        rotation, translation = calibration.get_extrinsic_parameters(kinds.COLOR, kinds.DEPTH)
        coefficients = calibration.get_distortion_coefficients(kinds.COLOR)
        return CameraDescription(
            _NAME,
            self._camera.serial,
            "USB 3",
            profile.rate_hz,
            PinholeCamera.from_matrix(
                calibration.get_camera_matrix(kinds.COLOR), profile.width, profile.height
            ),
            Distortion("rational_polynomial", tuple(map(float, coefficients))),
            np.asarray(rotation, dtype=np.float64),
            np.asarray(translation, dtype=np.float64).reshape(3),
        )


def _find(k4a: Any, config: Any, serial_number: str) -> Any:
    """Return the open device of a serial number, or the first one.

    Raises:
        CameraUnavailableError: there is none, or it cannot be opened.
    """
    found = []
    for index in range(k4a.connected_device_count()):
        camera = k4a.PyK4A(config, device_id=index)
        try:
            camera.open()
        except k4a.K4AException as error:
            if serial_number:
                continue  # it may be another one, which is in use
            raise open_error(
                _NAME, RuntimeError("it is in use by another program, or not readable")
            ) from error
        found.append(camera.serial)
        if serial_number in ("", camera.serial):
            return camera
        camera.close()
    raise CameraAbsentError.of(_NAME, serial_number, found)
