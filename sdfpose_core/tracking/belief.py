"""Belief in a tracked pose, and when it is to be verified."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from sdfpose_core.observation.frame import ObjectEstimate
from sdfpose_core.tracking.config import TrackerConfig
from sdfpose_core.tracking.motion import farther, with_yaw_of, yaw_open

__all__ = ["Belief", "agree"]


_MAX_VOTE, _MAX_LOG_ODDS = 2.5, 4.0
"""Bounds on one vote and on their sum: errors in the images of a sequence are correlated."""


_REJECTION_VOTE = 1.5
"""What a rejection is worth: about the log odds of the probability from which on masks are
rejected."""


_FADING = 0.9
"""Factor of the log odds for each image that contradicts the pose."""


_FIRM_LOG_ODDS = 2.0
"""Poses with more log odds are trusted."""

_FIRST_INTERVAL = 2
"""Images between the detection of an object and its first verification."""


_UNCERTAIN_IMAGES = 4
"""Number of images by which a contradicting image brings the next verification nearer."""


_LEVEL_BLEND = 0.1
"""Weight of the newest inlier ratio in the running average."""


_SAME_DEG, _SAME_SHARE = 25.0, 0.12
"""Poses that differ by less than this angle and this share of the diagonal count as the same. A
laptop of which only the lid was visible may have the right rotation at a wrong place: its shape is
wrong, and other detections vote against it."""


@dataclass(frozen=True)
class Belief:
    """The odds that a pose is right, from independent detections.

    Each detection is a vote, worth the log odds of its confidence: for the pose if it agrees,
    against it otherwise. The sum is bounded (as in an occupancy grid; Moravec and Elfes, 1985), so
    that a pose that was trusted for long can still be given up. Verifications become rarer while
    they agree. They come sooner when an image contradicts the pose: its confidence is low, or it
    shows a front after one that left the yaw open. When the handle of a mug comes into view, the
    refinement may be caught at a wrong yaw; then one vote decides.

    Attributes:
        log_odds: of the pose, natural logarithm.
        interval: images from one verification to the next.
        waited: images since the last verification; contradicting images count for more.
        yaw_open: whether an image since then left the yaw open.
        inlier_level: running average of the inlier ratio.
        collapsed: whether the last inlier ratio was far below it.
    """

    log_odds: float
    interval: int
    waited: int = 0
    yaw_open: bool = False
    inlier_level: float = 0.0
    collapsed: bool = False

    @classmethod
    def of(cls, detection: ObjectEstimate) -> Belief:
        """The belief in a pose that was just detected."""
        return cls(
            _vote(detection),
            _FIRST_INTERVAL,
            inlier_level=_inliers(detection, 0.0),
        )

    def after(
        self, estimate: ObjectEstimate, config: TrackerConfig, *, yaw_known: bool = False
    ) -> Belief:
        """The belief after an image that shows the object.

        Args:
            estimate: in the image.
            config: of the tracker.
            yaw_known: whether the yaw is known whatever this image shows: it was seen, and the
                object has not moved since.
        """
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
            yaw_open=self.yaw_open or (not yaw_known and (symmetric or yaw_open(estimate))),
            inlier_level=level,
            collapsed=collapsed,
        )

    @property
    def uncertain(self) -> bool:
        """Whether few votes support the pose, or the last image contradicts it."""
        return self.collapsed or self.log_odds < _FIRM_LOG_ODDS

    @property
    def overdue(self) -> int:
        """Images by which the next verification is late; negative if it is not due yet."""
        return self.waited - self.interval

    def untested(self) -> Belief:
        """The belief after a verification that detected nothing."""
        return replace(self, waited=0, collapsed=False)

    def rejected(self) -> Belief:
        """The belief after a verification found the mask to show nothing of the categories.

        Negative `log_odds` mean that there is no such object.
        """
        return replace(
            self,
            log_odds=self.log_odds - _REJECTION_VOTE,
            interval=_FIRST_INTERVAL,
            waited=0,
            collapsed=False,
        )

    def voted(
        self,
        detection: ObjectEstimate,
        tracked: ObjectEstimate,
        config: TrackerConfig,
        *,
        shape_settled: bool = False,
    ) -> Belief:
        """The belief after a verification. Negative `log_odds` mean that the pose is wrong.

        Args:
            detection: in the image of the verification.
            tracked: the tracked estimate in the same image.
            config: of the tracker.
            shape_settled: whether the shape no longer changes. Verifications then serve the pose
                alone and can be rarer.
        """
        vote = _vote(detection)
        # Votes that were cast while the yaw was open do not support it.
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
            log_odds=min(held + (vote if same else -vote), _MAX_LOG_ODDS),
            # A detection without confidence is no evidence: the next one need not come sooner.
            interval=min(
                2 * self.interval,
                config.settled_frames if shape_settled else config.redetect_frames,
            )
            if same or vote == 0.0
            else _FIRST_INTERVAL,
        )


def agree(one: ObjectEstimate, other: ObjectEstimate) -> bool:
    """Whether two estimates of one object in one image have the same category and pose."""
    if one.category != other.category:
        return False
    if one.symmetric_about_y or other.symmetric_about_y:
        other = with_yaw_of(other, one)
    return not farther(one, other, _SAME_DEG, _SAME_SHARE)


def _vote(detection: ObjectEstimate) -> float:
    """Log odds of a detection's confidence; 0 if it is more likely wrong than right."""
    confidence = min(max(detection.confidence, 0.5), 1.0 - 1e-12)
    return min(math.log(confidence / (1.0 - confidence)), _MAX_VOTE)


def _inliers(estimate: ObjectEstimate, otherwise: float) -> float:
    return estimate.diagnostics.get("inlier_ratio", otherwise)
