"""The interface of RGB-D cameras."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.cameras.errors import CameraAbsentError
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.geometry.camera import PinholeCamera

__all__ = [
    "FILTERS",
    "CameraDescription",
    "CameraFactory",
    "CameraSettings",
    "DepthFilter",
    "Distortion",
    "DistortionModel",
    "RgbdCamera",
    "RgbdImages",
    "choose_device",
    "require_offered",
]

Device = TypeVar("Device")

DepthFilter = Literal["decimation", "spatial", "temporal", "hole_filling"]

FILTERS: tuple[DepthFilter, ...] = get_args(DepthFilter)
"""Filters of depth images, in the order in which they are applied."""

DistortionModel = Literal["plumb_bob", "rational_polynomial", "equidistant"]
"""Names of ROS (sensor_msgs/distortion_models)."""


@dataclass(frozen=True)
class CameraSettings:
    """What the user wants of a camera.

    Attributes:
        width, height: size of the colour image, pixels; 0 for the default of the camera.
        rate_hz: images per second; 0 for the default of the camera.
        serial_number: of the camera; empty for any.
        exposure_us: exposure of colour, microseconds; 0 for automatic exposure.
        laser_power: share of the projector's largest power, 0 to 1; negative to leave it.
        filters: filters of depth images.
        bag: recording of the maker's own format to play in place of a device; empty for a device.
        loop: start the recording again after its end.
    """

    width: int = 0
    height: int = 0
    rate_hz: float = 0.0
    serial_number: str = ""
    exposure_us: int = 0
    laser_power: float = -1.0
    filters: frozenset[DepthFilter] = frozenset()
    bag: str = ""
    loop: bool = False


@dataclass(frozen=True)
class Distortion:
    """Distortion of a lens.

    Attributes:
        model: model of OpenCV, by its name in ROS.
        coefficients: in the order of OpenCV.
    """

    model: DistortionModel = "plumb_bob"
    coefficients: tuple[float, ...] = (0.0,) * 5

    @property
    def is_zero(self) -> bool:
        """Whether the image is rectified."""
        return not any(self.coefficients)


@dataclass(frozen=True)
class CameraDescription:
    """A camera that is open.

    Attributes:
        name: of the model.
        serial_number: of this camera.
        connection: how it is connected, e.g. ``USB 3.2``; empty if unknown.
        rate_hz: images per second.
        camera: intrinsics of the colour image.
        distortion: of the colour image, and of the depth that is registered to it.
        colour_rotation: (3, 3) from the colour to the depth camera, optical frames.
        colour_translation: (3,) position of the colour in the depth camera, metres.
        warnings: what the user should know, e.g. of a slow USB port.
    """

    name: str
    serial_number: str
    connection: str
    rate_hz: float
    camera: PinholeCamera
    distortion: Distortion = field(default_factory=Distortion)
    colour_rotation: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))
    colour_translation: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class RgbdImages:
    """Colour and depth of one time.

    Attributes:
        colour: (H, W, 3) uint8, RGB.
        depth: (H, W) uint16, registered to colour, 0 = missing.
        depth_unit_m: metres per unit of depth.
        stamp_ns: time of exposure by the clock of this machine, nanoseconds since 1970.
        number: counts the frames of the camera; a gap tells of lost ones.
    """

    colour: NDArray[np.uint8]
    depth: NDArray[np.uint16]
    depth_unit_m: float
    stamp_ns: int
    number: int


class RgbdCamera(Protocol):
    """A camera that is open and sends images."""

    @property
    def description(self) -> CameraDescription:
        """The camera."""
        ...

    def read(self, timeout_s: float) -> RgbdImages:
        """Wait for the next images.

        Raises:
            CameraLostError: there are none within the time, or the camera is gone.
        """
        ...

    def close(self) -> None:
        """Stop the camera and release it. A camera that is gone can be closed."""
        ...


CameraFactory = Callable[[CameraSettings], RgbdCamera]
"""Opens a camera; raises a `CameraError` if it cannot be used."""


def choose_device(found: Mapping[str, Device], serial_number: str, name: str) -> Device:
    """Return the device of a serial number, or the first one.

    Args:
        found: devices by their serial numbers.
        serial_number: that is wanted; empty for any.
        name: of the kind of camera, for the message.

    Raises:
        CameraAbsentError: there is none.
    """
    if serial_number in found:
        return found[serial_number]
    if serial_number or not found:
        raise CameraAbsentError.of(name, serial_number, list(found))
    return next(iter(found.values()))


def require_offered(
    settings: CameraSettings,
    name: str,
    *,
    exposure: bool,
    laser: bool,
    filters: Collection[str],
    bags: bool = False,
) -> None:
    """Check that a camera has what the settings ask for.

    Args:
        settings: what the user wants.
        name: of the kind of camera.
        exposure: whether its exposure can be set.
        laser: whether its laser power can be set.
        filters: filters that can be switched on.
        bags: whether its recordings can be played.

    Raises:
        ConfigurationError: it has not.
    """
    if settings.exposure_us and not exposure:
        raise ConfigurationError(
            f"exposure_us is {settings.exposure_us}: sdfpose cannot set the exposure of {name}: "
            "expected 0, automatic exposure"
        )
    if settings.laser_power >= 0.0 and not laser:
        raise ConfigurationError(
            f"laser_power is {settings.laser_power:g}: sdfpose cannot set the projector of {name}: "
            "expected a negative value, which leaves it"
        )
    if settings.bag and not bags:
        raise ConfigurationError(
            f"bag is {settings.bag}: sdfpose plays no recordings of {name}: expected an empty "
            "name, and a camera that is plugged in"
        )
    missing = sorted(settings.filters - set(filters))
    if missing:
        raise ConfigurationError(
            f"filters {', '.join(missing)}: sdfpose has none of them for {name}: expected "
            f"{', '.join(sorted(filters)) or 'no filter'}"
        )
