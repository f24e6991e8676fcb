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
    cameras: int = parameter(
        0,
        "Number of simulated cameras that stand round the table, with topics below ~/view_0 and so "
        "on; 0 for one that circles round it.",
        minimum=0,
        maximum=16,
    )
    rate_hz: float = parameter(10.0, "Frames per second.", minimum=0.01, maximum=1000.0)
    loop: bool = parameter(True, "Start again after the last frame instead of exiting.")
    seed: int = parameter(0, "Seed of the simulated scene and noise.", minimum=0, maximum=2**31)
    width: int = parameter(
        640,
        "Width of the simulated images, pixels; the height is 3/4 of the width.",
        minimum=64,
        maximum=4096,
    )
    turn_s: float = parameter(
        120.0,
        "Duration of one turn of the simulated camera round the table, seconds.",
        minimum=0.1,
        maximum=1e6,
    )
    categories: tuple[str, ...] = parameter(
        (), "Categories whose objects have masks; none for all categories."
    )
    masks: bool = parameter(
        True, "Publish masks and labels; false leaves them to a node that makes masks itself."
    )
    prerender: int = parameter(
        0,
        "Number of frames rendered in advance and then played back and forth; 0 to render each "
        "frame when it is due.",
        minimum=0,
        maximum=10000,
    )
    wait_s: float = parameter(
        0.0,
        "Longest wait at startup for subscribers to all images, seconds.",
        minimum=0.0,
        maximum=1e6,
    )
    frame_id: str = parameter("camera_optical_frame", "Frame id of the images.")
    depth_encoding: Literal["16UC1", "32FC1"] = parameter(
        "16UC1", "Encoding of the depth images.", choices=("16UC1", "32FC1")
    )


@dataclass(frozen=True)
class PlayerNodeParameters:
    """Parameters of the node that plays a bag."""

    bag: str = parameter("", "Folder of a rosbag2, or its mcap or db3 file.")
    topics: tuple[str, ...] = parameter(
        (), "Topics to play; none for all but the outputs of a pose node that the player waits for."
    )
    rate: float = parameter(
        1.0, "Playback speed relative to the recording.", minimum=0.001, maximum=1000.0
    )
    loop: bool = parameter(False, "Start again after the last message instead of exiting.")
    clock: bool = parameter(False, "Publish the time of the bag on /clock.")
    lockstep: bool = parameter(
        False,
        "Wait for the result of each frame before playing the next; rate and loop are ignored.",
    )
    wait_s: float = parameter(
        0.0,
        "Longest wait at startup for a pose node subscribed to the topics of the bag, seconds.",
        minimum=0.0,
        maximum=1e6,
    )
    results: str = parameter("/sdfpose/objects", "Topic of the pose node's results.")
    raw: bool = parameter(
        False, "Publish compressed images as raw ones, on the names of the raw topics."
    )
    result_timeout_s: float = parameter(
        60.0, "Longest wait for a result with lockstep, seconds.", minimum=0.1, maximum=1e6
    )
