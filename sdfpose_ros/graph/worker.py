"""A thread that processes the newest item and drops the items it has no time for."""

from __future__ import annotations

import statistics
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

__all__ = ["NewestWorker"]

Item = TypeVar("Item")

_INTERVALS = 5
"""The next item is predicted from the median of this many intervals."""

_MAX_WAIT = 0.5
"""Longest wait for the next item, as a share of the interval."""

_JITTER_S = 0.003
"""Allowed delay of the next item after it is due."""


class NewestWorker(Generic[Item]):
    """Runs a function on the newest submitted item in its own thread.

    Every item is accounted for: ``submitted == processed + failed + replaced`` once the worker is
    idle. If items arrive at a steady rate and the next one is due soon, the worker waits for it, so
    that it always processes a fresh item.

    Args:
        process: processes one item; never runs concurrently with itself.
        on_error: called with the exceptions of `process`. The thread goes on.
        name: name of the thread.
        patience_s: the worker waits for the next item if it is due within this time, seconds.

    Attributes:
        submitted: number of submitted items.
        processed: number of items processed without an error.
        failed: number of items whose processing raised an exception.
        replaced: number of items replaced by a newer one before they were processed.
    """

    def __init__(
        self,
        process: Callable[[Item], None],
        on_error: Callable[[Exception], None],
        name: str = "worker",
        *,
        patience_s: float = 0.0,
    ) -> None:
        self._process = process
        self._on_error = on_error
        self._changed = threading.Condition()
        self._pending: Item | None = None
        self._patience_s = patience_s
        self._submitted_s = 0.0
        self._intervals_s: deque[float] = deque(maxlen=_INTERVALS)
        self._interruptions: list[Callable[[], None]] = []
        self._busy = False
        self._stopped = False
        self.submitted = self.processed = self.failed = self.replaced = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, item: Item) -> None:
        """Make `item` the next one to be processed. Returns at once."""
        with self._changed:
            self.submitted += 1
            self._drop()
            self._pending = item
            now_s = time.monotonic()
            self._intervals_s.append(now_s - self._submitted_s)
            self._submitted_s = now_s
            self._changed.notify_all()

    def interrupt(self, action: Callable[[], None]) -> None:
        """Drop the pending item and run `action` in the worker thread before the next one."""
        with self._changed:
            self._drop()
            self._interruptions.append(action)
            self._changed.notify_all()

    def drop(self) -> None:
        """Drop the pending item."""
        with self._changed:
            self._drop()
            self._changed.notify_all()

    @property
    def interrupted(self) -> bool:
        """Whether an interruption is pending."""
        return bool(self._interruptions)

    @property
    def busy(self) -> bool:
        """Whether an item is being processed."""
        return self._busy

    def wait_idle(self, timeout_s: float | None = None) -> bool:
        """Wait until the worker is idle.

        Args:
            timeout_s: longest wait, seconds; None for no limit.

        Returns:
            Whether it is; not on timeout, or if it was stopped before its last item.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_idle() or self._stopped, timeout_s)
            return self._is_idle()

    def wait_taken(self, timeout_s: float) -> bool:
        """Wait until no item is pending. Returns False on timeout, or if it was stopped before."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending is None or self._stopped, timeout_s)
            return self._pending is None

    def stop(self, timeout_s: float = 10.0) -> bool:
        """Stop the thread after the current item. Returns False on timeout."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _await_next(self) -> None:
        """Wait for the next item if it is due soon."""
        if self._pending is None or len(self._intervals_s) < _INTERVALS:
            return
        previous_s, interval_s = self._submitted_s, statistics.median(self._intervals_s)
        due_s = interval_s - (time.monotonic() - previous_s)
        if 0.0 < due_s < min(self._patience_s, _MAX_WAIT * interval_s):
            self._changed.wait_for(
                lambda: (
                    self._submitted_s != previous_s or self._stopped or bool(self._interruptions)
                ),
                due_s + _JITTER_S,
            )

    def _drop(self) -> None:
        self.replaced += self._pending is not None
        self._pending = None

    def _is_idle(self) -> bool:
        return not self._has_work() and not self._busy

    def _has_work(self) -> bool:
        return self._pending is not None or bool(self._interruptions)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._has_work() or self._stopped)
                self._await_next()
                if self._stopped:
                    return
                actions, self._interruptions = self._interruptions, []
                item, self._pending = self._pending, None
                self._busy = True
                self._changed.notify_all()
            for action in actions:
                self._run_safely(action)
            if item is not None:
                done = self._run_safely(partial(self._process, item))
                self.processed += done
                self.failed += not done
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _run_safely(self, action: Callable[[], None]) -> bool:
        """Run `action` and return whether it succeeded: one bad frame must not stop the node."""
        try:
            action()
        except Exception as error:
            self._on_error(error)
            return False
        return True
