"""Middleware settings for processes that exchange images on one machine."""

from __future__ import annotations

from importlib.resources import files

__all__ = ["one_machine_environment"]


def one_machine_environment() -> dict[str, str]:
    """Return environment variables that give Fast DDS a shared-memory segment for images.

    Set them before rclpy is initialised. Other machines cannot discover such a process.
    """
    return {
        "FASTDDS_DEFAULT_PROFILES_FILE": str(files("sdfpose_ros") / "fastdds_shm.xml"),
        # With any other range the middleware ignores the transports of the profile.
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT",
    }
