"""A thread that works on the newest item and leaves out those that it has no time for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

__all__ = ["NewestWorker"]

Item = TypeVar("Item")


class NewestWorker(Generic[Item]):
    """Runs a function in a thread of its own on the newest item that was submitted.

    Every item is accounted for: ``submitted == processed + failed + replaced`` once the worker is
    idle.

    Args:
        process: works on one item; never runs twice at once.
        on_error: told of the exceptions of `process`; the thread lives on.
        name: of the thread.

    Attributes:
        submitted, processed, failed: numbers of items.
        replaced: items that a newer one replaced before their turn came.
    """

    def __init__(
        self,
        process: Callable[[Item], None],
        on_error: Callable[[Exception], None],
        name: str = "worker",
    ) -> None:
        self._process = process
        self._on_error = on_error
        self._changed = threading.Condition()
        self._waiting: Item | None = None
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

    def _has_work(self) -> bool:
        return self._waiting is not None or bool(self._interruptions)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._has_work() or self._stopped)
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
