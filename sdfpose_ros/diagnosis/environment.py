"""Checks of the ROS 2 installation. Imports nothing of ROS, which may be missing or broken."""

from __future__ import annotations

import importlib.util
import math
import os
from pathlib import Path

from sdfpose_core.diagnosis.findings import Finding
from sdfpose_core.errors import ConfigurationError
from sdfpose_ros.graph.middleware import (
    ROOMY,
    SHARED_MEMORY,
    free_shared_memory,
    image_bytes,
    prepare_middleware,
    shared_memory_segment,
)
from sdfpose_ros.graph.ros_distribution import ros_distribution
from sdfpose_ros.graph.startup import check_ros

__all__ = ["check_shared_memory", "environment_findings", "shared_memory_finding"]

_MIB = 2**20

_FAST_DDS = ("", "rmw_fastrtps_cpp", "rmw_fastrtps_dynamic_cpp")
"""Values of RMW_IMPLEMENTATION with the shared memory of Fast DDS; empty is the default of ROS 2.
"""

_COMMON_SIZE = (640, 480)
"""Images that have to fit where the size is not known, pixels."""

_ENLARGE = (
    "remove the segments of killed processes (fastdds shm clean), or enlarge /dev/shm: --shm-size "
    "of docker, or mount -o remount,size=1G /dev/shm"
)


def environment_findings(*, network: bool = False) -> list[Finding]:
    """Check the ROS 2 of this process, and set its middleware up.

    Args:
        network: keep the middleware settings of the environment.
    """
    if importlib.util.find_spec("rclpy") is None:
        return [
            Finding(
                "warning",
                "ROS 2",
                "not installed: nodes and live cameras do not run; all else does",
                "source a ROS 2 installation ('. /opt/ros/DISTRO/setup.bash') or install it from "
                "wheels (make setup, see packaging/README.md)",
            )
        ]
    try:
        prepare_middleware(network=network)
        check_ros()
    except ConfigurationError as error:
        return [Finding("fault", "ROS 2", str(error)), check_shared_memory()]
    return [_installation(), check_shared_memory()]


def check_shared_memory(image_size: tuple[int, int] | None = None) -> Finding:
    """Check whether images fit into the shared memory of the middleware.

    Args:
        image_size: width and height of the images, pixels; None if unknown.
    """
    middleware = os.environ.get("RMW_IMPLEMENTATION", "")
    if middleware not in _FAST_DDS:
        return Finding("ok", "shared memory", f"not checked: the middleware is {middleware}")
    return shared_memory_finding(free_shared_memory(), shared_memory_segment(), image_size)


def shared_memory_finding(
    free: float, segment: int, image_size: tuple[int, int] | None = None
) -> Finding:
    """Judge the shared memory.

    Args:
        free: free space in /dev/shm, bytes; infinite where there is no such folder.
        segment: size of the segment in the profile of this process, bytes.
        image_size: width and height of the images, pixels; None if unknown.
    """
    name = "shared memory"
    text = f"segment of {segment / _MIB:.3g} MiB"
    if math.isfinite(free):
        text = f"{free / _MIB:.0f} MiB free in {SHARED_MEMORY}, {text}"
    if free < segment:
        return Finding(
            "fault",
            name,
            f"{text}: no segment can be allocated, and images between processes get lost",
            _ENLARGE,
        )
    width, height = image_size or _COMMON_SIZE
    needed = 2 * image_bytes(width, height)
    if segment < needed:
        return Finding(
            "fault" if image_size else "warning",
            name,
            f"{text}: images of {width}x{height} pixels get lost",
            f"set segment_size to at least {math.ceil(needed / _MIB)} MiB in the Fast DDS profile "
            "of the driver and of the nodes ('Images get lost' in docs/node.md)",
        )
    if free < ROOMY:
        return Finding(
            "warning", name, f"{text}: enough for some processes with small images", _ENLARGE
        )
    return Finding("ok", name, text)


def _installation() -> Finding:
    spec = importlib.util.find_spec("rclpy")
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    place = Path(folders[0]).parent if folders else "?"
    domain = os.environ.get("ROS_DOMAIN_ID", "0")
    text = f"{ros_distribution()} in {place}, domain {domain}; the messages of sdfpose are there"
    return Finding("ok", "ROS 2", text.lstrip())
