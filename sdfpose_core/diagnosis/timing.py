"""Checks of the stamps and the arrival of a camera's messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.datasets.bags import Pairing
from sdfpose_core.diagnosis.findings import Finding, Level, worst_level
from sdfpose_core.diagnosis.sample import CameraSample, MessageHeader, Stream
from sdfpose_core.messages.errors import MessageError
from sdfpose_core.messages.pairing import FramePairing
from sdfpose_core.messages.stamps import RecentStamps

__all__ = ["check_clock", "check_rate", "check_stamps", "check_synchronisation"]

_IMAGES = ("colour", "depth")
"""Roles of the images that the camera itself publishes."""

_LEAST_MESSAGES = 5
"""With fewer messages, nothing is said about the rate."""

_SLOW_HZ, _STANDSTILL_HZ = 5.0, 1.0
"""Below the first rate tracking suffers, below the second there is none."""

_GAP = 1.5
"""Images were lost in an interval that is longer than this many median ones."""

_SOME_LOST, _MOST_LOST = 0.1, 0.5
"""Shares of lost images."""

_IRREGULAR = 0.5
"""Largest spread of the intervals (90th minus 10th percentile) of a steady camera, in medians."""

_RAISE_RATE = (
    "raise the frame rate in the driver (long exposure and USB 2 lower it); if images get lost, "
    "enlarge the shared memory ('Images get lost' in docs/node.md) or lower the resolution"
)

_ANOTHER_CLOCK_S = 60.0
"""Stamps that are further than this from the time of arrival are of another clock."""

_LATE_S = 0.5
"""Images that arrive this long after their exposure show the past."""

_FEW_MATCH = 0.5
"""Share of the images that have to form frames."""

_COPY_STAMPS = "copy the stamp of the colour image to depth, masks and labels that belong to it"


def check_rate(streams: Mapping[str, Stream]) -> Finding | None:
    """Check rate and regularity of colour and depth; None with too few messages to tell.

    Args:
        streams: times of the messages by role.
    """
    levels: list[Level] = []
    texts = []
    for role in _IMAGES:
        stream = streams.get(role)
        if stream is None or len(stream.stamps_ns) < _LEAST_MESSAGES:
            continue
        intervals = _intervals_s(stream)
        median = float(np.median(intervals))
        if not np.isfinite(median):
            continue
        lost = _lost_share(intervals, median)
        spread = float(np.subtract(*np.percentile(intervals, (90.0, 10.0)))) / median
        text = f"{role} {1.0 / median:.3g} Hz"
        if 1.0 / median < _STANDSTILL_HZ or lost > _MOST_LOST:
            levels.append("fault")
        elif 1.0 / median < _SLOW_HZ or lost > _SOME_LOST or spread > _IRREGULAR:
            levels.append("warning")
        if lost > _SOME_LOST:
            text += f", {lost:.0%} of the images lost"
        elif spread > _IRREGULAR:
            text += f", irregular (intervals vary by {spread:.0%})"
        texts.append(text)
    if not texts:
        return None
    level = worst_level(levels)
    return Finding(level, "rate", "; ".join(texts), "" if level == "ok" else _RAISE_RATE)


def check_stamps(streams: Mapping[str, Stream]) -> Finding | None:
    """Check that the stamps of colour and depth are filled in and increase; None without any."""
    problems = []
    level: Level = "ok"
    for role in _IMAGES:
        stream = streams.get(role)
        if stream is None:
            continue
        steps = np.diff(stream.stamps_ns)
        if not stream.stamps_ns.any():
            problems.append(f"the stamps of {stream.topic} are zero")
            level = "fault"
        elif backward := int(np.count_nonzero(steps < 0)):
            problems.append(f"{backward} of {len(steps)} stamps of {stream.topic} go back")
            level = "fault"
        elif repeated := int(np.count_nonzero(steps == 0)):
            problems.append(f"{repeated} of {len(steps)} stamps of {stream.topic} are repeated")
            level = worst_level([level, "warning"])
    if not streams.keys() & set(_IMAGES):
        return None
    if not problems:
        return Finding("ok", "stamps", "increasing")
    return Finding(
        level,
        "stamps",
        "; ".join(problems),
        "let the driver fill in the time of exposure, and look for a second publisher of the topic",
    )


def check_clock(streams: Mapping[str, Stream], *, live: bool) -> Finding | None:
    """Check the stamps of the colour images against the time of arrival; None without images.

    Args:
        streams: times of the messages by role.
        live: whether the messages arrived just now. Those of a recording may have been recorded
            with any delay.
    """
    stream = streams.get("colour")
    if stream is None or not stream.stamps_ns.any():
        return None
    late_s = 1e-9 * float(np.median(stream.arrivals_ns - stream.stamps_ns))
    if abs(late_s) > _ANOTHER_CLOCK_S:
        return Finding(
            "warning",
            "clock",
            f"the stamps of {stream.topic} are {_duration(late_s)} "
            f"{'behind' if late_s > 0.0 else 'ahead of'} the clock that they arrive by",
            "let the driver use the system time (or set use_sim_time in all nodes if the time is "
            "simulated or a bag is played): transforms are looked up at the time of the image",
        )
    if live and late_s > _LATE_S:
        return Finding(
            "warning",
            "clock",
            f"the images of {stream.topic} arrive {late_s:.2f} s after their stamps",
            "lower the resolution or the rate, and check the clock of the camera (time "
            "synchronisation of the driver)",
        )
    if late_s < -_LATE_S:
        return Finding(
            "warning",
            "clock",
            f"the stamps of {stream.topic} are {-late_s:.2f} s in the future",
            "synchronise the clocks of the machines (chrony or ptp), or let the driver use the "
            "system time",
        )
    return Finding("ok", "clock", f"images arrive {late_s:.3f} s after their stamps")


def check_synchronisation(sample: CameraSample) -> Finding | None:
    """Check whether the messages form frames, as the pose node combines them.

    Returns:
        The finding; None without messages of both colour and depth.
    """
    topics, streams = sample.topics, sample.streams()
    if topics is None or not {"colour", "depth"} <= streams.keys():
        return None
    # A topic without messages is a finding of its own, and must not keep the others waiting.
    silent = {x: "" for x in ("mask", "labels") if x not in streams}
    topics = replace(topics, **silent)
    errors: list[MessageError] = []
    pairing = Pairing()
    pairs = FramePairing(
        topics, pairing.slop_s, pairing.queue_size, errors.append, sample.latched_labels
    )
    recent = RecentStamps()
    for x in sample.headers:
        topic = getattr(topics, x.role)
        if x.role != "camera_info":
            recent.add(topic, x.stamp_ns)
        pairs.take(topic, SimpleNamespace(header=_header(x)))
    pairs.finish()
    colour = streams["colour"]
    statistics = pairs.statistics
    if not statistics.matched:
        rate_hz = len(colour.stamps_ns) / max(colour.seconds, 1e-3)
        reason = recent.explain(topics.colour, rate_hz, pairing.queue_size)
        return Finding("fault", "synchronisation", f"no stamps agree: {reason}", _COPY_STAMPS)
    if not statistics.accepted:
        return Finding("fault", "synchronisation", f"no frame can be used: {errors[-1]}")
    possible = min(len(streams[x].stamps_ns) for x in ("colour", "depth", "mask") if x in streams)
    text = f"{statistics.matched} of {possible} images form frames"
    if statistics.matched >= _FEW_MATCH * possible:
        return Finding("ok", "synchronisation", text)
    late = ", ".join(f"{x} {y:.2f} s behind" for x, y in recent.lags().items() if y > 0.0)
    return Finding(
        "warning",
        "synchronisation",
        f"only {text}" + (f" (newest stamps: {late})" if late else ""),
        f"{_COPY_STAMPS}; raise queue_size if a topic is late, or slop_s if the driver does not "
        "synchronise its images",
    )


def _intervals_s(stream: Stream) -> NDArray[np.float64]:
    """Return the intervals (N - 1,) of stamps, or of arrivals if the stamps are of no use."""
    for times in (stream.stamps_ns, stream.arrivals_ns):
        steps = np.diff(times)
        if np.median(steps) > 0:
            return np.asarray(1e-9 * steps[steps > 0])
    return np.full(max(len(stream.stamps_ns) - 1, 1), np.inf)


def _lost_share(intervals: NDArray[np.float64], median: float) -> float:
    """Estimate the share of images that are missing between the others."""
    gaps = intervals[intervals > _GAP * median]
    lost = float(np.sum(np.rint(gaps / median) - 1.0))
    return lost / (lost + len(intervals) + 1.0)


def _header(header: MessageHeader) -> SimpleNamespace:
    sec, nanosec = divmod(header.stamp_ns, 1_000_000_000)
    return SimpleNamespace(
        stamp=SimpleNamespace(sec=sec, nanosec=nanosec), frame_id=header.frame_id
    )


def _duration(seconds: float) -> str:
    size = abs(seconds)
    if size < 600.0:
        return f"{size:.0f} s"
    return f"{size / 3600.0:.1f} h" if size < 86400.0 else f"{size / 86400.0:.0f} days"
