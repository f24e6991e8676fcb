"""Parameters of the viewer node."""

from __future__ import annotations

from dataclasses import dataclass

from sdfpose_core.viewer.address import DEFAULT_HOST
from sdfpose_ros.graph.parameters import parameter

__all__ = ["ViewerNodeParameters"]


@dataclass(frozen=True)
class ViewerNodeParameters:
    """Parameters of the viewer node."""

    host: str = parameter(
        DEFAULT_HOST, "Network interface to listen on; 0.0.0.0 for all, without a password."
    )
    port: int = parameter(
        0,
        "Port of the page; 0 for the first free one from 8080 on.",
        minimum=0,
        maximum=65535,
    )
    max_rate_hz: float = parameter(
        10.0, "Largest number of images shown per second.", minimum=0.1, maximum=60.0
    )
    depth_unit: float = parameter(
        0.0,
        "Metres per unit of depth, for example 0.0001 for depth in 0.1 mm; 0 for millimetres in "
        "16-bit and metres in float images.",
        minimum=0.0,
        maximum=1.0,
    )
    title: str = parameter("sdfpose", "Title of the page.")
