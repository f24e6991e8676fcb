"""A RealSense camera without hardware: librealsense's ``software_device``, fed with images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.cameras.profiles import Profile
from sdfpose_core.geometry.camera import PinholeCamera

__all__ = ["SoftwareRealSense"]

_NS_PER_MS = 1e6


class SoftwareRealSense:
    """A device with a stereo module for depth and a sensor for colour.

    Args:
        rs: module ``pyrealsense2``.
        colour: intrinsics of colour.
        depth: intrinsics of depth.
        baseline_m: how far the colour sensor is to the right of the depth sensor, metres.
        depth_unit_m: metres per unit of depth.
        rates_hz: rates of both streams, Hz; images come at the first one.
        distortion: coefficients of the colour lens, ``inverse_brown_conrady``.
        usb: how the device says to be connected.

    Attributes:
        device: the ``software_device``.
        colour_sensor, depth_sensor: its sensors, which can be given options.
    """

    def __init__(
        self,
        rs: Any,
        colour: PinholeCamera,
        depth: PinholeCamera,
        *,
        baseline_m: float = 0.015,
        depth_unit_m: float = 0.001,
        rates_hz: Sequence[int] = (30,),
        distortion: Sequence[float] = (0.0,) * 5,
        usb: str = "3.2",
    ) -> None:
        self._rs = rs
        self._unit_m = depth_unit_m
        self.device = rs.software_device()
        for key, value in (
            (rs.camera_info.name, "Software RealSense"),
            (rs.camera_info.serial_number, "000000000001"),
            (rs.camera_info.usb_type_descriptor, usb),
        ):
            self.device.register_info(key, value)
        self.depth_sensor = self.device.add_sensor("Stereo Module")
        self.colour_sensor = self.device.add_sensor("RGB Camera")
        # With a depth unit, librealsense takes the sensor for one of depth.
        self.depth_sensor.add_read_only_option(rs.option.depth_units, depth_unit_m)
        depths = [
            self._stream(self.depth_sensor, rs.stream.depth, depth, x, (0.0,) * 5) for x in rates_hz
        ]
        colours = [
            self._stream(self.colour_sensor, rs.stream.color, colour, x, distortion)
            for x in rates_hz
        ]
        extrinsics = rs.extrinsics()
        extrinsics.rotation = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
        extrinsics.translation = [-baseline_m, 0.0, 0.0]
        for one in depths:
            for other in colours:
                one.register_extrinsics_to(other, extrinsics)
        self._depth_profile, self._colour_profile = depths[0], colours[0]
        self.profiles = [Profile(colour.width, colour.height, float(x)) for x in rates_hz]
        self.device.create_matcher(rs.matchers.default)

    def send(
        self,
        colour: NDArray[np.uint8] | None,
        depth_m: NDArray[np.floating] | None,
        stamp_ns: int,
        number: int,
    ) -> None:
        """Send the images of one time, or only one of them.

        Args:
            colour: (H, W, 3) RGB; None if it is lost.
            depth_m: (H, W) in the depth camera, metres, 0 = missing; None if it is lost.
            stamp_ns: time of exposure by the clock of this machine, nanoseconds.
            number: of the frame.
        """
        if depth_m is not None:
            depth = np.rint(depth_m / self._unit_m).astype(np.uint16)
            frame = self._frame(depth, self._depth_profile, stamp_ns, number)
            frame.depth_units = self._unit_m
            self.depth_sensor.on_video_frame(frame)
        if colour is not None:
            frame = self._frame(colour, self._colour_profile, stamp_ns, number)
            self.colour_sensor.on_video_frame(frame)

    def _stream(
        self,
        sensor: Any,
        kind: Any,
        camera: PinholeCamera,
        rate_hz: int,
        distortion: Sequence[float],
    ) -> Any:
        rs = self._rs
        is_depth = kind == rs.stream.depth
        stream = rs.video_stream()
        stream.type, stream.index = kind, 0
        stream.uid = 2 * rate_hz + is_depth  # of every profile its own
        stream.width, stream.height, stream.fps = camera.width, camera.height, rate_hz
        stream.fmt = rs.format.z16 if is_depth else rs.format.rgb8
        stream.bpp = 2 if is_depth else 3
        intrinsics = rs.intrinsics()
        intrinsics.width, intrinsics.height = camera.width, camera.height
        intrinsics.fx, intrinsics.fy = camera.fx, camera.fy
        intrinsics.ppx, intrinsics.ppy = camera.cx, camera.cy
        intrinsics.model = rs.distortion.inverse_brown_conrady
        intrinsics.coeffs = list(distortion)
        stream.intrinsics = intrinsics
        return sensor.add_video_stream(stream).as_video_stream_profile()

    def _frame(self, pixels: NDArray[Any], profile: Any, stamp_ns: int, number: int) -> Any:
        frame = self._rs.software_video_frame()
        frame.pixels = np.ascontiguousarray(pixels)
        frame.stride = pixels.strides[0]
        frame.bpp = pixels.strides[1]
        frame.timestamp = stamp_ns / _NS_PER_MS
        frame.domain = self._rs.timestamp_domain.global_time
        frame.frame_number = number
        frame.profile = profile
        return frame
