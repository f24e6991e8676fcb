from __future__ import annotations

import threading
import time

import pytest

from sdfpose_ros.graph.worker import NewestWorker


class Recorder:
    """A worker whose items wait for a gate."""

    def __init__(self) -> None:
        self.done: list[object] = []
        self.errors: list[Exception] = []
        self.entered, self.gate = threading.Event(), threading.Event()
        self.worker: NewestWorker[object] = NewestWorker(self._process, self.errors.append)

    def _process(self, item: object) -> None:
        self.entered.set()
        assert self.gate.wait(5.0)
        if isinstance(item, Exception):
            raise item
        self.done.append(item)

    def submit_and_enter(self, item: object) -> None:
        self.worker.submit(item)
        assert self.entered.wait(5.0)


@pytest.fixture
def recorder():
    recorder = Recorder()
    yield recorder
    recorder.gate.set()
    assert recorder.worker.stop(5.0)


def test_only_the_newest_item_waits(recorder):
    recorder.submit_and_enter(1)
    for item in (2, 3, 4):
        recorder.worker.submit(item)
    recorder.gate.set()
    assert recorder.worker.wait_idle(5.0)
    assert recorder.done == [1, 4]
    worker = recorder.worker
    assert (worker.submitted, worker.processed, worker.replaced, worker.failed) == (4, 2, 2, 0)


def test_an_exception_is_told_and_the_worker_lives_on(recorder):
    recorder.gate.set()
    error = RuntimeError("boom")
    recorder.worker.submit(error)
    assert recorder.worker.wait_idle(5.0)
    recorder.worker.submit("next")
    assert recorder.worker.wait_idle(5.0)
    assert recorder.errors == [error]
    assert recorder.done == ["next"]
    assert (recorder.worker.processed, recorder.worker.failed) == (1, 1)


def test_an_interruption_runs_after_the_current_item_in_place_of_the_waiting_one(recorder):
    recorder.submit_and_enter(1)
    recorder.worker.submit(2)
    recorder.worker.interrupt(lambda: recorder.done.append("interrupted"))
    recorder.worker.submit(3)
    recorder.gate.set()
    assert recorder.worker.wait_idle(5.0)
    assert recorder.done == [1, "interrupted", 3]
    assert recorder.worker.replaced == 1


def test_the_pending_item_can_be_awaited_and_dropped(recorder):
    recorder.submit_and_enter(1)
    assert recorder.worker.wait_taken(0.0)
    recorder.worker.submit(2)
    assert not recorder.worker.wait_taken(0.02)
    recorder.worker.drop()
    assert recorder.worker.wait_taken(0.0)
    recorder.gate.set()
    assert recorder.worker.wait_idle()
    assert recorder.done == [1]
    assert recorder.worker.replaced == 1


def test_a_stopped_worker_is_not_waited_for(recorder):
    recorder.submit_and_enter(1)
    recorder.worker.submit(2)
    assert not recorder.worker.stop(0.0)
    assert not recorder.worker.wait_taken(5.0)
    assert not recorder.worker.wait_idle()


def test_an_idle_worker_is_interrupted_at_once(recorder):
    recorder.worker.interrupt(lambda: recorder.done.append("interrupted"))
    assert recorder.worker.wait_idle(5.0)
    assert recorder.done == ["interrupted"]


def test_waiting_for_a_busy_worker_ends_in_time(recorder):
    recorder.submit_and_enter(1)
    assert not recorder.worker.wait_idle(0.05)
    assert not recorder.worker.stop(0.05)


def test_an_item_replaces_none_of_another_source_and_the_sources_take_turns(recorder):
    recorder.submit_and_enter("a1")
    for item in ("a2", "b1", "a3", "c1", "b2"):
        recorder.worker.submit(item, item[0])
    recorder.gate.set()
    assert recorder.worker.wait_idle(5.0)
    worker = recorder.worker
    assert recorder.done == ["a1", "a3", "b2", "c1"]
    assert (worker.submitted, worker.processed, worker.replaced) == (6, 4, 2)


def test_a_source_that_is_fast_leaves_the_others_their_turn():
    done: list[object] = []
    worker: NewestWorker[str] = NewestWorker(None, lambda error: None)  # type: ignore[arg-type]

    def process(item):
        done.append(item)
        if len(done) < 8:
            worker.submit("fast", "fast")
            worker.submit("slow", "slow")

    worker._process = process
    try:
        worker.submit("fast", "fast")
        assert worker.wait_idle(5.0)
        assert done[1:8].count("slow") >= 3
    finally:
        assert worker.stop(5.0)


@pytest.mark.parametrize(("wait_s", "expected"), [(0.32, ["last"]), (0.05, ["before", "last"])])
def test_an_item_that_is_about_to_be_replaced_is_left_out(wait_s, expected):
    done: list[object] = []
    gate = threading.Event()

    def process(item):
        if item == "first":
            assert gate.wait(5.0)
        done.append(item)

    worker = NewestWorker(process, lambda error: None, patience_s=0.15)
    try:
        worker.submit("first")
        # As after six items that came every 0.4 s.
        worker._sources[""].intervals_s.extend([0.4] * 6)
        time.sleep(0.4)
        worker.submit("before")
        time.sleep(wait_s)
        gate.set()
        time.sleep(0.37 - wait_s)
        worker.submit("last")
        assert worker.wait_idle(5.0)
        assert done[1:] == expected
        assert worker.submitted == worker.processed + worker.replaced
    finally:
        assert worker.stop(5.0)
