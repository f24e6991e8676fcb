"""Locks between processes."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sdfpose_core.errors import ConfigurationError

__all__ = ["locked"]


@contextmanager
def locked(path: Path, busy: str) -> Iterator[None]:
    """Hold the lock of a file; the operating system frees it when the process ends.

    Args:
        path: the file, which is created, with its folders, if it is missing.
        busy: what another process does that holds the lock, for the message.

    Raises:
        ConfigurationError: another process holds it.
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(f"{busy} (lock {path}): wait for its end") from error
        yield
