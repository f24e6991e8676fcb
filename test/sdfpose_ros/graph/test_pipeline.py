"""Two threads in a row: what overlaps, what waits, and that every item is accounted for."""

from __future__ import annotations

import threading
import time

import pytest

from sdfpose_ros.graph.pipeline import NewestPipeline


class Gate:
    """A step that waits until it may go on."""

    def __init__(self, *, is_open: bool = False) -> None:
        self.entered: list[object] = []
        self.left: list[object] = []
        self._allowed = threading.Semaphore(10_000 if is_open else 0)

    def __call__(self, item):
        self.entered.append(item)
        assert self._allowed.acquire(timeout=10.0)
        if isinstance(item, Exception):
            raise item
        self.left.append(item)
        return item

    def let_through(self, count: int = 1) -> None:
        self._allowed.release(count)


class Recorder:
    """A pipeline with a gate in each thread."""

    def __init__(self, *, prepare_open: bool = False) -> None:
        self.prepare, self.finish = Gate(is_open=prepare_open), Gate()
        self.errors: list[Exception] = []
        self.pipeline: NewestPipeline[object, object] = NewestPipeline(
            self.prepare, self.finish, self.errors.append
        )

    def counts(self):
        x = self.pipeline
        return x.submitted, x.processed, x.failed, x.replaced


@pytest.fixture
def make_recorder():
    made = []

    def make(**options):
        made.append(Recorder(**options))
        return made[-1]

    yield make
    for recorder in made:
        for gate in (recorder.prepare, recorder.finish):
            gate.let_through(1000)
        assert recorder.pipeline.stop(5.0)


def test_an_item_is_prepared_while_the_one_before_is_finished(make_recorder, wait_until):
    recorder = make_recorder()
    recorder.pipeline.submit(1)
    recorder.prepare.let_through()
    wait_until(lambda: recorder.finish.entered == [1], "the second thread")
    recorder.pipeline.submit(2)
    wait_until(lambda: recorder.prepare.entered == [1, 2], "the first thread")
    assert recorder.finish.left == []
    assert recorder.pipeline.busy
    assert not recorder.pipeline.wait_idle(0.02)
    recorder.prepare.let_through()
    recorder.finish.let_through(2)
    assert recorder.pipeline.wait_idle(5.0)
    assert recorder.finish.left == [1, 2]
    assert recorder.counts() == (2, 2, 0, 0)
    assert not recorder.pipeline.busy


def test_what_waits_is_prepared_anew_only_if_it_waits_longer_than_that_took(
    make_recorder, wait_until
):
    recorder = make_recorder()
    recorder.pipeline.submit(1)
    recorder.prepare.let_through()
    wait_until(lambda: recorder.finish.entered == [1], "the second thread")
    recorder.pipeline.submit(2)
    wait_until(lambda: recorder.prepare.entered == [1, 2], "the first thread")
    time.sleep(0.5)  # its preparation takes this long
    recorder.pipeline.submit(3)
    recorder.prepare.let_through()
    wait_until(lambda: recorder.prepare.left == [1, 2], "the preparation")
    time.sleep(0.1)
    assert recorder.prepare.entered == [1, 2]  # the second item may still be taken in time
    wait_until(lambda: recorder.prepare.entered == [1, 2, 3], "the next preparation")
    recorder.prepare.let_through()
    wait_until(lambda: recorder.prepare.left == [1, 2, 3], "the next preparation")
    recorder.finish.let_through(2)
    assert recorder.pipeline.wait_idle(5.0)
    assert recorder.finish.left == [1, 3]
    assert recorder.counts() == (3, 2, 0, 1)


def test_ever_less_is_prepared_in_vain(make_recorder, wait_until):
    """The second thread is slow, and new items come all the time."""
    recorder = make_recorder()
    recorder.pipeline.submit(0)
    recorder.prepare.let_through()
    wait_until(lambda: recorder.finish.entered == [0], "the second thread")
    prepare, gaps, ended = recorder.pipeline._prepare, [], []

    def slow(item):
        gaps.append(time.monotonic() - ended[-1] if ended else 0.0)
        time.sleep(0.05)
        recorder.prepare.let_through()
        prepare(item)
        ended.append(time.monotonic())
        return item

    recorder.pipeline._prepare = slow
    item = 0
    while len(gaps) < 4:
        recorder.pipeline.submit(item := item + 1)
        time.sleep(0.005)
    assert gaps[1] > 0.04
    assert gaps[2] > 0.09
    assert gaps[3] > 0.19
    recorder.finish.let_through(2)
    wait_until(lambda: len(recorder.finish.left) == 2, "what waits")
    assert recorder.finish.left[1] > 1


def test_the_newest_item_is_prepared_when_the_second_thread_takes_one(make_recorder, wait_until):
    recorder = make_recorder()
    for item in range(1, 5):
        recorder.pipeline.submit(item)
        wait_until(lambda: recorder.prepare.entered, "the first thread")
    recorder.prepare.let_through(2)
    wait_until(lambda: recorder.prepare.entered == [1, 4], "the newest")
    recorder.finish.let_through(2)
    assert recorder.pipeline.wait_idle(5.0)
    assert recorder.finish.left == [1, 4]
    assert recorder.counts() == (4, 2, 0, 2)


def test_exceptions_of_both_threads_are_told_and_the_threads_live_on(make_recorder):
    recorder = make_recorder(prepare_open=True)
    recorder.finish.let_through(5)
    wrong = ValueError("not prepared")
    recorder.pipeline.submit(wrong)
    assert recorder.pipeline.wait_idle(5.0)
    assert recorder.errors == [wrong]
    recorder.pipeline._second.submit(late := ValueError("not finished"))
    assert recorder.pipeline.wait_idle(5.0)
    recorder.pipeline.submit("right")
    assert recorder.pipeline.wait_idle(5.0)
    assert recorder.errors == [wrong, late]
    assert recorder.finish.left == ["right"]
    assert recorder.counts() == (2, 1, 2, 0)


def test_an_interruption_is_alone_and_keeps_its_place(make_recorder, wait_until):
    recorder = make_recorder()
    done = recorder.finish.left
    recorder.pipeline.submit(1)
    recorder.prepare.let_through()
    wait_until(lambda: recorder.finish.entered == [1], "the second thread")
    recorder.pipeline.submit(2)
    wait_until(lambda: recorder.prepare.entered == [1, 2], "the first thread")
    recorder.pipeline.submit(3)
    recorder.pipeline.interrupt(lambda: done.append("interrupted"))
    recorder.pipeline.submit(4)
    recorder.prepare.let_through()  # the second item, which is dropped, as the third one
    wait_until(lambda: recorder.counts()[3] == 2, "the items that waited")
    assert recorder.prepare.entered == [1, 2]
    recorder.finish.let_through()
    wait_until(lambda: recorder.prepare.entered == [1, 2, 4], "the item after the interruption")
    assert done == [1, "interrupted"]
    recorder.prepare.let_through()
    recorder.finish.let_through()
    assert recorder.pipeline.wait_idle(5.0)
    assert done == [1, "interrupted", 4]
    assert recorder.counts() == (4, 2, 0, 2)


@pytest.mark.parametrize("when", ["in the first thread", "between the threads"])
def test_what_is_interrupted_waits_for_nothing_but_the_current_item(
    make_recorder, wait_until, when
):
    """However long the second thread takes, nothing else of before is processed."""
    recorder = make_recorder()
    recorder.pipeline.submit(1)
    recorder.prepare.let_through()
    wait_until(lambda: recorder.finish.entered == [1], "the second thread")
    recorder.pipeline._in_vain = 20  # it would be waited for, for hours
    recorder.pipeline.submit(2)
    wait_until(lambda: recorder.prepare.entered == [1, 2], "the first thread")
    if when == "between the threads":
        recorder.prepare.let_through()
        wait_until(lambda: recorder.prepare.left == [1, 2], "what waits")
        time.sleep(0.05)
    recorder.pipeline.interrupt(lambda: recorder.finish.left.append("interrupted"))
    recorder.prepare.let_through()
    wait_until(lambda: recorder.counts()[3] == 1, "what is dropped")
    recorder.finish.let_through(2)
    assert recorder.pipeline.wait_idle(5.0)
    assert recorder.finish.left == [1, "interrupted"]


def test_an_idle_pipeline_is_interrupted_at_once(make_recorder):
    recorder, done = make_recorder(), []
    recorder.pipeline.interrupt(lambda: done.append("interrupted"))
    assert recorder.pipeline.wait_idle(5.0)
    assert done == ["interrupted"]


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_stop_does_not_wait_for_what_is_not_begun(make_recorder, wait_until, interrupted):
    recorder = make_recorder(prepare_open=True)
    recorder.pipeline.submit(1)
    wait_until(lambda: recorder.finish.entered == [1], "the second thread")
    recorder.pipeline.submit(2)
    wait_until(lambda: recorder.prepare.left == [1, 2], "the first thread")
    if interrupted:
        recorder.pipeline.interrupt(lambda: recorder.finish.left.append("interrupted"))
    assert not recorder.pipeline.stop(0.05)
    recorder.finish.let_through(5)
    assert recorder.pipeline.stop(5.0)
    assert recorder.finish.left == [1]


def test_many_items_are_all_accounted_for_and_in_order(make_recorder):
    recorder = make_recorder(prepare_open=True)
    recorder.finish.let_through(10_000)
    for item in range(500):
        recorder.pipeline.submit(item)
        if item % 50 == 49:
            recorder.pipeline.interrupt(lambda: None)
        if item % 7 == 0:
            time.sleep(0.0005)
    assert recorder.pipeline.wait_idle(5.0)
    submitted, processed, failed, replaced = recorder.counts()
    assert (submitted, failed) == (500, 0)
    assert submitted == processed + replaced
    assert recorder.finish.left == sorted(set(recorder.finish.left))
    assert len(recorder.finish.left) == processed > 10
