"""How well objects are followed through a sequence: identity, flips, gaps and drift."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.evaluation.pose_errors import rotation_error_deg

__all__ = ["Drift", "Flip", "Gap", "TrackSample", "drift", "flips", "gaps", "id_switches"]

FLIP_DEG = 60.0
"""A larger turn between two frames that the object did not make is a flip."""

GAP_FRAMES = 3
"""An object that is hidden in fewer frames between two sights has not been away."""

SETTLING_S = 0.5
"""A track's drift is measured from this long after its first frame."""

DRIFT_FRAMES = 16
"""Tracks with fewer frames after that have no drift: a quarter of them is too little."""


@dataclass(frozen=True)
class TrackSample:
    """A true object in one frame, and what the track that reports it says.

    Attributes:
        time_s: of the frame.
        visible: whether enough of the object is to be seen that a track has to report it.
        hidden: whether nothing of it is. Between the two, nothing is asked of a track.
        true_rotation: (3, 3), object to camera frame; None where the object is hidden.
        symmetric_about_y: whether its yaw has no meaning in this frame.
        track_id: of the track that reports it, None where none does.
        rotation: (3, 3), reported; None without a track.
        degrees, centimetres: errors of the report, infinite without a track.
    """

    time_s: float
    visible: bool
    hidden: bool
    true_rotation: NDArray[np.float64] | None = None
    symmetric_about_y: bool = False
    track_id: int | None = None
    rotation: NDArray[np.float64] | None = None
    degrees: float = float("inf")
    centimetres: float = float("inf")


@dataclass(frozen=True)
class Flip:
    """A turn that a track made and its object did not.

    Attributes:
        frame: the later one of the two.
        degrees: angle of the turn.
        mends: whether the error is smaller afterwards.
    """

    frame: int
    degrees: float
    mends: bool


@dataclass(frozen=True)
class Gap:
    """Frames in which an object was away.

    Attributes:
        first, last: of those frames.
        recovered: whether the track that reported it before is the first to do so afterwards.
    """

    first: int
    last: int
    recovered: bool


@dataclass(frozen=True)
class Drift:
    """How much errors grow over the life of a track; None where no track is long enough.

    Attributes:
        degrees, centimetres: median over tracks.
        tracks: how many it is.
    """

    degrees: float | None
    centimetres: float | None
    tracks: int


def id_switches(history: Sequence[TrackSample]) -> list[int]:
    """Frames in which an object is visible and another track reports it than did last.

    The mismatches of CLEAR MOT (Bernardin and Stiefelhagen, "Evaluating Multiple Object Tracking
    Performance", 2008): what was reported last is remembered over frames without a report, so that
    a new id after a gap is one as well, and two tracks that change places are two.

    Args:
        history: of one object, frame by frame.
    """
    switches = []
    last = None
    for i, glimpse in enumerate(history):
        if not glimpse.visible or glimpse.track_id is None:
            continue
        if last is not None and glimpse.track_id != last:
            switches.append(i)
        last = glimpse.track_id
    return switches


def flips(history: Sequence[TrackSample]) -> list[Flip]:
    """Turns by more than `FLIP_DEG` between two frames in a row that the object did not make.

    With R reported and T true, it is the angle between R_i and T_i T_(i-1)^T R_(i-1), the rotation
    before the frame moved along with the object; between their y axes where the object is
    symmetric in either frame. It has to be visible and reported by the same track in both.

    Args:
        history: of one object, frame by frame.
    """
    found = []
    for i, (before, after) in enumerate(pairwise(history), start=1):
        if not (before.visible and after.visible) or before.track_id != after.track_id:
            continue
        if (
            before.rotation is None
            or after.rotation is None
            or before.true_rotation is None
            or after.true_rotation is None
        ):
            continue
        taken_along = after.true_rotation @ before.true_rotation.T @ before.rotation
        symmetric = before.symmetric_about_y or after.symmetric_about_y
        degrees = float(rotation_error_deg(after.rotation, taken_along, symmetric))
        if degrees > FLIP_DEG:
            found.append(Flip(i, degrees, after.degrees < before.degrees))
    return found


def gaps(history: Sequence[TrackSample]) -> list[Gap]:
    """Frames in a row, between two that show the object, in which it is not visible.

    It is hidden in at least `GAP_FRAMES` of them. A gap is recovered where the last report before
    it and the first one after it are of the same track; where there is none on either side, it is
    not.

    Args:
        history: of one object, frame by frame.
    """
    seen = [i for i, glimpse in enumerate(history) if glimpse.visible]
    found = []
    for i, j in pairwise(seen):
        if sum(glimpse.hidden for glimpse in history[i + 1 : j]) >= GAP_FRAMES:
            before, after = _reports(history[: i + 1])[-1:], _reports(history[j:])[:1]
            found.append(Gap(i + 1, j - 1, recovered=bool(before) and before == after))
    return found


def drift(histories: Iterable[Sequence[TrackSample]]) -> Drift:
    """How much the error of a track grows over its life.

    Of each track, the frames count in which the object is visible, from `SETTLING_S` after the
    first of them on. Its drift is the median error in the last quarter of these frames minus the
    median error in the first quarter. Tracks with fewer than `DRIFT_FRAMES` frames are left out.

    Args:
        histories: of all objects, frame by frame.
    """
    degrees, centimetres = [], []
    for history in histories:
        lives: dict[int, list[TrackSample]] = {}
        for glimpse in history:
            if glimpse.visible and glimpse.track_id is not None:
                lives.setdefault(glimpse.track_id, []).append(glimpse)
        for life in lives.values():
            settled = [x for x in life if x.time_s >= life[0].time_s + SETTLING_S]
            if len(settled) < DRIFT_FRAMES:
                continue
            quarter = len(settled) // 4
            first, last = settled[:quarter], settled[-quarter:]
            degrees.append(_median(x.degrees for x in last) - _median(x.degrees for x in first))
            centimetres.append(
                _median(x.centimetres for x in last) - _median(x.centimetres for x in first)
            )
    if not degrees:
        return Drift(None, None, 0)
    return Drift(float(np.median(degrees)), float(np.median(centimetres)), len(degrees))


def _reports(glimpses: Sequence[TrackSample]) -> list[int]:
    """Ids of the tracks that report a visible object."""
    return [x.track_id for x in glimpses if x.visible and x.track_id is not None]


def _median(values: Iterable[float]) -> float:
    return float(np.median(list(values)))
