"""A thread that works on the newest item and leaves out those that it has no time for."""

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
"""Of this many intervals between items the median says when the next one is due."""

_MOST_WAIT = 0.5
"""Share of an interval that is waited at most..."""

_JITTER_S = 0.003
"""...and how much later than due the next item may be."""


class NewestWorker(Generic[Item]):
    """Runs a function in a thread of its own on the newest item that was submitted.

    Every item is accounted for: ``submitted == processed + failed + replaced`` once the worker is
    idle. An item that the next one is about to replace is not begun with: what comes at a steady
    rate is worked on while it is fresh.

    Args:
        process: works on one item; never runs twice at once.
        on_error: told of the exceptions of `process`; the thread lives on.
        name: of the thread.
        patience_s: how soon the next item has to be due to be waited for.

    Attributes:
        submitted, processed, failed: numbers of items.
        replaced: items that a newer one replaced before their turn came.
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
        self._waiting: Item | None = None
        self._patience_s = patience_s
        self._came_s = 0.0
        self._intervals_s: deque[float] = deque(maxlen=_INTERVALS)
        self._interruptions: list[Callable[[], None]] = []
        self._busy = False
        self._stopped = False
        self.submitted = self.processed = self.failed = self.replaced = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, item: Item) -> None:
        """Make `item` the next one to be worked on; returns at once."""
        with self._changed:
            self.submitted += 1
            if self._waiting is not None:
                self.replaced += 1
            self._waiting = item
            now_s = time.monotonic()
            self._intervals_s.append(now_s - self._came_s)
            self._came_s = now_s
            self._changed.notify_all()

    def interrupt(self, action: Callable[[], None]) -> None:
        """Run `action` in the worker's thread before its next item; the waiting one is left out."""
        with self._changed:
            if self._waiting is not None:
                self.replaced += 1
                self._waiting = None
            self._interruptions.append(action)
            self._changed.notify_all()

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until nothing is left to do; False if that takes longer than the timeout."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._has_work() and not self._busy, timeout_s
            )

    def stop(self, timeout_s: float = 10.0) -> bool:
        """End the thread after the item that it is working on; False if that takes too long."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _await_next(self) -> None:
        """Wait for the next item where it is about to come."""
        if self._waiting is None or len(self._intervals_s) < _INTERVALS:
            return
        came_s, interval_s = self._came_s, statistics.median(self._intervals_s)
        due_s = interval_s - (time.monotonic() - came_s)
        if 0.0 < due_s < min(self._patience_s, _MOST_WAIT * interval_s):
            self._changed.wait_for(
                lambda: self._came_s != came_s or self._stopped or bool(self._interruptions),
                due_s + _JITTER_S,
            )

    def _has_work(self) -> bool:
        return self._waiting is not None or bool(self._interruptions)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._has_work() or self._stopped)
                self._await_next()
                if self._stopped:
                    return
                actions, self._interruptions = self._interruptions, []
                item, self._waiting = self._waiting, None
                self._busy = True
            for action in actions:
                self._guarded(action)
            if item is not None:
                done = self._guarded(partial(self._process, item))
                self.processed += done
                self.failed += not done
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _guarded(self, action: Callable[[], None]) -> bool:
        """Whether it ran; what goes wrong in one frame is told, and must not end the node."""
        try:
            action()
        except Exception as error:
            self._on_error(error)
            return False
        return True
