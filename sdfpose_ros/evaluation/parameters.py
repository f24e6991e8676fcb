"""Parameters of the evaluator node."""

from __future__ import annotations

from dataclasses import dataclass

from sdfpose_ros.graph.parameters import parameter

__all__ = ["EvaluatorNodeParameters"]


@dataclass(frozen=True)
class EvaluatorNodeParameters:
    """Parameters of the evaluator node."""

    duration_s: float = parameter(
        0.0, "End so long after the first result, seconds; 0 for never.", minimum=0.0, maximum=1e6
    )
    startup_s: float = parameter(
        60.0,
        "How long to wait for the first result where duration_s is set, seconds.",
        minimum=1.0,
        maximum=1e6,
    )
    categories: tuple[str, ...] = parameter(
        (), "Categories that must have been estimated at the end; none for all in ground truth."
    )
    output_dir: str = parameter(
        "", "Folder for overlay.png, objects.json, meshes and demo.mcap; empty for none."
    )
    record: bool = parameter(True, "Whether demo.mcap is recorded in output_dir.")
    matching_window: int = parameter(
        200, "Frames of ground truth that are kept for results to come.", minimum=1, maximum=10000
    )
