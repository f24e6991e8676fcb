"""OAK cameras with stereo depth (OAK-D and later), by DepthAI 3 (package ``depthai``)."""

from __future__ import annotations

import contextlib
import time
from datetime import timedelta
from typing import Any

import cv2
import numpy as np

from sdfpose_core.cameras.camera import (
    CameraDescription,
    CameraSettings,
    RgbdImages,
    choose_device,
    require_offered,
)
from sdfpose_core.cameras.errors import CameraError, CameraLostError, open_error
from sdfpose_core.cameras.profiles import Profile, choose_profile, wanted_profile
from sdfpose_core.geometry.camera import PinholeCamera

__all__ = ["OakCamera"]

_DEFAULT = Profile(640, 480, 15.0)
_RATES_HZ = (5.0, 10.0, 15.0, 20.0, 30.0)
_SIZES = ((640, 400), (640, 480), (1280, 720), (1280, 800), (1280, 960))
"""The device scales and crops to any size; these are those that its stereo keeps up with."""

_STEREO_SIZE = (640, 400)
_ISO = 800
"""Sensitivity with a fixed exposure: DepthAI sets both together."""

_MILLIMETRE = 0.001
_FIRST_IMAGE_S = 10.0
"""Longest wait for the first image, whose message has the intrinsics."""


class OakCamera:
    """An OAK camera that streams; see `RgbdCamera`.

    Stereo matching, registration, pairing and rectification run on the device.

    Args:
        dai: module ``depthai``.
        settings: what is wanted of it.

    Raises:
        CameraError: there is no camera, it is busy, or it has no such profile.
        ConfigurationError: a setting is not offered.
    """

    def __init__(self, dai: Any, settings: CameraSettings) -> None:
        require_offered(settings, "OAK cameras", exposure=True, laser=True, filters=())
        self._dai = dai
        found = {x.getDeviceId(): x for x in dai.Device.getAllAvailableDevices()}
        info = choose_device(found, settings.serial_number, "OAK camera")
        self._name = "OAK"
        try:
            self._device = dai.Device(info)
        except RuntimeError as error:
            raise open_error(f"OAK {info.getDeviceId()}", error) from error
        self._pipeline: Any = None
        try:
            self._name = self._device.getProductName()
            speed = self._device.getUsbSpeed()
            slow = speed in (dai.UsbSpeed.HIGH, dai.UsbSpeed.FULL, dai.UsbSpeed.LOW)
            wanted = wanted_profile(settings, _DEFAULT)
            available = [Profile(*size, rate) for size in _SIZES for rate in _RATES_HZ]
            profile, warnings = choose_profile(self._name, wanted, available, slow=slow)
            self._pipeline, self._queue = self._build(profile, settings)
            self._pipeline.start()
            if settings.laser_power >= 0.0:
                self._device.setIrLaserDotProjectorIntensity(settings.laser_power)
            group = self._queue.get(timedelta(seconds=_FIRST_IMAGE_S))
        except RuntimeError as error:
            self.close()
            raise open_error(self._name, error) from error
        except CameraError:
            self.close()
            raise
        if group is None:
            self.close()
            raise CameraLostError(f"{self._name} sends no image within {_FIRST_IMAGE_S:g} s")
        k = group["colour"].getTransformation().getIntrinsicMatrix()
        rotation, translation = self._extrinsics()
        self.description = CameraDescription(
            self._name,
            self._device.getDeviceId(),
            f"USB {speed.name}",
            profile.rate_hz,
            PinholeCamera.from_matrix(k, profile.width, profile.height),
            colour_rotation=rotation,
            colour_translation=translation,
            warnings=warnings,
        )

    def read(self, timeout_s: float) -> RgbdImages:
        """See `RgbdCamera`."""
        try:
            group = self._queue.get(timedelta(seconds=timeout_s))
        except (RuntimeError, self._dai.MessageQueue.QueueException) as error:
            raise CameraLostError(f"{self._name} was lost ({error})") from error
        if group is None:
            raise CameraLostError(f"{self._name} sends no images: none for {timeout_s:g} s")
        colour, depth = group["colour"], group["depth"]
        age = self._dai.Clock.now() - colour.getTimestamp()
        return RgbdImages(
            np.asarray(cv2.cvtColor(colour.getCvFrame(), cv2.COLOR_BGR2RGB), dtype=np.uint8),
            np.asarray(depth.getFrame(), dtype=np.uint16),
            _MILLIMETRE,
            time.time_ns() - age // timedelta(microseconds=1) * 1000,
            colour.getSequenceNum(),
        )

    def close(self) -> None:
        """See `RgbdCamera`."""
        with contextlib.suppress(RuntimeError):  # it may have been unplugged
            if self._pipeline is not None:
                self._pipeline.stop()
        with contextlib.suppress(RuntimeError):
            self._device.close()

    def _build(self, profile: Profile, settings: CameraSettings) -> tuple[Any, Any]:
        """Build the pipeline of the device, and return it with the queue of its pairs."""
        dai = self._dai
        pipeline = dai.Pipeline(self._device)
        sockets = dai.CameraBoardSocket
        camera = pipeline.create(dai.node.Camera).build(sockets.CAM_A)
        left = pipeline.create(dai.node.Camera).build(sockets.CAM_B)
        right = pipeline.create(dai.node.Camera).build(sockets.CAM_C)
        stereo = pipeline.create(dai.node.StereoDepth)
        sync = pipeline.create(dai.node.Sync)
        sync.setSyncThreshold(timedelta(seconds=0.5 / profile.rate_hz))
        if settings.exposure_us:
            camera.initialControl.setManualExposure(settings.exposure_us, _ISO)
        colour = camera.requestOutput(
            (profile.width, profile.height), fps=profile.rate_hz, enableUndistortion=True
        )
        left.requestOutput(_STEREO_SIZE, fps=profile.rate_hz).link(stereo.left)
        right.requestOutput(_STEREO_SIZE, fps=profile.rate_hz).link(stereo.right)
        if self._device.getPlatform() == dai.Platform.RVC4:
            align = pipeline.create(dai.node.ImageAlign)
            stereo.depth.link(align.input)
            colour.link(align.inputAlignTo)
            depth = align.outputAligned
        else:
            colour.link(stereo.inputAlignTo)
            depth = stereo.depth
        colour.link(sync.inputs["colour"])
        depth.link(sync.inputs["depth"])
        return pipeline, sync.out.createOutputQueue(maxSize=4, blocking=False)

    def _extrinsics(self) -> tuple[Any, Any]:
        """Rotation and translation from the colour camera to the right one of the stereo pair."""
        sockets = self._dai.CameraBoardSocket
        matrix = np.array(
            self._device.readCalibration().getCameraExtrinsics(
                sockets.CAM_A, sockets.CAM_C, unit=self._dai.LengthUnit.METER
            )
        )
        return matrix[:3, :3], matrix[:3, 3]
