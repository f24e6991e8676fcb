"""Atomic file writing."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["atomic_replace", "temporary_sibling", "write_atomically"]


def temporary_sibling(path: Path) -> Path:
    """Return a hidden, unused path next to `path`, on the same file system."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")


@contextmanager
def atomic_replace(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` when the block succeeds.

    Missing folders are created. If the block fails, an existing file stays unchanged.

    Raises:
        OSError: the file cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_sibling(path)
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_atomically(path: Path | str, content: bytes) -> None:
    """Write a file atomically. Missing folders are created.

    Raises:
        OSError: the file cannot be written; an existing file stays unchanged.
    """
    with atomic_replace(path) as temporary:
        temporary.write_bytes(content)
