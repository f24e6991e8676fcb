"""Parameters of the evaluator node."""

from __future__ import annotations

from dataclasses import dataclass

from sdfpose_ros.graph.parameters import parameter
from sdfpose_ros.graph.startup import STARTUP_S

__all__ = ["EvaluatorNodeParameters"]


@dataclass(frozen=True)
class EvaluatorNodeParameters:
    """Parameters of the evaluator node."""

    duration_s: float = parameter(
        0.0,
        "Exit this long after the first result, seconds; 0 for never.",
        minimum=0.0,
        maximum=1e6,
    )
    startup_s: float = parameter(
        STARTUP_S,
        "Longest wait for the first result if duration_s is set, seconds.",
        minimum=1.0,
        maximum=1e6,
    )
    categories: tuple[str, ...] = parameter(
        (), "Categories that have to be estimated; none for those in the ground truth."
    )
    output_dir: str = parameter(
        "", "Folder for overlay.png, objects.json, meshes and demo.mcap; empty for none."
    )
    record: bool = parameter(True, "Record demo.mcap in output_dir.")
    matching_window: int = parameter(
        200, "Frames whose ground truth is kept until the result arrives.", minimum=1, maximum=10000
    )
