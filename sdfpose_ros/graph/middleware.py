"""Environment of processes that exchange images on one machine."""

from __future__ import annotations

from importlib.resources import files

__all__ = ["one_machine_environment"]


def one_machine_environment() -> dict[str, str]:
    """Variables that give Fast DDS a shared-memory segment in which images have room.

    They have to be set before rclpy is initialised. Other machines do not see such a process.
    """
    return {
        "FASTDDS_DEFAULT_PROFILES_FILE": str(files("sdfpose_ros") / "fastdds_shm.xml"),
        # Any other range makes the middleware choose its own transports.
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT",
    }
