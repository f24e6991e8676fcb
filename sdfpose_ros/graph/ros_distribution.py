"""Which distribution of ROS 2 this process has: Jazzy, Kilted, or by mistake several.

Imports nothing of ROS.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from pathlib import Path

__all__ = ["ros_distribution", "sourced_distributions", "wheel_distributions"]

_WHEEL = re.compile(r"ros_(humble|iron|jazzy|kilted|lyrical|rolling)_.*\.dist-info")
"""Name of an installed wheel that belongs to one distribution; ``ros_rclpy`` is the name in all."""

_INSTALLATIONS = Path("/opt/ros")


def wheel_distributions(site_packages: Path | None = None) -> list[str]:
    """List the distributions whose wheels are in an environment, in alphabetical order.

    Args:
        site_packages: its folder of packages; None for that of this Python.
    """
    folder = site_packages or Path(sysconfig.get_path("purelib"))
    matches = (_WHEEL.fullmatch(x.name) for x in folder.glob("ros_*.dist-info"))
    return sorted({x[1] for x in matches if x is not None})


def sourced_distributions() -> list[str]:
    """List the distributions of the ROS 2 installations that are sourced, in alphabetical order."""
    entries = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    prefixes = {Path(x) for x in entries if x} - {Path(sys.prefix)}
    names = {x.name for x in prefixes if x.parent == _INSTALLATIONS}
    # Left behind, it says nothing: `make` takes only the paths away.
    if prefixes and (name := os.environ.get("ROS_DISTRO")):
        names.add(name)
    return sorted(names)


def ros_distribution() -> str:
    """Name the distribution of this process; empty if it is not known."""
    return ", ".join(sourced_distributions() or wheel_distributions())
