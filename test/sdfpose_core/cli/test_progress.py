"""Progress of long commands where standard error is no terminal."""

from __future__ import annotations

import pytest

from sdfpose_core.cli import progress
from sdfpose_core.cli.progress import progress_bar


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test turns."""

    class Clock:
        now_s = 100.0

        def monotonic(self):
            return self.now_s

    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def told(clock, capsys, *, steps, seconds, total):
    with progress_bar() as bar:
        task = bar.add_task("images [a]", total=total)
        for _ in range(steps):
            clock.now_s += seconds
            bar.advance(task)
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_a_line_is_printed_for_each_tenth(clock, capsys):
    lines = told(clock, capsys, steps=40, seconds=2.0, total=40)
    assert lines[0] == "sdfpose: images [a]: 4 of 40 (10 %)"
    assert len(lines) == 10
    assert lines[-1] == "sdfpose: images [a]: 40 of 40 (100 %)"


def test_short_work_is_silent_and_slow_work_is_not(clock, capsys):
    assert told(clock, capsys, steps=40, seconds=0.1, total=40) == []
    assert len(told(clock, capsys, steps=4, seconds=100.0, total=1000)) == 4


def test_without_a_total_the_count_is_printed(clock, capsys):
    assert told(clock, capsys, steps=3, seconds=40.0, total=None) == ["sdfpose: images [a]: 2"]
