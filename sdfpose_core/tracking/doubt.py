"""When a pose is to be looked for anew."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sdfpose_core.frame import ObjectEstimate
from sdfpose_core.tracking.config import TrackerConfig
from sdfpose_core.tracking.motion import yaw_open

__all__ = ["Doubt"]


_LEVEL_BLEND = 0.1
"""Share of the newest inlier ratio in its usual value."""


_LONGEST_PATIENCE = 64
"""Images in doubt between two detections, at most."""


@dataclass(frozen=True)
class Doubt:
    """The hysteresis of a pose.

    An image speaks against it if the confidence is too low, or if it shows a front after one that
    left the yaw open: when the handle of a mug comes into view, the refinement may be caught where
    the handle is not.

    Attributes:
        frames: images in a row that speak against the pose.
        patience: how many of them are borne; doubles whenever a detection found nothing better,
            so that an object that is hard to see does not cost one in every image.
        yaw_open: whether an image since the last detection left the yaw open.
        inlier_level: the usual inlier ratio, 0 before the first.
        collapsed: whether the last one was far below.
    """

    frames: int
    patience: int
    yaw_open: bool = False
    inlier_level: float = 0.0
    collapsed: bool = False

    @classmethod
    def none(cls, config: TrackerConfig, estimate: ObjectEstimate | None = None) -> Doubt:
        """After a detection that is believed; its inlier ratio is what is usual from then on."""
        inliers = 0.0 if estimate is None else estimate.diagnostics.get("inlier_ratio", 0.0)
        return cls(0, config.drop_frames, inlier_level=inliers)

    def after(self, estimate: ObjectEstimate, config: TrackerConfig) -> Doubt:
        """After an image that shows the object."""
        symmetric = estimate.symmetric_about_y
        against = estimate.confidence < config.drop_confidence or (self.yaw_open and not symmetric)
        inliers = estimate.diagnostics.get("inlier_ratio", self.inlier_level)
        collapsed = inliers < config.inlier_collapse * self.inlier_level
        level = self.inlier_level or inliers
        if not collapsed:
            level += _LEVEL_BLEND * (inliers - level)
        return Doubt(
            frames=self.frames + 1 if against else 0,
            patience=self.patience if against else max(self.patience - 1, config.drop_frames),
            yaw_open=self.yaw_open or symmetric or yaw_open(estimate),
            inlier_level=level,
            collapsed=collapsed,
        )

    def due(self, config: TrackerConfig) -> bool:
        """Whether the pose has to be looked for from nothing."""
        return self.frames >= self.patience or (
            self.collapsed and self.patience == config.drop_frames
        )

    def postponed(self) -> Doubt:
        """After a detection that found nothing better."""
        patience = min(2 * self.patience, _LONGEST_PATIENCE)
        return replace(self, frames=0, patience=patience, yaw_open=False)
