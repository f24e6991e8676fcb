"""Metrics of tracking through a sequence: identity switches, flips, gaps and drift."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.evaluation.pose_errors import WRONG_MODE_DEG, rotation_error_deg

__all__ = [
    "Drift",
    "FirstMode",
    "Flip",
    "Gap",
    "TrackSample",
    "drift",
    "first_modes",
    "flips",
    "gaps",
    "id_switches",
]

GAP_FRAMES = 3
"""Minimum number of hidden frames between two visible ones for a gap."""

SETTLING_S = 0.5
"""Drift is measured from this time after the first frame of a track, seconds."""

DRIFT_FRAMES = 16
"""Minimum number of frames after that for a drift: a quarter of fewer frames is too few."""

MENDING_S = 1.0
"""A wrong first mode should be mended this time after the first view that shows it, seconds."""


@dataclass(frozen=True)
class TrackSample:
    """A true object in one frame, and the track that reports it.

    Attributes:
        time_s: time of the frame, seconds.
        visible: whether enough of the object is visible that a track must report it.
        hidden: whether nothing of the object is visible. An object that is neither visible nor
            hidden may be reported or not.
        true_rotation: (3, 3), object to camera frame; None if the object is hidden.
        symmetric_about_y: whether its yaw is undefined in this frame.
        track_id: id of the track that reports the object, None if there is none.
        rotation: (3, 3), reported rotation; None without a track.
        degrees, centimetres: errors of the reported pose, infinite without a track and with another
            category.
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
    """A rotation of a track that its object did not make.

    Attributes:
        frame: index of the later of the two frames.
        degrees: angle of the rotation.
        corrective: whether the error is smaller afterwards.
    """

    frame: int
    degrees: float
    corrective: bool


@dataclass(frozen=True)
class Gap:
    """A sequence of frames in which an object is not visible.

    Attributes:
        first, last: indices of the first and the last of these frames.
        recovered: whether the first track that reports the object afterwards is the last one that
            did so before.
    """

    first: int
    last: int
    recovered: bool


@dataclass(frozen=True)
class FirstMode:
    """The mode that a track starts with.

    Attributes:
        wrong: whether it is of another category, or rotated by more than `WRONG_MODE_DEG`.
        mended: whether it was wrong, but no longer is `MENDING_S` after the first view that shows
            it.
    """

    wrong: bool
    mended: bool


@dataclass(frozen=True)
class Drift:
    """Growth of errors over the life of a track; None if no track is long enough.

    Attributes:
        degrees, centimetres: medians over tracks.
        tracks: number of tracks.
    """

    degrees: float | None
    centimetres: float | None
    tracks: int


def id_switches(history: Sequence[TrackSample]) -> list[int]:
    """List the frames in which a visible object is reported by another track than before.

    These are the mismatches of CLEAR MOT (Bernardin and Stiefelhagen, "Evaluating Multiple Object
    Tracking Performance", 2008). The last reported id is kept over frames without a report, so a
    new id after a gap is a switch, and two tracks that swap objects are two switches.

    Args:
        history: samples of one object, frame by frame.
    """
    switches = []
    last = None
    for i, sample in enumerate(history):
        if not sample.visible or sample.track_id is None:
            continue
        if last is not None and sample.track_id != last:
            switches.append(i)
        last = sample.track_id
    return switches


def flips(history: Sequence[TrackSample]) -> list[Flip]:
    """Find rotations by more than `WRONG_MODE_DEG` between two frames not made by the object.

    With R reported and T true, the angle is that between R_i and T_i T_(i-1)^T R_(i-1), the
    previous rotation moved along with the object. If the object is symmetric in either frame, it
    is the angle between the y axes. The object must be visible and reported by the same track in
    both frames.

    Args:
        history: samples of one object, frame by frame.
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
        expected = after.true_rotation @ before.true_rotation.T @ before.rotation
        symmetric = before.symmetric_about_y or after.symmetric_about_y
        degrees = float(rotation_error_deg(after.rotation, expected, symmetric))
        if degrees > WRONG_MODE_DEG:
            found.append(Flip(i, degrees, after.degrees < before.degrees))
    return found


def gaps(history: Sequence[TrackSample]) -> list[Gap]:
    """Find sequences of frames between two visible ones in which the object is not visible.

    The object must be hidden in at least `GAP_FRAMES` of them. A gap is recovered if the last
    report before it and the first one after it are from the same track. It is not recovered if
    there is no report before or after it.

    Args:
        history: samples of one object, frame by frame.
    """
    seen = [i for i, sample in enumerate(history) if sample.visible]
    found = []
    for i, j in pairwise(seen):
        if sum(sample.hidden for sample in history[i + 1 : j]) >= GAP_FRAMES:
            before, after = _reports(history[: i + 1])[-1:], _reports(history[j:])[:1]
            found.append(Gap(i + 1, j - 1, recovered=bool(before) and before == after))
    return found


def first_modes(history: Sequence[TrackSample]) -> list[FirstMode]:
    """Judge the first mode of each track, and whether it is mended in time.

    Only frames in which the object is visible count. A mug whose handle is hidden may be turned in
    any way. The handle shows which was right: the first rotation, moved along with the object, is
    judged in the first view with a handle. Where there is none, and for all other objects, the
    first view says what is right. A wrong mode is mended if the track's last pose within
    `MENDING_S` of that view is in the right mode.

    Args:
        history: samples of one object, frame by frame.
    """
    return [_first_mode(life) for life in _lives(history)]


def drift(histories: Iterable[Sequence[TrackSample]]) -> Drift:
    """Measure how much the error of a track grows over its life.

    The drift of a track is the median error in the last quarter of its frames minus the median
    error in the first quarter. Only frames with a visible object count, starting `SETTLING_S` after
    the first. Tracks with fewer than `DRIFT_FRAMES` such frames are ignored.

    Args:
        histories: samples of all objects, frame by frame.
    """
    degrees, centimetres = [], []
    for history in histories:
        for life in _lives(history):
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


def _lives(history: Iterable[TrackSample]) -> list[list[TrackSample]]:
    """Split the samples with a visible object and a track by track."""
    lives: dict[int, list[TrackSample]] = {}
    for sample in history:
        if sample.visible and sample.track_id is not None:
            lives.setdefault(sample.track_id, []).append(sample)
    return list(lives.values())


def _first_mode(life: Sequence[TrackSample]) -> FirstMode:
    first = telling = life[0]
    wrong = first.degrees > WRONG_MODE_DEG
    if not wrong and first.rotation is not None and first.true_rotation is not None:
        telling = next((x for x in life if not x.symmetric_about_y), first)
        symmetric = telling.symmetric_about_y
        off = rotation_error_deg(first.rotation, first.true_rotation, symmetric)
        wrong = bool(off > WRONG_MODE_DEG)
    later = [x for x in life if telling.time_s <= x.time_s <= telling.time_s + MENDING_S]
    return FirstMode(wrong, mended=wrong and later[-1].degrees <= WRONG_MODE_DEG)


def _reports(samples: Sequence[TrackSample]) -> list[int]:
    """List the ids of the tracks that report a visible object."""
    return [x.track_id for x in samples if x.visible and x.track_id is not None]


def _median(values: Iterable[float]) -> float:
    return float(np.median(list(values)))
