from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdfpose_core.errors import ConfigurationError
from sdfpose_core.replay.schedule import Schedule


def at(*milliseconds):
    return [SimpleNamespace(arrival_ns=round(1e6 * x)) for x in milliseconds]


def processed(schedule, frames):
    done = list(schedule.processed(frames))
    assert len(done) == len(frames)
    assert all(x is None or x is y for x, y in zip(done, frames, strict=True))
    return [i for i, x in enumerate(done) if x is not None]


def test_a_node_with_time_works_on_every_frame():
    assert processed(Schedule(30.0), at(0, 33, 66, 99)) == [0, 1, 2, 3]


def test_a_busy_node_takes_the_newest_of_those_that_came_meanwhile():
    # Busy from 0 to 100 ms; 33 and 66 are replaced by 99, which is worked on from 100 to 200.
    assert processed(Schedule(100.0), at(0, 33, 66, 99, 132, 165, 198, 231)) == [0, 3, 6, 7]


def test_the_last_frame_that_waits_is_worked_on():
    assert processed(Schedule(100.0), at(0, 10, 20)) == [0, 2]


def test_frames_may_come_at_another_rate_than_they_were_recorded_at():
    same_time = at(0, 0, 0, 0)
    assert processed(Schedule(30.0, hz=20.0), same_time) == [0, 1, 2, 3]
    assert processed(Schedule(30.0), same_time) == [0, 3]


@given(
    st.lists(st.integers(0, 200), min_size=1, max_size=30),
    st.floats(1.0, 300.0),
)
def test_frames_are_dropped_only_while_the_node_is_busy(steps, busy_ms):
    times = [sum(steps[: i + 1]) for i in range(len(steps))]
    chosen = processed(Schedule(busy_ms), at(*times))
    assert chosen[0] == 0
    assert chosen[-1] == len(times) - 1
    busy = []
    for i in chosen:
        start = max(times[i], busy[-1][1] if busy else 0.0)
        busy.append((start, start + busy_ms))
    for i in set(range(len(times))) - set(chosen):
        assert any(start - 1e-6 <= times[i] <= end + 1e-6 for start, end in busy)


@pytest.mark.parametrize(("busy_ms", "hz"), [(0.0, None), (-1.0, None), (10.0, 0.0)])
def test_a_schedule_without_time_is_refused(busy_ms, hz):
    with pytest.raises(ConfigurationError, match="expected a positive number"):
        Schedule(busy_ms, hz)
