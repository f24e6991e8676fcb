"""What `sdfpose estimate` estimated, and its JSON document."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sdfpose_core.cli.frame_masks import FrameMasks
from sdfpose_core.evaluation import PoseErrors
from sdfpose_core.evaluation.frame_evaluation import alternatives_as_json
from sdfpose_core.observation.frame import ObjectEstimate, SkippedInstance

__all__ = ["EstimateRow", "Estimates"]


@dataclass(frozen=True)
class EstimateRow:
    """One estimate of a frame, with its errors if there is ground truth."""

    instance: str
    estimate: ObjectEstimate
    errors: PoseErrors | None
    time_ms: float

    def as_json(self) -> dict[str, Any]:
        """Convert to a JSON object."""
        x = self.estimate
        entry: dict[str, Any] = {
            "mask_id": int(x.mask_id),
            "category": x.category,
            "instance": self.instance,
            "R": x.rotation.tolist(),
            "t": x.translation.tolist(),
            "scale": float(x.scale),
            "dimensions_m": x.dimensions_m.tolist(),
            "confidence": float(x.confidence),
            "symmetric_about_y": bool(x.symmetric_about_y),
            "symmetries": x.symmetries.tolist(),
            "covariance": x.covariance.tolist(),
            "probability": float(x.probability),
            "alternatives": alternatives_as_json(x.alternatives),
            "diagnostics": {name: float(value) for name, value in x.diagnostics.items()},
            "time_ms": self.time_ms,
        }
        return entry if self.errors is None else entry | dataclasses.asdict(self.errors)


@dataclass
class Estimates:
    """What was estimated.

    Attributes:
        estimated: the estimates by name of the frame.
        skipped: the masks without an estimate, by name of the frame.
        folders: the folder of each frame that could be read.
        problems: a sentence for each.
        written: whether all overlays and meshes were written.
    """

    estimated: dict[str, list[EstimateRow]] = field(default_factory=dict)
    skipped: dict[str, Sequence[SkippedInstance]] = field(default_factory=dict)
    folders: dict[str, Path] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    written: bool = True

    def as_json(self, out: Path, masks: FrameMasks | None) -> dict[str, Any]:
        """Convert to a JSON object."""
        return {
            "frames": {
                name: [row.as_json() for row in rows] for name, rows in self.estimated.items()
            },
            "skipped": {
                name: [dataclasses.asdict(x) for x in some] for name, some in self.skipped.items()
            },
            **({} if masks is None else {"masks": masks.as_json()}),
            "folders": {name: str(self.folders[name]) for name in self.estimated},
            "out": str(out),
            "problems": self.problems,
        }
