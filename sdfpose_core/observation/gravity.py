"""Direction of gravity: from an accelerometer, and whether an image contradicts it."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.observation.support_plane import SupportPlane

__all__ = ["GravityFilter", "contradicted"]

_GRAVITY = 9.81
"""Metres per square second."""

_TOLERANCE = 0.1
"""A sample whose size differs from gravity's by more than this share shows motion."""

_TIME_CONSTANT_S = 0.5
_MAX_AGE_S = 1.0
"""An older result says nothing of a camera that may have turned since."""

_KEPT_S = 10.0
"""Results are kept for as long, since images are processed late."""

_UPRIGHT_SINE = math.sin(math.radians(15.0))
"""A plane within 15 degrees of the vertical may be a wall."""


def contradicted(up: NDArray[np.floating], planes: Iterable[SupportPlane]) -> bool:
    """Whether the planes of an image say that a direction is not up.

    They do if what looks like a table to a camera that is held upright (`SupportPlane.up`) is
    neither level nor upright, and nothing else is level: the direction is of another frame, has the
    wrong sign, or the sensor moves. The wall of one direction may be the table of another, so a
    direction that is wrong by a right angle goes unnoticed.

    Args:
        up: (3,) unit vector against gravity, camera frame.
        planes: of the image, from `dominant_planes`.
    """
    planes = list(planes)
    if any(x.points_up(up) for x in planes):
        return False
    return any(x.up is not None and abs(float(x.normal @ up)) > _UPRIGHT_SINE for x in planes)


class GravityFilter:
    """First-order low-pass filter of an accelerometer, which measures 9.81 m/s² upward at rest."""

    def __init__(self) -> None:
        self._results: list[tuple[int, NDArray[np.float64]]] = []

    def add(self, acceleration: NDArray[np.floating], stamp_ns: int) -> None:
        """Take a sample. One that is larger or smaller than gravity, or not finite, is ignored.

        Later results are forgotten: time jumped back.

        Args:
            acceleration: (3,), metres per square second, frame of the accelerometer.
            stamp_ns: time of the sample, nanoseconds.
        """
        value = np.asarray(acceleration, dtype=np.float64)
        if not abs(float(np.linalg.norm(value)) / _GRAVITY - 1.0) <= _TOLERANCE:
            return
        results = self._results
        while results and results[-1][0] >= stamp_ns:
            results.pop()
        if results:
            last_ns, last = results[-1]
            fading = math.exp(-1e-9 * (stamp_ns - last_ns) / _TIME_CONSTANT_S)
            value = fading * last + (1.0 - fading) * value
        results.append((stamp_ns, value))
        while 1e-9 * (stamp_ns - results[0][0]) > _KEPT_S:
            results.pop(0)

    def up(self, stamp_ns: int) -> NDArray[np.float64] | None:
        """Unit vector (3,) against gravity at a time, frame of the accelerometer.

        Returns None if there was no sample in the second before.
        """
        index = bisect.bisect_right(self._results, stamp_ns, key=lambda x: x[0])
        if index == 0:
            return None
        sample_ns, value = self._results[index - 1]
        length = float(np.linalg.norm(value))
        if 1e-9 * (stamp_ns - sample_ns) > _MAX_AGE_S or length == 0.0:
            return None
        return value / length
