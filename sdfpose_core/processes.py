"""Worker processes."""

from __future__ import annotations

import multiprocessing
import os
import threading

__all__ = ["end_with_parent"]


def end_with_parent() -> None:
    """Let this process end when its parent does, however that ends.

    For the initialiser of a pool, whose workers would wait for ever for tasks of a killed parent.

    Raises:
        RuntimeError: `multiprocessing` has not started this process.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("this process has no parent that could end: call it in a worker process")

    def wait() -> None:
        parent.join()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()
