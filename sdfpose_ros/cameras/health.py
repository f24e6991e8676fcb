"""Health of a camera, for ``/diagnostics``."""

from __future__ import annotations

from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from sdfpose_core.cameras.camera import CameraDescription
from sdfpose_core.cameras.supervision import CameraCounts

__all__ = ["camera_status"]

_LOW_RATE = 0.8
"""Warn when fewer than this share of the images comes."""


def camera_status(
    name: str,
    camera: CameraDescription | None,
    problem: str,
    counts: CameraCounts,
    before: CameraCounts,
    seconds: float,
) -> Any:
    """Create the status of the last period.

    Args:
        name: full name of the node.
        camera: the camera; None while it is away.
        problem: why it is away.
        counts: counts at the end of the period.
        before: counts at its start.
        seconds: duration of the period.
    """
    rate_hz = (counts.frames - before.frames) / seconds
    lost = counts.lost - before.lost
    level, message = DiagnosticStatus.OK, "running"
    if camera is None:
        level, message = DiagnosticStatus.ERROR, problem
    elif lost:
        level, message = DiagnosticStatus.WARN, f"{lost} frames lost"
    elif rate_hz < _LOW_RATE * camera.rate_hz:
        level = DiagnosticStatus.WARN
        message = f"{rate_hz:.1f} Hz: expected {camera.rate_hz:g} Hz"
    elif camera.warnings:
        level, message = DiagnosticStatus.WARN, "; ".join(camera.warnings)
    values = {
        "rate (Hz)": f"{rate_hz:.2f}",
        "frames": str(counts.frames),
        "frames lost": str(counts.lost),
        "reconnects": str(counts.reconnects),
    }
    if camera is not None:
        values["camera"] = camera.name
        values["connection"] = camera.connection
        values["profile"] = f"{camera.camera.width}x{camera.camera.height} at {camera.rate_hz:g} Hz"
    return DiagnosticStatus(
        level=level,
        name=f"{name.lstrip('/')}: camera",
        message=message,
        hardware_id="" if camera is None else camera.serial_number,
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )
