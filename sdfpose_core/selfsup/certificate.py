"""Criteria for trusting estimates of unlabelled real objects."""

from __future__ import annotations

from dataclasses import dataclass

from sdfpose_core.observation.frame import ObjectEstimate

__all__ = ["Certificate"]


@dataclass(frozen=True)
class Certificate:
    """Thresholds that an estimate must meet to serve as a label.

    The refinement reveals errors by itself: observed points off the surface, and parts of the
    surface in observed free space or outside the mask.

    Attributes:
        confidence: minimum calibrated probability that the pose is right.
        inlier_ratio: minimum share of the observed points on the surface.
        free_space_violation: maximum share of the surface in free space or outside the silhouette.
    """

    confidence: float = 0.8
    inlier_ratio: float = 0.85
    free_space_violation: float = 0.08

    def objections(self, estimate: ObjectEstimate) -> list[str]:
        """List the criteria that the estimate fails; empty if it is certified."""
        diagnostics = estimate.diagnostics
        objections = []
        if estimate.confidence < self.confidence:
            objections.append("confidence")
        if diagnostics["inlier_ratio"] < self.inlier_ratio:
            objections.append("inlier_ratio")
        if diagnostics["free_space_violation"] > self.free_space_violation:
            objections.append("free_space_violation")
        return objections
