"""Middleware settings for processes that exchange images on one machine."""

from __future__ import annotations

import math
import os
import random
import re
import shutil
from collections.abc import Collection
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree as ET

from sdfpose_core.errors import ConfigurationError
from sdfpose_ros.graph.ros_distribution import ros_distribution

__all__ = [
    "LAST_DOMAIN_ID",
    "ONE_MACHINE",
    "ROOMY",
    "SHARED_MEMORY",
    "free_domain",
    "free_shared_memory",
    "image_bytes",
    "one_machine_environment",
    "prepare_middleware",
    "profile_variable",
    "shared_memory_hint",
    "shared_memory_segment",
]

LAST_DOMAIN_ID = 232
"""Largest ROS domain id: the ports of higher ones do not exist."""

ONE_MACHINE = "SDFPOSE_ONE_MACHINE"
"""Environment variable: with ``false``, processes keep the middleware settings of the environment.

The launch files set it from their argument ``one_machine``."""

_PROFILE, _PROFILE_2 = "FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"
"""Environment variables with the profile of Fast DDS 3, and of Fast DDS 2."""

_FAST_DDS_2 = ("humble", "iron", "jazzy")

_FALSE, _TRUE = ("false", "0"), ("true", "1", "")

_LAST_DOMAIN = 101
"""Higher domain ids use ports in the ephemeral range of the system."""

_FIRST_PORT, _PORTS_PER_DOMAIN = 7400, 250
"""Ports of the domains, by the RTPS specification (9.6.2.3)."""

_SOCKETS = (Path("/proc/net/udp"), Path("/proc/net/udp6"))

_MIB = 2**20

_DEFAULT_SEGMENT = 512 * 1024
"""Size of Fast DDS's shared-memory segment without a profile, bytes."""

ROOMY = 512 * _MIB
"""Free shared memory for the segments of a graph of eight processes, bytes."""

SHARED_MEMORY = Path("/dev/shm")
"""Folder of the shared memory of Linux."""

_LARGEST_PIXEL = 4
"""Bytes per pixel of the largest common images: bgra8, and depth as 32FC1."""


def one_machine_environment() -> dict[str, str]:
    """Return environment variables that give Fast DDS a shared-memory segment for images.

    The segment is smaller where /dev/shm has little room, because Fast DDS does without shared
    memory if it cannot allocate the segment. Set the variables before rclpy is initialised. Other
    machines cannot discover such a process.
    """
    profile = "fastdds_shm.xml" if free_shared_memory() >= ROOMY else "fastdds_shm_small.xml"
    path = str(files("sdfpose_ros") / profile)
    return {
        _PROFILE: path,
        _PROFILE_2: path,
        # With any other range the middleware ignores the transports of the profile.
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT",
    }


def prepare_middleware(*, network: bool = False) -> None:
    """Exchange images through shared memory, unless the user has set the variables.

    Call this before rclpy is initialised.

    Args:
        network: keep the settings of the environment, as with ``SDFPOSE_ONE_MACHINE=false``.

    Raises:
        ConfigurationError: ``SDFPOSE_ONE_MACHINE`` is neither true nor false.
    """
    wish = os.environ.get(ONE_MACHINE, "").lower()
    if wish not in (*_FALSE, *_TRUE):
        raise ConfigurationError(f"{ONE_MACHINE} is '{wish}': expected true or false")
    if network or wish in _FALSE:
        return
    for name, value in one_machine_environment().items():
        os.environ.setdefault(name, value)


def free_domain() -> int:
    """Return a random ROS domain id without processes on this machine.

    Raises:
        ConfigurationError: every domain is in use.
    """
    used = _used_domains()
    free = [domain for domain in range(1, _LAST_DOMAIN + 1) if domain not in used]
    if not free:
        raise ConfigurationError(
            f"all ROS domains from 1 to {_LAST_DOMAIN} are in use on this machine: end other ROS 2 "
            "processes, or choose a domain yourself"
        )
    return random.SystemRandom().choice(free)


def _used_domains() -> Collection[int]:
    """Return the domains whose ports have a UDP socket on this machine."""
    used = set()
    for table in _SOCKETS:
        if not table.is_file():
            continue  # not Linux
        for port in re.findall(
            r"^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) ", table.read_text("utf-8"), re.M
        ):
            domain, _ = divmod(int(port, 16) - _FIRST_PORT, _PORTS_PER_DOMAIN)
            used.add(domain)
    return used


def free_shared_memory() -> float:
    """Return the room in /dev/shm, bytes; infinite where there is no such folder."""
    try:
        return float(shutil.disk_usage(SHARED_MEMORY).free)
    except OSError:
        return math.inf


def profile_variable() -> str:
    """Return the name of the environment variable from which this Fast DDS reads its profile."""
    return _PROFILE_2 if ros_distribution() in _FAST_DDS_2 else _PROFILE


def shared_memory_segment() -> int:
    """Return the size of the shared-memory segment in this process's Fast DDS profile, bytes."""
    profile = os.environ.get(profile_variable(), "")
    try:
        root = ET.parse(Path(profile)).getroot()
    except (OSError, ET.ParseError):
        return _DEFAULT_SEGMENT
    sizes = [x.text or "" for x in root.iter() if x.tag.rpartition("}")[2] == "segment_size"]
    return max((int(x) for x in sizes if x.strip().isdigit()), default=_DEFAULT_SEGMENT)


def image_bytes(width: int, height: int) -> int:
    """Return the size of the largest common image of so many pixels, bytes."""
    return width * height * _LARGEST_PIXEL


def shared_memory_hint(image_size: tuple[int, int] | None) -> str:
    """Say what shared memory large images take, and how much there is.

    Args:
        image_size: width and height of the images, pixels; None if unknown.
    """
    segment = f"{shared_memory_segment() / _MIB:.4g} MiB"
    if image_size is None:
        return (
            "Large images need a shared-memory segment that is larger than an image, in the driver "
            f"and here, where it has {segment} (see 'Images get lost' in docs/node.md)"
        )
    width, height = image_size
    largest = image_bytes(width, height) / _MIB
    return (
        f"An image of {width}x{height} pixels takes up to {largest:.3g} MiB, and the segment of "
        f"shared memory has {segment} here: expected at least {math.ceil(2 * largest)} MiB here "
        "and in the driver (segment_size in the Fast DDS profile, see 'Images get lost' in "
        "docs/node.md)"
    )
