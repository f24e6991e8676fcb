"""Recordings of RealSense cameras in librealsense's own format, played like a camera."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from sdfpose_core.cameras.camera import CameraSettings, RgbdCamera, RgbdImages
from sdfpose_core.cameras.errors import CameraError, CameraLostError, RecordingEndedError
from sdfpose_core.cameras.realsense import RealSenseCamera

__all__ = ["RealSenseRecording", "open_realsense"]

_LOOK_S = 0.2
"""Without an image for this long, it is looked whether the recording has ended."""


def open_realsense(rs: Any, settings: CameraSettings) -> RgbdCamera:
    """Open a RealSense camera, or the recording that the settings name.

    Args:
        rs: module ``pyrealsense2``.
        settings: what is wanted of it.

    Raises:
        CameraError: it cannot be used.
        ConfigurationError: a setting is not offered or out of range.
    """
    if settings.bag:
        return RealSenseRecording(rs, settings)
    return RealSenseCamera(rs, settings)


class RealSenseRecording:
    """A recording of librealsense, played at the speed at which it was recorded; see `RgbdCamera`.

    Images that are not read in time are lost, as those of a camera.

    Args:
        rs: module ``pyrealsense2``.
        settings: ``bag`` names the file; with ``loop``, it starts again after its end.

    Raises:
        CameraError: the file cannot be played, or has not the streams that are wanted.
        ConfigurationError: a setting is not offered for recordings.
    """

    def __init__(self, rs: Any, settings: CameraSettings) -> None:
        self._rs = rs
        self._settings = settings
        self._path = Path(settings.bag)
        self._open()

    def read(self, timeout_s: float) -> RgbdImages:
        """See `RgbdCamera`.

        Raises:
            RecordingEndedError: there are no more images.
        """
        end_s = time.monotonic() + timeout_s
        while True:
            rest_s = end_s - time.monotonic()
            try:
                return self._camera.read(max(0.0, min(_LOOK_S, rest_s)))
            except CameraLostError as error:
                if rest_s <= 0.0:
                    raise CameraLostError(
                        f"{self._path}: no pair of images for {timeout_s:g} s: expected colour and "
                        "depth that were recorded together"
                    ) from error
            if self._device.current_status() == self._rs.playback_status.stopped:
                self._camera.close()
                if not self._settings.loop:
                    raise RecordingEndedError(f"{self._path} has ended")
                self._open()  # a device that has been played does not start again

    def close(self) -> None:
        """See `RgbdCamera`."""
        self._camera.close()

    def _open(self) -> None:
        try:
            self._device = self._rs.context().load_device(str(self._path))
        except RuntimeError as error:
            raise CameraError(
                f"{self._path} cannot be played ({' '.join(str(error).split())}): expected a "
                "complete recording of librealsense, a .bag file, or a .db3 file of its later "
                "versions, which earlier ones cannot read"
            ) from error
        self._device.set_real_time(True)
        self._camera = RealSenseCamera(self._rs, self._settings, self._device)
        self.description = replace(
            self._camera.description, connection=f"recording {self._path.name}"
        )
