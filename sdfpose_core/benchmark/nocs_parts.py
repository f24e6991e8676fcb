"""The NOCS benchmarks and the scores of predictions. Without torch, for command lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["BENCHMARKS", "BenchmarkPart", "ScoreName"]

ScoreName = Literal["detector", "confidence", "product"]
"""Score of a prediction: that of the detector, as published, our confidence, or their product."""


@dataclass(frozen=True)
class BenchmarkPart:
    """A benchmark on the NOCS data.

    Attributes:
        part: folder of its images, below the data folder.
        detections: folder of the published detections, below the data folder.
        title: name for people.
    """

    part: str
    detections: str
    title: str


BENCHMARKS = {
    "real275": BenchmarkPart("Real/test", "results/mrcnn_results/real_test", "REAL275"),
    "camera25": BenchmarkPart("CAMERA/val", "results/mrcnn_results/val", "CAMERA25"),
}
