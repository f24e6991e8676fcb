"""Recordings that librealsense writes of a device of software."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from sdfpose_core.cameras.software_realsense import SoftwareRealSense
from sdfpose_core.geometry.camera import PinholeCamera

RECORDED = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)
"""Intrinsics of both streams of a recording."""

PERIOD_NS = 33_333_333


def write_recording(rs: Any, folder: Path, count: int, *, unit_m: float = 0.001) -> Path:
    """Record images of one colour at 0.8 m, whose first pixel has their number as red."""
    source = SoftwareRealSense(
        rs, RECORDED, RECORDED, baseline_m=0.015, depth_unit_m=unit_m, usb="2.1"
    )
    path = folder / "run.db3"
    try:
        recorder = rs.recorder(str(path), source.device)
    except RuntimeError:  # of versions that write ROS 1 bags
        path = folder / "run.bag"
        recorder = rs.recorder(str(path), source.device)
    sensors = list(recorder.query_sensors())
    syncer = rs.syncer()
    for sensor in sensors:
        sensor.open(sensor.get_stream_profiles()[0])
        sensor.start(syncer)
    began_ns = time.time_ns()
    start_ns = began_ns - 3_600_000_000_000  # an hour ago
    depth_m = np.full((48, 64), 0.8, dtype=np.float32)
    for number in range(count):
        colour = np.full((48, 64, 3), (200, 100, 50), dtype=np.uint8)
        colour[0, 0, 0] = number
        source.send(colour, depth_m, start_ns + number * PERIOD_NS, number)
        # A recording is played with the times at which its images came.
        due_ns = began_ns + (number + 1) * PERIOD_NS
        time.sleep(max(0.0, 1e-9 * (due_ns - time.time_ns())))
    for sensor in sensors:
        sensor.stop()
        sensor.close()
    return path
