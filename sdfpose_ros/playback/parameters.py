"""Parameters of the camera node and the player node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sdfpose_ros.graph.parameters import parameter

__all__ = ["CameraNodeParameters", "PlayerNodeParameters"]


@dataclass(frozen=True)
class CameraNodeParameters:
    """Parameters of the camera node."""

    folders: tuple[str, ...] = parameter(
        (), "Frame folders, or folders of them, to play; none for the simulated camera."
    )
    rate_hz: float = parameter(10.0, "Frames per second.", minimum=0.01, maximum=1000.0)
    loop: bool = parameter(True, "Whether to start again after the last frame, or to end.")
    seed: int = parameter(0, "Of the simulated scene and noise.", minimum=0, maximum=2**31)
    width: int = parameter(
        640, "Width of simulated images, pixels; the height is 3/4 of it.", minimum=64, maximum=4096
    )
    turn_s: float = parameter(
        120.0,
        "Time in which the simulated camera goes round the table once, seconds.",
        minimum=0.1,
        maximum=1e6,
    )
    categories: tuple[str, ...] = parameter(
        (), "Categories whose objects on the simulated table have masks; none for all."
    )
    prerender: int = parameter(
        0,
        "Frames that are made before the first is published, and then played forth and back; 0 to "
        "make each when its time has come.",
        minimum=0,
        maximum=10000,
    )
    wait_s: float = parameter(
        0.0,
        "How long to wait at the start for somebody who takes all images, seconds.",
        minimum=0.0,
        maximum=1e6,
    )
    frame_id: str = parameter("camera_optical_frame", "Name of the optical frame.")
    depth_encoding: Literal["16UC1", "32FC1"] = parameter(
        "16UC1", "Encoding of the depth images.", choices=("16UC1", "32FC1")
    )


@dataclass(frozen=True)
class PlayerNodeParameters:
    """Parameters of the node that plays a bag."""

    bag: str = parameter("", "Folder of a rosbag2, or its mcap or db3 file.")
    topics: tuple[str, ...] = parameter(
        (), "Topics that are played; none for all but those of a pose node that is waited for."
    )
    rate: float = parameter(1.0, "Speed, 1 for the bag's own.", minimum=0.001, maximum=1000.0)
    loop: bool = parameter(False, "Whether to start again after the last message, or to end.")
    clock: bool = parameter(False, "Whether /clock tells the time of the bag.")
    lockstep: bool = parameter(
        False,
        "Whether the next frame waits for the result of the last; then rate and loop mean nothing.",
    )
    wait_s: float = parameter(
        0.0,
        "How long to wait at the start for a pose node that takes the bag's topics, seconds.",
        minimum=0.0,
        maximum=1e6,
    )
    results: str = parameter("/sdfpose/objects", "Topic of the pose node's results.")
    result_timeout_s: float = parameter(
        60.0, "With lockstep, how long a result may take, seconds.", minimum=0.1, maximum=1e6
    )
