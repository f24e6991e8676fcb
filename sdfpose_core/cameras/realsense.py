"""RealSense cameras, by librealsense (package ``pyrealsense2``)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sdfpose_core.cameras.camera import (
    FILTERS,
    CameraDescription,
    CameraSettings,
    DepthFilter,
    Distortion,
    RgbdImages,
    choose_device,
    require_offered,
)
from sdfpose_core.cameras.clock import DeviceClock
from sdfpose_core.cameras.errors import CameraLostError, UnsupportedProfileError, open_error
from sdfpose_core.cameras.profiles import Profile, choose_profile, wanted_profile
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.geometry.camera import PinholeCamera

__all__ = ["RealSenseCamera", "find_device"]

_DEFAULT = Profile(640, 480, 30.0)

_QUEUED = 5
"""Pairs of images that wait for this process when it is late; the oldest are dropped."""

_RGB_EXPOSURE_UNIT_US = 100.0
"""Unit of the exposure of RGB sensors (UVC); stereo sensors count microseconds."""

_NS_PER_MS = 1e6


def find_device(rs: Any, serial_number: str) -> Any:
    """Return the device of a serial number, or the first one.

    Raises:
        CameraAbsentError: there is none.
    """
    found = {}
    for device in rs.context().query_devices():
        if device.supports(rs.camera_info.serial_number):
            found[device.get_info(rs.camera_info.serial_number)] = device
    return choose_device(found, serial_number, "RealSense camera")


@dataclass(frozen=True)
class _Stream:
    """A stream profile and the sensor that sends it."""

    sensor: Any
    video: Any

    @property
    def profile(self) -> Profile:
        return Profile(self.video.width(), self.video.height(), float(self.video.fps()))


class RealSenseCamera:
    """A RealSense camera that streams; see `RgbdCamera`.

    Colour and depth are paired, filtered and registered by librealsense.

    Args:
        rs: module ``pyrealsense2``.
        settings: what is wanted of it.
        device: the device, which may be a ``software_device`` or a recording (``playback``); None
            to look for it. A recording has the profile that was recorded, and its settings stay;
            its stamps are converted to the clock of this machine.

    Raises:
        CameraError: there is none, it is busy, or it has no such profile.
        ConfigurationError: a setting is out of range.
    """

    def __init__(self, rs: Any, settings: CameraSettings, device: Any = None) -> None:
        self._rs = rs
        self._device = find_device(rs, settings.serial_number) if device is None else device
        self._recorded = bool(self._device.is_playback())
        live = not self._recorded
        require_offered(
            settings,
            "RealSense" if live else "a recording",
            exposure=live,
            laser=live,
            filters=FILTERS,
            bags=True,
        )
        self._name = self._info(rs.camera_info.name, "RealSense")
        self._clock = DeviceClock()
        usb = self._info(rs.camera_info.usb_type_descriptor, "")
        colour, depth, warnings = self._choose(settings, slow=live and usb.startswith("2"))
        self._unit_m = float(depth.sensor.as_depth_sensor().get_depth_scale())
        self._filters = _filter_chain(rs, settings.filters)
        self._align = rs.align(rs.stream.color)
        self._syncer = rs.syncer(_QUEUED)
        self._sensors: list[Any] = []
        try:
            if live:
                self._configure(colour.sensor, depth.sensor, settings)
            self._start(colour, depth)
        except RuntimeError as error:
            self.close()
            raise open_error(self._name, error) from error
        self.description = self._describe(colour, depth, usb, warnings)

    def read(self, timeout_s: float) -> RgbdImages:
        """See `RgbdCamera`."""
        end_s = time.monotonic() + timeout_s
        while (rest_s := end_s - time.monotonic()) > 0.0:
            there, frames = self._syncer.try_wait_for_frames(max(1, round(1000.0 * rest_s)))
            arrival_ns = time.time_ns()
            if there and frames.size() > 1:  # the pair of an image may be lost on its way
                return self._images(frames, arrival_ns)
        state = "sends no pairs of images" if self._device.is_connected() else "was unplugged"
        raise CameraLostError(f"{self._name} {state}: no image for {timeout_s:g} s")

    def close(self) -> None:
        """See `RgbdCamera`."""
        sensors, self._sensors = self._sensors, []
        for sensor in sensors:
            with contextlib.suppress(RuntimeError):  # it may have been unplugged
                sensor.stop()
            with contextlib.suppress(RuntimeError):
                sensor.close()

    def _info(self, key: Any, default: str) -> str:
        return self._device.get_info(key) if self._device.supports(key) else default

    def _choose(
        self, settings: CameraSettings, *, slow: bool
    ) -> tuple[_Stream, _Stream, tuple[str, ...]]:
        """Choose the streams of colour and depth, and say what the user should know.

        Raises:
            UnsupportedProfileError: there are no such ones.
        """
        rs = self._rs
        formats = (rs.format.rgb8, rs.format.bgr8) if self._recorded else (rs.format.rgb8,)
        colours = list(self._streams(rs.stream.color, formats))
        depths = list(self._streams(rs.stream.depth, (rs.format.z16,)))
        if self._recorded and not (colours and depths):
            raise UnsupportedProfileError(
                f"the recording of {self._name} has not both streams: expected colour as rgb8 or "
                "bgr8, and depth as z16"
            )
        rates = {x.profile.rate_hz for x in depths}
        available = [x.profile for x in colours if x.profile.rate_hz in rates]
        wanted = wanted_profile(settings, colours[0].profile if self._recorded else _DEFAULT)
        chosen, warnings = choose_profile(self._name, wanted, available, slow=slow)
        colour = next(x for x in colours if x.profile == chosen)
        same_rate = [x for x in depths if x.profile.rate_hz == chosen.rate_hz]
        return colour, min(same_rate, key=lambda x: x.profile.distance(chosen)), warnings

    def _streams(self, kind: Any, formats: tuple[Any, ...]) -> Iterator[_Stream]:
        for sensor in self._device.query_sensors():
            for profile in sensor.get_stream_profiles():
                if profile.stream_type() == kind and profile.format() in formats:
                    yield _Stream(sensor, profile.as_video_stream_profile())

    def _configure(self, colour: Any, depth: Any, settings: CameraSettings) -> None:
        option = self._rs.option
        for sensor in (colour, depth):
            if sensor.supports(option.global_time_enabled):
                sensor.set_option(option.global_time_enabled, 1.0)
        if colour.supports(option.enable_auto_exposure):
            colour.set_option(option.enable_auto_exposure, 0.0 if settings.exposure_us else 1.0)
        if settings.exposure_us:
            unit_us = 1.0 if colour.is_depth_sensor() else _RGB_EXPOSURE_UNIT_US
            value = settings.exposure_us / unit_us
            self._set(colour, option.exposure, "exposure_us", lambda _: value, unit_us)
        if settings.laser_power >= 0.0:
            share = settings.laser_power
            self._set(
                depth, option.laser_power, "laser_power", lambda x: x.min + share * (x.max - x.min)
            )

    def _set(
        self, sensor: Any, option: Any, name: str, value: Callable[[Any], float], unit: float = 1.0
    ) -> None:
        """Set an option to a value that may depend on its range, rounded to its step.

        Raises:
            ConfigurationError: the sensor has no such option, or the value is out of range.
        """
        if not sensor.supports(option):
            raise ConfigurationError(f"{name}: {self._name} does not have it: expected its default")
        limits = sensor.get_option_range(option)
        wanted = value(limits)
        if not limits.min <= wanted <= limits.max:
            raise ConfigurationError(
                f"{name} is {wanted * unit:g}: {self._name} expects {limits.min * unit:g} to "
                f"{limits.max * unit:g}"
            )
        steps = round((wanted - limits.min) / limits.step) if limits.step else 0
        sensor.set_option(option, limits.min + steps * limits.step if limits.step else wanted)

    def _start(self, colour: _Stream, depth: _Stream) -> None:
        """Start the sensors; a D405 has one for both streams."""
        same = self._sensor_name(colour.sensor) == self._sensor_name(depth.sensor)
        groups = [(depth, [depth.video, colour.video])] if same else [
            (x, [x.video]) for x in (depth, colour)
        ]  # fmt: skip
        for stream, profiles in groups:
            stream.sensor.open(profiles)
            self._sensors.append(stream.sensor)
        for sensor in self._sensors:
            sensor.start(self._syncer)

    def _sensor_name(self, sensor: Any) -> str:
        return sensor.get_info(self._rs.camera_info.name)

    def _images(self, frames: Any, arrival_ns: int) -> RgbdImages:
        for block in self._filters:
            frames = block.process(frames).as_frameset()
        frames = self._align.process(frames)
        colour, depth = frames.get_color_frame(), frames.get_depth_frame()
        stamp_ns = round(colour.get_timestamp() * _NS_PER_MS)
        domain = colour.get_frame_timestamp_domain()
        if self._recorded or domain == self._rs.timestamp_domain.hardware_clock:
            stamp_ns = self._clock.stamp_ns(stamp_ns, arrival_ns)
        pixels = np.asanyarray(colour.get_data())
        # Copies: librealsense has few frames, and stops when all of them are held.
        swapped = colour.get_profile().format() == self._rs.format.bgr8
        return RgbdImages(
            np.array(pixels[..., ::-1] if swapped else pixels, order="C"),
            np.array(depth.get_data()),
            self._unit_m,
            stamp_ns,
            colour.get_frame_number(),
        )

    def _describe(
        self, colour: _Stream, depth: _Stream, usb: str, warnings: tuple[str, ...]
    ) -> CameraDescription:
        camera, distortion = _intrinsics(self._rs, colour.video.get_intrinsics())
        to_depth = colour.video.get_extrinsics_to(depth.video)
        return CameraDescription(
            self._name,
            self._info(self._rs.camera_info.serial_number, ""),
            f"USB {usb}" if usb else "",
            colour.profile.rate_hz,
            camera,
            distortion,
            np.array(to_depth.rotation, dtype=np.float64).reshape(3, 3).T,  # column by column
            np.array(to_depth.translation, dtype=np.float64),
            warnings,
        )


def _intrinsics(rs: Any, x: Any) -> tuple[PinholeCamera, Distortion]:
    """Convert intrinsics.

    The tangential terms of librealsense's Brown-Conrady models act on the radially distorted
    point, those of OpenCV on the undistorted one. The difference is of second order;
    realsense2_camera calls them plumb_bob as well.
    """
    camera = PinholeCamera(x.width, x.height, x.fx, x.fy, x.ppx, x.ppy)
    if x.model == rs.distortion.none:
        return camera, Distortion()
    fisheye = x.model == rs.distortion.kannala_brandt4
    coefficients = tuple(map(float, x.coeffs[:4] if fisheye else x.coeffs))
    return camera, Distortion("equidistant" if fisheye else "plumb_bob", coefficients)


def _filter_chain(rs: Any, wanted: frozenset[DepthFilter]) -> list[Any]:
    """The filters in librealsense's recommended order: smoothing acts on disparity."""
    smoothing = [
        block()
        for name, block in (("spatial", rs.spatial_filter), ("temporal", rs.temporal_filter))
        if name in wanted
    ]
    if smoothing:
        smoothing = [rs.disparity_transform(True), *smoothing, rs.disparity_transform(False)]
    return [
        *([rs.decimation_filter()] if "decimation" in wanted else []),
        *smoothing,
        *([rs.hole_filling_filter()] if "hole_filling" in wanted else []),
    ]
