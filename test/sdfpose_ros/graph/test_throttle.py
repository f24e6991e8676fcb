from __future__ import annotations

from sdfpose_ros.graph.throttle import ThrottledLog


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, message: str) -> None:
        self.lines.append(f"W {message}")

    def error(self, message: str) -> None:
        self.lines.append(f"E {message}")


def test_each_problem_is_told_once_in_a_period():
    now = [0.0]
    log = Log()
    throttled = ThrottledLog(log, period_s=5.0, clock=lambda: now[0])
    for now[0] in (0.0, 1.0, 4.9):
        throttled.warning("a", f"a at {now[0]}")
        throttled.error("b", f"b at {now[0]}")
    now[0] = 5.0
    throttled.warning("a", "a at 5.0")
    assert log.lines == ["W a at 0.0", "E b at 0.0", "W a at 5.0"]


def test_problems_of_the_past_take_no_memory():
    now = [0.0]
    throttled = ThrottledLog(Log(), period_s=1.0, clock=lambda: now[0])
    for number in range(1000):
        now[0] = float(number)
        throttled.warning(number, "x")
    assert len(throttled._logged_s) <= 2
