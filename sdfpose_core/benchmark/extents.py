"""Extents and thresholds of the benchmarks. Without torch, for command lines."""

from __future__ import annotations

from typing import Literal

__all__ = [
    "DURATION_S",
    "GRASPS",
    "GRASP_CONFIDENCE",
    "MAX_OBJECTS",
    "OBJECTS",
    "RATE_HZ",
    "REPETITIONS",
    "RIG_DURATION_S",
    "RIG_RATE_HZ",
    "SEQUENCES",
    "SuiteName",
]

GRASPS = 10
"""Benchmark of grasps: the best candidates of each object are judged."""

GRASP_CONFIDENCE = 0.5
"""Benchmark of grasps: estimates with at least this confidence count as confident."""

SEQUENCES = 8
"""Default number of sequences of tracking."""

DURATION_S, RATE_HZ = 30.0, 10.0
"""Sequences in the world, seen by a camera on an arm."""

RIG_DURATION_S, RIG_RATE_HZ = 10.0, 5.0
"""Sequences in the world, seen by several cameras."""

OBJECTS, MAX_OBJECTS, REPETITIONS = 4, 16, 10
"""Benchmark of speed: objects on the table, and repetitions per median."""

SuiteName = Literal["clutter", "empty"]
"""Simulated images with true masks: objects of the categories among others, or only others."""
