"""A camera that is opened again when it is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sdfpose_core.cameras.camera import CameraDescription, RgbdCamera, RgbdImages
from sdfpose_core.cameras.errors import CameraAbsentError, CameraUnavailableError

__all__ = ["CameraCounts", "CameraLog", "SupervisedCamera"]

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 8.0
"""Wait before a camera is opened again; it doubles with each try in vain."""


class CameraLog(Protocol):
    """Tells the user of a camera."""

    def info(self, message: str) -> object:
        """Tell what is well."""

    def warning(self, message: str) -> object:
        """Tell what is not."""


@dataclass(frozen=True)
class CameraCounts:
    """What came of a camera since the start.

    Attributes:
        frames: number of frames.
        lost: number of frames that are missing between those that came.
        reconnects: how often the camera was found again.
    """

    frames: int = 0
    lost: int = 0
    reconnects: int = 0


class SupervisedCamera:
    """Reads a camera. When it is lost, says so once and tries to open it again and again.

    Args:
        open_camera: opens the camera.
        log: receives what the user should know.
        pause: waits for a time in seconds; returns early when the program ends.
        timeout_s: a camera without images for this long is lost.
    """

    def __init__(
        self,
        open_camera: Callable[[], RgbdCamera],
        log: CameraLog,
        pause: Callable[[float], object],
        timeout_s: float,
    ) -> None:
        self._open = open_camera
        self._log = log
        self._pause = pause
        self._timeout_s = timeout_s
        self._camera: RgbdCamera | None = None
        self._wait_s = _FIRST_WAIT_S
        self._told = ""
        self._number: int | None = None
        self._frames = self._lost = self._reconnects = 0

    @property
    def description(self) -> CameraDescription | None:
        """The camera; None while there is none."""
        return None if self._camera is None else self._camera.description

    @property
    def counts(self) -> CameraCounts:
        """What came since the start."""
        return CameraCounts(self._frames, self._lost, self._reconnects)

    @property
    def problem(self) -> str:
        """Why there is no camera; empty if there is one."""
        return self._told if self._camera is None else ""

    def start(self, *, wait: bool) -> None:
        """Open the camera.

        Args:
            wait: if it is not there, leave it to `read` to try again.

        Raises:
            CameraError: it cannot be used.
        """
        try:
            self._take(self._open())
        except CameraUnavailableError as error:
            if not wait:
                raise
            self._tell(f"{error}; waiting for it")

    def read(self) -> RgbdImages | None:
        """Return the next images, or None if the camera is away or was just lost.

        Raises:
            CameraError: the camera came back and cannot be used as it is.
        """
        if self._camera is None:
            self._try_again()
            return None
        try:
            images = self._camera.read(self._timeout_s)
        except CameraUnavailableError as error:
            self.close()
            self._wait_s = _FIRST_WAIT_S
            self._tell(f"{error}; waiting for the camera to come back")
            return None
        if self._number is not None:
            self._lost += max(0, images.number - self._number - 1)
        self._number = images.number
        self._frames += 1
        return images

    def close(self) -> None:
        """Release the camera."""
        camera, self._camera, self._number = self._camera, None, None
        if camera is not None:
            camera.close()

    def _try_again(self) -> None:
        self._pause(self._wait_s)
        self._wait_s = min(2.0 * self._wait_s, _LONGEST_WAIT_S)
        try:
            self._take(self._open())
        except CameraAbsentError:
            return  # it was told that the camera is away
        except CameraUnavailableError as error:
            self._tell(f"{error}; waiting for it")
            return
        self._reconnects += 1

    def _take(self, camera: RgbdCamera) -> None:
        self._camera, self._told = camera, ""
        found = camera.description
        size = f"{found.camera.width}x{found.camera.height} at {found.rate_hz:g} Hz"
        connection = f", {found.connection}" if found.connection else ""
        self._log.info(f"{found.name}, serial number {found.serial_number}{connection}: {size}")
        for warning in found.warnings:
            self._log.warning(warning)

    def _tell(self, message: str) -> None:
        """Log a problem, unless it is the one that was logged last."""
        if message != self._told:
            self._told = message
            self._log.warning(message)
