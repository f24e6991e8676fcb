"""Parameters of the camera driver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sdfpose_core.cameras.camera import FILTERS, CameraSettings
from sdfpose_core.cameras.makers import MAKERS
from sdfpose_ros.graph.parameters import parameter

__all__ = ["CameraDriverParameters", "camera_settings"]


@dataclass(frozen=True)
class CameraDriverParameters:
    """Parameters of the camera driver."""

    camera: str = parameter("realsense", "Kind of camera.", choices=tuple(MAKERS))
    serial_number: str = parameter("", "Serial number of the camera; empty for any.")
    bag: str = parameter(
        "", "Recording of librealsense to play in place of a device; empty for a device."
    )
    loop: bool = parameter(
        False, "Start the recording again after its end; without it, the node then ends."
    )
    width: int = parameter(
        0,
        "Width of the colour image, pixels; 0 for the default of the camera.",
        minimum=0,
        maximum=8192,
    )
    height: int = parameter(
        0,
        "Height of the colour image, pixels; 0 for the default of the camera.",
        minimum=0,
        maximum=8192,
    )
    rate_hz: float = parameter(
        0.0, "Images per second; 0 for the default of the camera.", minimum=0.0, maximum=300.0
    )
    exposure_us: int = parameter(
        0,
        "Exposure of colour, microseconds; 0 for automatic exposure.",
        minimum=0,
        maximum=1_000_000,
    )
    laser_power: float = parameter(
        -1.0,
        "Power of the infrared projector as a share of its largest; -1 leaves it.",
        minimum=-1.0,
        maximum=1.0,
    )
    decimation_filter: bool = parameter(False, "Reduce the resolution of depth.")
    spatial_filter: bool = parameter(False, "Smooth depth across the image, up to edges.")
    temporal_filter: bool = parameter(False, "Smooth depth over the last images.")
    hole_filling_filter: bool = parameter(False, "Fill missing depth from its neighbours.")
    rectify: bool = parameter(True, "Remove the distortion of the lens from colour and depth.")
    depth_encoding: Literal["16UC1", "32FC1"] = parameter(
        "16UC1",
        "Encoding of depth; 32FC1 keeps units below a millimetre.",
        choices=("16UC1", "32FC1"),
    )
    camera_name: str = parameter("", "Prefix of the tf frames; empty for the name of the node.")
    wait_for_camera: bool = parameter(
        False, "Wait at startup for a camera that is not there or busy, instead of ending."
    )
    timeout_s: float = parameter(
        3.0, "A camera without images for this long is lost, seconds.", minimum=0.1, maximum=60.0
    )


def camera_settings(parameters: CameraDriverParameters) -> CameraSettings:
    """What the parameters ask of the camera."""
    return CameraSettings(
        width=parameters.width,
        height=parameters.height,
        rate_hz=parameters.rate_hz,
        serial_number=parameters.serial_number,
        exposure_us=parameters.exposure_us,
        laser_power=parameters.laser_power,
        filters=frozenset(x for x in FILTERS if getattr(parameters, f"{x}_filter")),
        bag=parameters.bag,
        loop=parameters.loop,
    )
