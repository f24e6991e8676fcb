"""Rest: whether an object stands still in the world.

Only with a known camera pose can this be told: in the camera frame all objects move together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from sdfpose_core.evaluation.pose_errors import rotation_error_deg
from sdfpose_core.observation.frame import ObjectEstimate
from sdfpose_core.tracking.config import TrackerConfig
from sdfpose_core.tracking.motion import yaw_open

__all__ = ["Rest", "displaced"]

_SHARE, _DEGREES = 0.06, 8.0
"""Estimates of an object at rest differ by less than this share of its diagonal, this angle..."""

_SDS = 2.0
"""...and this many standard deviations."""

_MAX_ROTATION_SD_DEG = 10.0
"""Less certain rotations count as if they were known this well."""

_SETTLE_S = 0.7
"""An object that has stayed at its place for this long is at rest."""

_MOVED_IMAGES = 2
"""This many images in a row have to show it elsewhere before it counts as moving."""


@dataclass(frozen=True)
class Rest:
    """Whether an object is at rest, from its poses in the world.

    Attributes:
        place: its pose when it was last known to move.
        since_ns: time of that, nanoseconds.
        at_rest: whether it has stayed there long enough.
        elsewhere: images in a row that showed an object at rest elsewhere.
    """

    place: ObjectEstimate
    since_ns: int
    at_rest: bool = False
    elsewhere: int = 0

    def after(
        self,
        seen: ObjectEstimate,
        tracked: ObjectEstimate,
        now_ns: int,
        config: TrackerConfig,
    ) -> Rest:
        """The state after an image that shows the object.

        Args:
            seen: its estimate in the image.
            tracked: its estimate from this and all earlier images.
            now_ns: time of the image, nanoseconds.
            config: of the tracker. Estimates with less than `drop_confidence` say nothing.
        """
        if self.at_rest:
            if seen.confidence < config.drop_confidence:
                return self
            if not displaced(seen, tracked):
                return replace(self, elsewhere=0)
            if self.elsewhere + 1 < _MOVED_IMAGES:
                return replace(self, elsewhere=self.elsewhere + 1)
            return Rest(seen, now_ns)
        if displaced(tracked, self.place):
            return Rest(tracked, now_ns)
        return replace(self, at_rest=1e-9 * (now_ns - self.since_ns) >= _SETTLE_S)


def displaced(one: ObjectEstimate, other: ObjectEstimate) -> bool:
    """Whether two poses of an object differ by more than the errors of the first explain.

    Args:
        one: an estimate with its covariance.
        other: of the same object, in the same frame. A yaw that either leaves open does not count.
    """
    offset_m = float(np.linalg.norm(one.translation - other.translation))
    place_sd_m = math.sqrt(max(float(np.linalg.eigvalsh(one.covariance[:3, :3])[-1]), 0.0))
    if offset_m > _SHARE * one.scale + _SDS * place_sd_m:
        return True
    symmetric = one.symmetric_about_y or other.symmetric_about_y or yaw_open(one) or yaw_open(other)
    turn = float(rotation_error_deg(one.rotation, other.rotation, symmetric))
    variance = max(float(np.linalg.eigvalsh(one.covariance[3:, 3:])[-1]), 0.0)
    turn_sd = min(math.degrees(math.sqrt(variance)), _MAX_ROTATION_SD_DEG)
    return turn > _DEGREES + _SDS * turn_sd
