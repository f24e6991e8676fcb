"""Two threads in a row that process the newest item, and drop the items they have no time for."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from sdfpose_ros.graph.worker import NewestWorker

__all__ = ["NewestPipeline"]

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")


class NewestPipeline(Generic[Item, Prepared]):
    """Prepares one item in a thread while another thread finishes the one before.

    It behaves as one `NewestWorker`: items stay in their order, and each is accounted for. Between
    the two threads there is room for one item of each source. The first thread prepares the next
    one when the second thread takes it, so that what waits is not old. If that takes longer than
    the preparation did, the second thread is slow for once: a newer item is prepared and replaces
    the one that waits. The newer one waits twice as long before it is replaced, and so on: the two
    threads share the cores, and most of what is prepared meanwhile is in vain.

    Args:
        prepare: prepares one item, in the first thread.
        finish: processes what `prepare` returned, in the second thread.
        on_error: called with the exceptions of both, in their threads. The threads go on.
        name: name of the threads, with the numbers 1 and 2.
        patience_s: see `NewestWorker`.
    """

    def __init__(
        self,
        prepare: Callable[[Item], Prepared],
        finish: Callable[[Prepared], None],
        on_error: Callable[[Exception], None],
        name: str = "worker",
        *,
        patience_s: float = 0.0,
    ) -> None:
        self._prepare = prepare
        self._in_vain = 0  # items replaced since the second thread took the last one
        self._second = NewestWorker(finish, on_error, f"{name} 2")
        self._first: NewestWorker[tuple[Item, str]] = NewestWorker(
            self._hand_on, on_error, f"{name} 1", patience_s=patience_s
        )

    @property
    def submitted(self) -> int:
        """Number of submitted items."""
        return self._first.submitted

    @property
    def processed(self) -> int:
        """Number of items that both threads processed without an error."""
        return self._second.processed

    @property
    def failed(self) -> int:
        """Number of items whose processing raised an exception."""
        return self._first.failed + self._second.failed

    @property
    def replaced(self) -> int:
        """Number of items replaced by a newer one before they were processed."""
        return self._first.replaced + self._second.replaced

    @property
    def busy(self) -> bool:
        """Whether an item is being processed."""
        return self._first.busy or self._second.busy

    def submit(self, item: Item, source: str = "") -> None:
        """Make `item` the next one of its source to be processed. Returns at once."""
        self._first.submit((item, source), source)

    def interrupt(self, action: Callable[[], None]) -> None:
        """Drop what waits and run `action` before the next item, while no item is processed."""
        self._first.interrupt(partial(self._run_alone, action))
        self._second.drop()  # the first thread may wait until it is taken

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until both threads are idle. Returns False on timeout."""
        end_s = time.monotonic() + timeout_s
        return self._first.wait_idle(timeout_s) and self._second.wait_idle(
            max(end_s - time.monotonic(), 0.0)
        )

    def stop(self, timeout_s: float = 10.0) -> bool:
        """Stop the threads after their current items. Returns False on timeout."""
        end_s = time.monotonic() + timeout_s
        self._first.stop(0.0)
        stopped = self._second.stop(timeout_s)  # the first may wait for it
        return self._first.stop(max(end_s - time.monotonic(), 0.0)) and stopped

    def _hand_on(self, item_of: tuple[Item, str]) -> None:
        item, source = item_of
        start_s = time.monotonic()
        self._second.submit(self._prepare(item), source)
        if self._first.interrupted:
            return
        wait_s = 2.0**self._in_vain * (time.monotonic() - start_s)
        self._in_vain = 0 if self._second.wait_taken(wait_s) else self._in_vain + 1

    def _run_alone(self, action: Callable[[], None]) -> None:
        """Run an action in the second thread while the first one waits for it."""
        self._second.interrupt(action)
        self._second.wait_idle()
