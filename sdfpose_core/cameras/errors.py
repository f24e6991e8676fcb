"""Errors of cameras: what ends a driver, and what it waits for."""

from __future__ import annotations

from collections.abc import Sequence

from sdfpose_core.errors import SdfposeError

__all__ = [
    "CameraAbsentError",
    "CameraBusyError",
    "CameraError",
    "CameraLostError",
    "CameraUnavailableError",
    "RecordingEndedError",
    "UnsupportedProfileError",
    "open_error",
]

_BUSY = ("busy", "already in use", "in use by", "is streaming", "set power state", "exclusive")
_DENIED = ("access", "permission", "denied")


class CameraError(SdfposeError):
    """A camera cannot be used as it is."""


class UnsupportedProfileError(CameraError):
    """A camera has no such combination of resolution and rate."""


class RecordingEndedError(CameraError):
    """A recording that is played in place of a camera has no more images."""


class CameraUnavailableError(CameraError):
    """A camera cannot be used now, and may be later."""


class CameraAbsentError(CameraUnavailableError):
    """There is no camera, or not the one that was asked for."""

    @classmethod
    def of(cls, name: str, serial_number: str, found: Sequence[str]) -> CameraAbsentError:
        """Create the error.

        Args:
            name: what is looked for, e.g. ``RealSense camera``.
            serial_number: that is wanted; empty for any.
            found: serial numbers of the cameras that are there.
        """
        if found:
            return cls(
                f"no {name} with the serial number {serial_number}: expected one of "
                f"{', '.join(found)}"
            )
        return cls(
            f"no {name} found: expected one on a USB port of this machine (is its cable in, and do "
            "the udev rules of its maker let this user read it?)"
        )


class CameraBusyError(CameraUnavailableError):
    """Another program uses the camera."""


class CameraLostError(CameraUnavailableError):
    """A camera that was open gives no more images."""


def open_error(name: str, error: Exception) -> CameraUnavailableError:
    """Translate what a maker's library raises when a camera is opened or started.

    The libraries tell the cause only in their text.

    Args:
        name: of the camera.
        error: of the library.
    """
    text = " ".join(str(error).split()) or type(error).__name__
    if any(x in text.lower() for x in _BUSY):
        return CameraBusyError(
            f"{name} is busy ({text}): expected that no other program uses it: end the other one "
            "(a viewer, a second driver)"
        )
    if any(x in text.lower() for x in _DENIED):
        return CameraUnavailableError(
            f"{name} may not be opened ({text}): install the udev rules of its maker, and plug it "
            "in again"
        )
    return CameraUnavailableError(
        f"{name} cannot be started ({text}): plug it in again, into a USB 3 port"
    )
