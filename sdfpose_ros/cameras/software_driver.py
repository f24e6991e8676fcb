"""The camera driver with a RealSense of software, which is fed with images of a simulated table."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.cameras.camera import CameraSettings
from sdfpose_core.cameras.makers import load_package
from sdfpose_core.cameras.realsense import RealSenseCamera
from sdfpose_core.cameras.software_realsense import SoftwareRealSense
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.simulation.rendering import render
from sdfpose_core.simulation.scene import CameraPose
from sdfpose_core.simulation.tabletop import orbit, table_scene
from sdfpose_ros.cameras.camera_driver_node import CameraDriverNode
from sdfpose_ros.graph.process import run_node

__all__ = ["main"]

_BASELINE_M = 0.015
_VIEWS = 8
_FOCAL = 0.95
"""Focal length as a share of the width."""

Views = list[tuple[NDArray[np.uint8], NDArray[np.float32]]]


def main(args: Sequence[str] | None = None) -> int:
    """Run the driver; its size and rate are those of the device."""
    return run_node(partial(CameraDriverNode, _open), args)


def _open(_: str, settings: CameraSettings) -> RealSenseCamera:
    width, height = settings.width or 640, settings.height or 480
    rate_hz = round(settings.rate_hz or 30.0)
    focal = _FOCAL * width
    camera = PinholeCamera(width, height, focal, focal, 0.5 * (width - 1), 0.5 * (height - 1))
    rs = load_package("realsense")
    views = _views(camera)
    source = SoftwareRealSense(rs, camera, camera, baseline_m=_BASELINE_M, rates_hz=(rate_hz,))
    opened = RealSenseCamera(rs, settings, source.device)
    threading.Thread(target=_feed, args=(source, views, rate_hz), daemon=True).start()
    return opened


def _views(camera: PinholeCamera) -> Views:
    """Colour, and depth from the place of the depth sensor, metres."""
    scene, views = table_scene(), []
    for i in range(_VIEWS):
        pose = orbit(float(i))
        aside = CameraPose(pose.rotation, pose.translation - _BASELINE_M * pose.rotation[:, 0])
        colour = render(scene, camera, pose).colour
        views.append((colour, render(scene, camera, aside, colour=False).depth))
    return views


def _feed(source: SoftwareRealSense, views: Views, rate_hz: int) -> None:
    """Send images at the rate; one that is late is sent at once, with the stamp it was due."""
    start_ns, number = time.time_ns(), 0
    while True:
        due_ns = start_ns + number * 1_000_000_000 // rate_hz
        time.sleep(max(0.0, 1e-9 * (due_ns - time.time_ns())))
        source.send(*views[number % len(views)], due_ns, number)
        number += 1


if __name__ == "__main__":
    sys.exit(main())
