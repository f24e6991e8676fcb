"""Parameters of the recorder node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from sdfpose_core.messages.compression import ColourCodec, DepthCodec
from sdfpose_ros.graph.parameters import parameter

__all__ = ["RecorderNodeParameters"]


@dataclass(frozen=True)
class RecorderNodeParameters:
    """Parameters of the recorder node."""

    path: str = parameter("", "MCAP file to write.")
    duration_s: float = parameter(
        0.0,
        "Stop this long after the first message, and with status 1 if none comes in as long (at "
        "least 5 s), seconds; 0 to record until interrupted.",
        minimum=0.0,
        maximum=1e6,
    )
    colour_codec: str = parameter(
        "png",
        "Compression of raw colour images; jpeg is lossy.",
        choices=get_args(ColourCodec),
    )
    depth_codec: str = parameter(
        "png", "Compression of raw 16-bit depth images.", choices=get_args(DepthCodec)
    )
    jpeg_quality: int = parameter(95, "Quality of JPEG images.", minimum=1, maximum=100)
    topics: tuple[str, ...] = parameter((), "Further topics to record, as they are.")
    reserve_mib: float = parameter(
        256.0,
        "Stop, with a whole file, when less than this is free on the disk, MiB.",
        minimum=0.0,
        maximum=1e9,
    )
