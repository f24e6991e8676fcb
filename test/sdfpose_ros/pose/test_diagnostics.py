from dataclasses import replace

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from sdfpose_core.observation.frame import SkippedInstance
from sdfpose_ros.pose.diagnostics import FrameCounts, Health, Period, _values, status_of

WELL = Period("active", 1.0, FrameCounts(10, 9, 0, 1), silence_s=0.1, objects=3)


@pytest.mark.parametrize(
    ("period", "level", "message"),
    [
        (WELL, DiagnosticStatus.OK, "3 objects at 9.0 Hz"),
        (replace(WELL, seconds=2.0), DiagnosticStatus.OK, "3 objects at 4.5 Hz"),
        (
            Period("active", 1.0, FrameCounts()),
            DiagnosticStatus.WARN,
            "waiting for the first complete frame",
        ),
        (
            replace(WELL, frames=FrameCounts(), silence_s=7.2),
            DiagnosticStatus.ERROR,
            "no complete frame for 7 s",
        ),
        (
            replace(WELL, frames=FrameCounts(), silence_s=7.2, busy=True),
            DiagnosticStatus.OK,
            "processing a frame for 7 s",
        ),
        (replace(WELL, frames=FrameCounts(), silence_s=4.0), DiagnosticStatus.OK, "at 0.0 Hz"),
        (
            replace(WELL, frames=FrameCounts(5, 0, 5, 0)),
            DiagnosticStatus.ERROR,
            "all 5 frames failed, see the log",
        ),
        (
            replace(WELL, frames=FrameCounts(5, 3, 2, 0)),
            DiagnosticStatus.WARN,
            "2 frames failed, see the log",
        ),
        (
            replace(WELL, frames=FrameCounts(30, 10, 0, 20)),
            DiagnosticStatus.WARN,
            "20 of 30 frames dropped: images arrive faster than they are processed",
        ),
        (
            replace(WELL, frames=FrameCounts(10, 0, 0, 0, 10)),
            DiagnosticStatus.OK,
            "disabled: images are ignored",
        ),
        (Period("inactive", 1.0, FrameCounts()), DiagnosticStatus.OK, "inactive"),
        (Period("unconfigured", 1.0, FrameCounts()), DiagnosticStatus.OK, "unconfigured"),
    ],
)
def test_levels_mean_something(period, level, message):
    found = status_of(period)
    assert found[0] == level
    assert message in found[1]


def test_counts_since_an_earlier_report():
    assert FrameCounts(9, 6, 1, 2, 4).since(FrameCounts(4, 3, 1, 0, 4)) == FrameCounts(5, 3, 0, 2)


def test_masks_without_an_estimate_are_counted_once_each_with_their_reasons():
    skipped = [(3, "mug", "too few points"), (3, "can", "too few points"), (5, "any", "a box")]
    period = replace(WELL, skipped=tuple(SkippedInstance(*x) for x in skipped), waiting=3)
    values = _values(period, Health("active", FrameCounts(), "cpu"))
    assert values["masks waiting"] == "3"
    assert values["masks without an estimate"] == "2"
    assert values["reasons"] == "too few points; a box"


def test_an_unconfigured_node_asks_no_device_for_its_memory(monkeypatch):
    """Its parameter may name one that is not there."""
    monkeypatch.setattr("torch.cuda.memory_allocated", lambda _: 1 / 0)
    values = _values(
        Period("unconfigured", 1.0, FrameCounts()), Health("unconfigured", FrameCounts(), "cuda:7")
    )
    assert values["device"] == "cuda:7"
    assert "GPU memory (MiB)" not in values
