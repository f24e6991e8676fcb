"""Which estimates of real objects can be believed without anybody having labelled them."""

from __future__ import annotations

from dataclasses import dataclass

from sdfpose_core.observation.frame import ObjectEstimate

__all__ = ["Certificate"]


@dataclass(frozen=True)
class Certificate:
    """What an estimate must stand up to before it serves as a label.

    The refinement has its own view of an image: points that it does not explain, and parts of its
    surface where the camera saw through, or past the mask.

    Attributes:
        confidence: the calibrated probability that the pose is right, at least.
        inlier_ratio: share of the observed points on the surface, at least.
        free_space_violation: share of the surface in free space or outside the silhouette, at most.
    """

    confidence: float = 0.8
    inlier_ratio: float = 0.85
    free_space_violation: float = 0.08

    def objections(self, estimate: ObjectEstimate) -> list[str]:
        """What speaks against the estimate; nothing where it is certified."""
        found = estimate.diagnostics
        objections = []
        if estimate.confidence < self.confidence:
            objections.append("confidence")
        if found["inlier_ratio"] < self.inlier_ratio:
            objections.append("inlier_ratio")
        if found["free_space_violation"] > self.free_space_violation:
            objections.append("free_space_violation")
        return objections
