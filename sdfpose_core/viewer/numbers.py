"""The numbers of the objects, and the history of rate, latency and confidence."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.observation.frame import ObjectEstimate
from sdfpose_core.viewer.views import ObjectView

__all__ = ["History", "object_numbers"]

_RATE_WINDOW_S, _MIN_SPAN_S = 3.0, 1.0
"""Time over which the rate is counted, and the shortest one."""


def object_numbers(view: ObjectView) -> list[tuple[str, str]]:
    """List what is known about an object, as names and values with units."""
    x = view.estimate
    rows = [
        ("object", f"{x.category} {view.id}"),
        *([("state", view.state)] if view.state else []),
        ("confidence", f"{100.0 * x.confidence:.0f} %"),
        ("position x, y, z", f"{_list(100.0 * x.translation, '.1f')} cm"),
        ("size x, y, z", f"{_list(100.0 * x.dimensions_m, '.1f')} cm"),
        ("diagonal", f"{100.0 * x.scale:.1f} cm"),
        ("up axis", _list(x.rotation[:, 1], ".2f")),
        *_deviations(x),
        ("symmetric about y", "yes" if x.symmetric_about_y else "no"),
    ]
    if x.alternatives:
        rows.append(("probability", f"{100.0 * x.probability:.0f} %"))
        rows += [
            (
                f"or {y.category}",
                f"{100.0 * y.probability:.0f} %, {_turn_deg(x, y.rotation):.0f}° turned",
            )
            for y in x.alternatives
        ]
    if len(x.vertices):
        revision = f" (revision {view.revision})" if view.revision else ""
        rows.append(("surface", f"{len(x.vertices)} vertices{revision}"))
    rows += [(name.replace("_", " "), f"{value:.3g}") for name, value in x.diagnostics.items()]
    return rows


def _deviations(x: ObjectEstimate) -> list[tuple[str, str]]:
    """Standard deviations of position and rotation; none if they are not known."""
    variances = np.diag(x.covariance)
    if not np.all(np.isfinite(variances)) or not np.any(variances):
        return []
    sds = np.sqrt(np.maximum(variances, 0.0))
    return [
        ("std. dev., position", f"{_list(1000.0 * sds[:3], '.1f')} mm"),
        ("std. dev., rotation", f"{_list(np.degrees(sds[3:]), '.1f')}°"),
    ]


def _turn_deg(x: ObjectEstimate, other: NDArray[np.floating]) -> float:
    """Angle between the rotation of an estimate and another one, degrees."""
    cosine = 0.5 * (float(np.trace(x.rotation.T @ other)) - 1.0)
    return math.degrees(math.acos(min(1.0, max(-1.0, cosine))))


def _list(values: NDArray[np.floating], form: str) -> str:
    return ", ".join(format(float(v), form) for v in values)


class History:
    """Rate, latency and confidence over time.

    Args:
        length_s: older values are dropped, seconds.
    """

    def __init__(self, length_s: float = 60.0) -> None:
        self._length_s = length_s
        self._total = 0
        self._counts: deque[tuple[float, int]] = deque()
        self._rows: deque[tuple[float, float, float, float, float]] = deque()

    def add(
        self, now_s: float, latency_s: float | None, confidences: Sequence[float], count: int = 1
    ) -> None:
        """Add a result.

        Args:
            now_s: time of the result; must not fall.
            latency_s: age of its image; None if not known.
            confidences: of its objects.
            count: number of results since the last one that was added, with this one.
        """
        self._total += count
        self._counts.append((now_s, self._total))
        while self._rows and self._rows[0][0] < now_s - self._length_s:
            self._rows.popleft()
        while self._counts[0][0] < now_s - _RATE_WINDOW_S and len(self._counts) > 2:
            self._counts.popleft()
        since_s, before = self._counts[0]
        span_s = max(now_s - since_s, _MIN_SPAN_S)  # results may arrive in bursts
        rate = (self._total - before) / span_s if now_s > since_s else math.nan
        self._rows.append(
            (
                now_s,
                rate,
                math.nan if latency_s is None else 1000.0 * latency_s,
                float(np.mean(confidences)) if len(confidences) else math.nan,
                float(np.min(confidences)) if len(confidences) else math.nan,
            )
        )

    def clear(self) -> None:
        """Forget all values."""
        self._rows.clear()
        self._counts.clear()

    @property
    def rate_hz(self) -> float:
        """Results per second, over the last three seconds; NaN before the second result."""
        return self._rows[-1][1] if self._rows else math.nan

    @property
    def latency_ms(self) -> float:
        """Median latency of the last results, milliseconds; NaN if not known."""
        known = [x[2] for x in self._rows if math.isfinite(x[2])]
        return float(np.median(known[-30:])) if known else math.nan

    def table(self) -> NDArray[np.float64]:
        """All values (5, N): seconds since the last result, which are negative, rate in Hz, latency
        in milliseconds, mean and lowest confidence. What is not known is NaN.
        """
        rows = np.array(self._rows, dtype=np.float64).reshape(-1, 5)
        if len(rows):
            rows[:, 0] -= rows[-1, 0]
        return rows.T
