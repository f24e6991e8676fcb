"""The kinds of cameras, by name: package, extra and adapter of each."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sdfpose_core.cameras.camera import CameraSettings, RgbdCamera
from sdfpose_core.errors import ConfigurationError

__all__ = ["MAKERS", "Maker", "load_package", "open_camera", "require_package"]


@dataclass(frozen=True)
class Maker:
    """A kind of camera.

    Attributes:
        title: for the user.
        package: module of the maker's Python package.
        install: command that installs it.
        adapter: module and class or function of this package, which is called with the maker's
            module and the settings; see `RgbdCamera`.
    """

    title: str
    package: str
    install: str
    adapter: str


MAKERS: Mapping[str, Maker] = {
    "realsense": Maker(
        "RealSense",
        "pyrealsense2",
        "pip install 'sdfpose[realsense]'",
        "realsense_recording.open_realsense",
    ),
    # Its pins of open3d and numpy contradict those of sdfpose, and only its examples need them.
    "orbbec": Maker(
        "Orbbec", "pyorbbecsdk", "pip install --no-deps pyorbbecsdk2", "orbbec.OrbbecCamera"
    ),
    "oak": Maker("OAK", "depthai", "pip install 'sdfpose[oak]'", "oak.OakCamera"),
    # Built from source against the Azure Kinect SDK.
    "kinect": Maker("Azure Kinect", "pyk4a", "pip install pyk4a", "kinect.KinectCamera"),
}
"""The kinds of cameras."""


def require_package(name: str) -> None:
    """Check that the package of a kind of camera is installed, without loading it.

    Raises:
        ConfigurationError: it is not, or there is no such kind.
    """
    maker = _maker(name)
    if importlib.util.find_spec(maker.package) is None:
        raise _not_installed(maker)


def load_package(name: str) -> Any:
    """Import the package of a kind of camera.

    Raises:
        ConfigurationError: it is not installed, or cannot be loaded.
    """
    maker = _maker(name)
    try:
        return importlib.import_module(maker.package)
    except ModuleNotFoundError as error:
        if error.name != maker.package:
            raise _broken(maker, error) from error
        raise _not_installed(maker) from error
    except (ImportError, OSError) as error:  # a library of the system is missing
        raise _broken(maker, error) from error


def open_camera(name: str, settings: CameraSettings) -> RgbdCamera:
    """Open a camera.

    Args:
        name: kind of camera, a key of `MAKERS`.
        settings: what is wanted of it.

    Raises:
        CameraError: there is none, or it cannot be used.
        ConfigurationError: the package is not installed, or the camera does not have a setting.
    """
    package = load_package(name)
    module, _, adapter = _maker(name).adapter.partition(".")
    return getattr(importlib.import_module(f"sdfpose_core.cameras.{module}"), adapter)(
        package, settings
    )


def _maker(name: str) -> Maker:
    if name not in MAKERS:
        raise ConfigurationError(f"camera '{name}' is unknown: expected one of {', '.join(MAKERS)}")
    return MAKERS[name]


def _not_installed(maker: Maker) -> ConfigurationError:
    return ConfigurationError(
        f"{maker.title} cameras need {maker.package}, which is not installed: run "
        f'"{maker.install}" in this environment'
    )


def _broken(maker: Maker, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"{maker.package} cannot be loaded: {' '.join(str(error).split())}: install what is "
        f'missing, or run "{maker.install}" again'
    )
