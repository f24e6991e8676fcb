"""Orbbec cameras (Gemini, Femto, Astra 2), by the Orbbec SDK 2 (package ``pyorbbecsdk2``)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.cameras.camera import (
    CameraDescription,
    CameraSettings,
    Distortion,
    RgbdImages,
    choose_device,
    require_offered,
)
from sdfpose_core.cameras.clock import DeviceClock
from sdfpose_core.cameras.errors import (
    CameraLostError,
    open_error,
)
from sdfpose_core.cameras.profiles import Profile, choose_profile, wanted_profile
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.geometry.camera import PinholeCamera

__all__ = ["OrbbecCamera"]

_DEFAULT = Profile(640, 480, 30.0)
_MILLIMETRE = 0.001


class OrbbecCamera:
    """An Orbbec camera that streams; see `RgbdCamera`.

    Colour and depth are paired and registered by the Orbbec SDK.

    Args:
        ob: module ``pyorbbecsdk``.
        settings: what is wanted of it. The unit of an exposure depends on the model, so that none
            is set.

    Raises:
        CameraError: there is no camera, it is busy, or it has no such profile.
        ConfigurationError: a setting is not offered.
    """

    def __init__(self, ob: Any, settings: CameraSettings) -> None:
        require_offered(settings, "Orbbec cameras", exposure=False, laser=True, filters=())
        self._ob = ob
        self._clock = DeviceClock()
        self._context = ob.Context()  # its devices end with it
        self._device = _find(ob, self._context, settings.serial_number)
        info = self._device.get_device_info()
        self._name = info.get_name()
        try:
            self._pipeline = ob.Pipeline(self._device)
            connection = info.get_connection_type()
            colour, depth, warnings = self._choose(settings, slow="USB2" in connection)
            if settings.laser_power >= 0.0:
                self._set_laser(settings.laser_power)
            config = ob.Config()
            config.enable_stream(colour)
            config.enable_stream(depth)
            config.set_frame_aggregate_output_mode(ob.OBFrameAggregateOutputMode.FULL_FRAME_REQUIRE)
            self._pipeline.enable_frame_sync()
            self._pipeline.start(config)
        except ob.OBError as error:
            raise open_error(self._name, error) from error
        self._align = ob.AlignFilter(align_to_stream=ob.OBStreamType.COLOR_STREAM)
        camera, distortion = _intrinsics(ob, colour)
        to_depth = colour.get_extrinsic_to(depth)
        self.description = CameraDescription(
            self._name,
            info.get_serial_number(),
            connection,
            float(colour.get_fps()),
            camera,
            distortion,
            np.asarray(to_depth.rot, dtype=np.float64).reshape(3, 3),
            np.asarray(to_depth.transform, dtype=np.float64).reshape(3) * _MILLIMETRE,
            warnings,
        )

    def read(self, timeout_s: float) -> RgbdImages:
        """See `RgbdCamera`."""
        try:
            frames = self._pipeline.wait_for_frames(max(1, round(1000.0 * timeout_s)))
            arrival_ns = time.time_ns()
            if frames is None:
                raise CameraLostError(f"{self._name} sends no images: none for {timeout_s:g} s")
            frames = self._align.process(frames).as_frame_set()
            colour, depth = frames.get_color_frame(), frames.get_depth_frame()
            if colour is None or depth is None:
                raise CameraLostError(f"{self._name} sends colour without depth, or the reverse")
            size = depth.get_height(), depth.get_width()
            return RgbdImages(
                self._rgb(colour),
                np.frombuffer(depth.get_data(), dtype=np.uint16).reshape(size),
                depth.get_depth_scale() * _MILLIMETRE,
                self._clock.stamp_ns(1000 * colour.get_timestamp_us(), arrival_ns),
                colour.get_index(),
            )
        except self._ob.OBError as error:
            raise CameraLostError(f"{self._name} was lost ({error})") from error

    def close(self) -> None:
        """See `RgbdCamera`."""
        with contextlib.suppress(self._ob.OBError):  # it may have been unplugged
            self._pipeline.stop()

    def _choose(self, settings: CameraSettings, *, slow: bool) -> tuple[Any, Any, tuple[str, ...]]:
        """Choose the profiles of colour and depth, and say what the user should know."""
        ob = self._ob
        formats = {ob.OBFormat.RGB: 0, ob.OBFormat.MJPG: 1}  # preferred first
        colours = [
            x for x in self._profiles(ob.OBSensorType.COLOR_SENSOR) if x.get_format() in formats
        ]
        depths = [
            x
            for x in self._profiles(ob.OBSensorType.DEPTH_SENSOR)
            if x.get_format() == ob.OBFormat.Y16
        ]
        rates = {x.get_fps() for x in depths}
        colours = [x for x in colours if x.get_fps() in rates]
        wanted = wanted_profile(settings, _DEFAULT)
        chosen, warnings = choose_profile(
            self._name, wanted, [_profile(x) for x in colours], slow=slow
        )
        fitting = [x for x in colours if _profile(x) == chosen]
        same_rate = [x for x in depths if x.get_fps() == chosen.rate_hz]
        return (
            min(fitting, key=lambda x: formats[x.get_format()]),
            min(same_rate, key=lambda x: _profile(x).distance(chosen)),
            warnings,
        )

    def _profiles(self, sensor: Any) -> Iterator[Any]:
        profiles = self._pipeline.get_stream_profile_list(sensor)
        for i in range(profiles.get_count()):
            yield profiles.get_stream_profile_by_index(i).as_video_stream_profile()

    def _set_laser(self, share: float) -> None:
        ob = self._ob
        option = ob.OBPropertyID.OB_PROP_LASER_POWER_LEVEL_CONTROL_INT
        if not self._device.is_property_supported(option, ob.OBPermissionType.PERMISSION_WRITE):
            raise ConfigurationError(
                f"laser_power: {self._name} has no levels of it: expected a negative value"
            )
        limits = self._device.get_int_property_range(option)
        level = round(limits.min + share * (limits.max - limits.min))
        self._device.set_int_property(option, level)

    def _rgb(self, frame: Any) -> NDArray[np.uint8]:
        data = np.frombuffer(frame.get_data(), dtype=np.uint8)
        if frame.get_format() == self._ob.OBFormat.RGB:
            return data.reshape(frame.get_height(), frame.get_width(), 3)
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
        if decoded is None:
            raise CameraLostError(f"{self._name} sends damaged images: try another cable or port")
        return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _find(ob: Any, context: Any, serial_number: str) -> Any:
    """Return the device of a serial number, or the first one.

    Raises:
        CameraUnavailableError: there is none, or it cannot be opened.
    """
    devices = context.query_devices()
    count = devices.get_count()
    found = {devices.get_device_serial_number_by_index(i): i for i in range(count)}
    index = choose_device(found, serial_number, "Orbbec camera")
    try:
        return devices.get_device_by_index(index)
    except ob.OBError as error:
        raise open_error(devices.get_device_name_by_index(index), error) from error


def _profile(x: Any) -> Profile:
    return Profile(x.get_width(), x.get_height(), float(x.get_fps()))


def _intrinsics(ob: Any, profile: Any) -> tuple[PinholeCamera, Distortion]:
    k, d = profile.get_intrinsic(), profile.get_distortion()
    camera = PinholeCamera(k.width, k.height, k.fx, k.fy, k.cx, k.cy)
    models = ob.OBCameraDistortionModel
    if d.model == models.NONE:
        return camera, Distortion()
    if d.model == models.KANNALA_BRANDT4:
        return camera, Distortion("equidistant", (d.k1, d.k2, d.k3, d.k4))
    if d.model == models.BROWN_CONRADY_K6:
        six = (d.k1, d.k2, d.p1, d.p2, d.k3, d.k4, d.k5, d.k6)
        return camera, Distortion("rational_polynomial", six)
    return camera, Distortion("plumb_bob", (d.k1, d.k2, d.p1, d.p2, d.k3))
