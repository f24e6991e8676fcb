"""How much a pose is believed, and when it is put to the test."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from sdfpose_core.observation.frame import ObjectEstimate
from sdfpose_core.tracking.config import TrackerConfig
from sdfpose_core.tracking.motion import farther, with_yaw_of, yaw_open

__all__ = ["Belief", "agree"]


_MOST_VOTE, _MOST_LOG_ODDS = 2.5, 4.0
"""What one detection, and all of them, can say: images of a sequence err together."""


_FADING = 0.9
"""Factor of the log odds for each image that speaks against the pose."""


_FIRM_LOG_ODDS = 2.0
"""Poses with more are believed."""

_FIRST_INTERVAL = 2
"""Images between the first detection of an object and the second."""


_UNCERTAIN_IMAGES = 4
"""An image that speaks against the pose brings the next detection nearer by so many."""


_LEVEL_BLEND = 0.1
"""Share of the newest inlier ratio in its usual value."""


_SAME_DEG, _SAME_SHARE = 25.0, 0.12
"""Poses that differ by less, and by less than this share of the diagonal, are the same. A laptop of
which the lid alone was seen may be turned right and be in the wrong place: its shape is wrong, and
other detections vote against it."""


@dataclass(frozen=True)
class Belief:
    """The odds that a pose is right, from detections that knew nothing of it.

    Each detection is a vote, worth the log odds of its confidence: for the pose if it found the
    same, against it otherwise. The sum is bounded (as in an occupancy grid; Moravec and Elfes,
    1985), so that a pose that was believed for long can still be given up. Votes are taken less and
    less often while they agree, and sooner when an image speaks against the pose: its confidence is
    low, or it shows a front after one that left the yaw open. When the handle of a mug comes into
    view, the refinement may be caught where the handle is not, and one vote decides.

    Attributes:
        log_odds: of the pose, natural logarithm.
        interval: images from one detection to the next.
        waited: images since the last one; those that speak against the pose count for more.
        yaw_open: whether an image since then left the yaw open.
        inlier_level: the usual inlier ratio.
        collapsed: whether the last one was far below.
    """

    log_odds: float
    interval: int
    waited: int = 0
    yaw_open: bool = False
    inlier_level: float = 0.0
    collapsed: bool = False

    @classmethod
    def of(cls, detection: ObjectEstimate) -> Belief:
        """After a detection whose pose is taken."""
        return cls(
            _vote(detection),
            _FIRST_INTERVAL,
            inlier_level=_inliers(detection, 0.0),
        )

    def after(self, estimate: ObjectEstimate, config: TrackerConfig) -> Belief:
        """After an image that shows the object."""
        symmetric = estimate.symmetric_about_y
        against = estimate.confidence < config.drop_confidence or (self.yaw_open and not symmetric)
        inliers = _inliers(estimate, self.inlier_level)
        collapsed = inliers < config.inlier_collapse * self.inlier_level
        level = self.inlier_level or inliers
        if not collapsed:
            level += _LEVEL_BLEND * (inliers - level)
        return replace(
            self,
            log_odds=(_FADING if against else 1.0) * self.log_odds,
            waited=self.waited + (_UNCERTAIN_IMAGES if against else 1),
            yaw_open=self.yaw_open or symmetric or yaw_open(estimate),
            inlier_level=level,
            collapsed=collapsed,
        )

    @property
    def uncertain(self) -> bool:
        """Whether few votes speak for the pose, or the last image spoke against it."""
        return self.collapsed or self.log_odds < _FIRM_LOG_ODDS

    @property
    def overdue(self) -> int:
        """Images by which the next detection is late; negative where it is not due yet."""
        return self.waited - self.interval

    def untested(self) -> Belief:
        """After a detection that found nothing: the next one can wait as well."""
        return replace(self, waited=0, collapsed=False)

    def voted(
        self,
        detection: ObjectEstimate,
        tracked: ObjectEstimate,
        config: TrackerConfig,
        *,
        shape_settled: bool = False,
    ) -> Belief:
        """After a detection in an image; the pose is to be given up where `log_odds` are negative.

        Args:
            detection: what it found.
            tracked: the pose in the same image.
            config: when to believe what.
            shape_settled: whether there is no more to learn of the shape; then detections serve
                the pose alone, and need not be as many.
        """
        vote = _vote(detection)
        # What was said while the yaw was open says nothing of it.
        held = 0.0 if self.yaw_open and not tracked.symmetric_about_y else self.log_odds
        settled = replace(
            self,
            waited=0,
            yaw_open=False,
            inlier_level=_inliers(tracked, self.inlier_level),
            collapsed=False,
        )
        same = agree(detection, tracked)
        return replace(
            settled,
            log_odds=min(held + (vote if same else -vote), _MOST_LOG_ODDS),
            # Nothing was learnt from a detection without confidence: the next one can wait as well.
            interval=min(
                2 * self.interval,
                config.settled_frames if shape_settled else config.redetect_frames,
            )
            if same or vote == 0.0
            else _FIRST_INTERVAL,
        )


def agree(one: ObjectEstimate, other: ObjectEstimate) -> bool:
    """Whether two estimates of an object in one image have the same pose, but for noise."""
    if one.symmetric_about_y or other.symmetric_about_y:
        other = with_yaw_of(other, one)
    return not farther(one, other, _SAME_DEG, _SAME_SHARE)


def _vote(detection: ObjectEstimate) -> float:
    """Log odds of its confidence; one that is more likely wrong than right says nothing."""
    confidence = min(max(detection.confidence, 0.5), 1.0 - 1e-12)
    return min(math.log(confidence / (1.0 - confidence)), _MOST_VOTE)


def _inliers(estimate: ObjectEstimate, otherwise: float) -> float:
    return estimate.diagnostics.get("inlier_ratio", otherwise)
