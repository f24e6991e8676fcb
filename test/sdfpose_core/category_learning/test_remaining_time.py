"""Remaining time over all stages."""

import pytest

from sdfpose_core.category_learning.remaining_time import RemainingTime


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_rest_takes_as_much_longer_as_what_was_done():
    clock = Clock()
    remaining = RemainingTime({"a": 10.0, "b": 30.0}, clock)
    assert remaining.seconds == pytest.approx(40.0)
    remaining.update("a", 0.0)
    clock.now = 20.0
    remaining.update("a", 1.0)
    assert remaining.share == pytest.approx(0.25)
    assert remaining.seconds == pytest.approx(60.0)
    clock.now = 80.0
    remaining.update("b", 1.0)
    assert remaining.seconds == 0.0


def test_work_of_an_earlier_run_does_not_count():
    clock = Clock()
    remaining = RemainingTime({"a": 10.0, "b": 20.0, "c": 10.0}, clock)
    remaining.update("b", 0.5)
    assert remaining.share == pytest.approx(0.5)
    assert remaining.seconds == pytest.approx(20.0)
    clock.now = 5.0
    remaining.update("b", 1.0)
    assert remaining.seconds == pytest.approx(5.0)
