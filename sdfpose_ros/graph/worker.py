"""A thread that processes the newest item of each source and drops those it has no time for."""

from __future__ import annotations

import statistics
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
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


@dataclass
class _Source(Generic[Item]):
    """A source of items.

    Attributes:
        pending: its newest item, if that was not taken.
        submitted_s: time of the last item, seconds.
        intervals_s: between the last items, seconds.
    """

    pending: Item | None = None
    submitted_s: float = 0.0
    intervals_s: deque[float] = field(default_factory=lambda: deque(maxlen=_INTERVALS))


class NewestWorker(Generic[Item]):
    """Runs a function on the newest submitted item of each source in its own thread.

    Every item is accounted for: ``submitted == processed + failed + replaced`` once the worker is
    idle. If items arrive at a steady rate and the next one is due soon, the worker waits for it, so
    that it always processes a fresh item. An item replaces only an older one of its own source; the
    sources take turns.

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
        self._sources: dict[str, _Source[Item]] = {}
        self._patience_s = patience_s
        self._interruptions: list[Callable[[], None]] = []
        self._busy = False
        self._stopped = False
        self.submitted = self.processed = self.failed = self.replaced = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, item: Item, source: str = "") -> None:
        """Make `item` the next one of its source to be processed. Returns at once."""
        with self._changed:
            self.submitted += 1
            known = self._sources.setdefault(source, _Source())
            self.replaced += known.pending is not None
            known.pending = item
            now_s = time.monotonic()
            known.intervals_s.append(now_s - known.submitted_s)
            known.submitted_s = now_s
            self._changed.notify_all()

    def interrupt(self, action: Callable[[], None]) -> None:
        """Drop what is pending and run `action` in the worker thread before the next item."""
        with self._changed:
            self._drop()
            self._interruptions.append(action)
            self._changed.notify_all()

    def drop(self) -> None:
        """Drop what is pending."""
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
            self._changed.wait_for(lambda: not self._is_pending() or self._stopped, timeout_s)
            return not self._is_pending()

    def stop(self, timeout_s: float = 10.0) -> bool:
        """Stop the thread after the current item. Returns False on timeout."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _await_next(self) -> None:
        """Wait for the next item of the source whose turn it is, if it is due soon."""
        next_ = self._next()
        if next_ is None or len(next_.intervals_s) < _INTERVALS:
            return
        previous_s, interval_s = next_.submitted_s, statistics.median(next_.intervals_s)
        due_s = interval_s - (time.monotonic() - previous_s)
        if 0.0 < due_s < min(self._patience_s, _MAX_WAIT * interval_s):
            self._changed.wait_for(
                lambda: (
                    next_.submitted_s != previous_s or self._stopped or bool(self._interruptions)
                ),
                due_s + _JITTER_S,
            )

    def _next(self) -> _Source[Item] | None:
        """The source whose turn it is: in the order in which the sources had theirs."""
        return next((x for x in self._sources.values() if x.pending is not None), None)

    def _take(self) -> Item | None:
        """Take the next item; its source has its next turn after the others."""
        for name, source in self._sources.items():
            if source.pending is not None:
                item, source.pending = source.pending, None
                self._sources[name] = self._sources.pop(name)
                return item
        return None

    def _drop(self) -> None:
        for source in self._sources.values():
            self.replaced += source.pending is not None
            source.pending = None

    def _is_pending(self) -> bool:
        return self._next() is not None

    def _is_idle(self) -> bool:
        return not self._has_work() and not self._busy

    def _has_work(self) -> bool:
        return self._is_pending() or bool(self._interruptions)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._has_work() or self._stopped)
                self._await_next()
                if self._stopped:
                    return
                actions, self._interruptions = self._interruptions, []
                item = self._take()
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
