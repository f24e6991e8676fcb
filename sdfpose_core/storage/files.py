"""Files that are written whole or not at all."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["replacing", "temporary_sibling", "write_atomically"]


def temporary_sibling(path: Path) -> Path:
    """A hidden, unused path beside `path`, on the same file system."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Give a temporary path that takes the place of `path` once the block has ended well.

    Missing folders are made. Where the block fails, an earlier file is left as it was.

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
    """Write a file so that a reader never sees half of it; missing folders are made.

    Raises:
        OSError: the file cannot be written; an earlier one of that name is left as it was.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)
