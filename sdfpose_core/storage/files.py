"""Atomic file writing."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = [
    "atomic_replace",
    "create_atomically",
    "replace_folder",
    "temporary_sibling",
    "write_atomically",
]


_MAX_NAME_BYTES = 255
"""Longest file name on common file systems."""


def temporary_sibling(path: Path) -> Path:
    """Return a hidden, unused path next to `path`, on the same file system."""
    ending = f".{uuid.uuid4().hex[:8]}.tmp"
    stem = os.fsencode(path.name)[: _MAX_NAME_BYTES - len(ending) - 1]
    return path.with_name(f".{os.fsdecode(stem)}{ending}")


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


@contextmanager
def replace_folder(path: Path | str) -> Iterator[Path]:
    """Yield an empty temporary folder that replaces the folder `path` when the block succeeds.

    Missing folders above it are created. If the block fails, an existing folder stays unchanged. At
    no time `path` is a folder with a part of its files. If `path` is a link, the folder to which it
    leads is replaced.

    Raises:
        OSError: the folder cannot be written.
    """
    path = Path(path).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, former = temporary_sibling(path), temporary_sibling(path)
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            path.rename(former)
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        if former.exists() and not path.exists():
            former.rename(path)
        raise
    shutil.rmtree(former, ignore_errors=True)


def write_atomically(path: Path | str, content: bytes) -> None:
    """Write a file atomically. Missing folders are created.

    A link, a device or a pipe, such as ``/dev/stdout``, is written in place, not replaced.

    Raises:
        OSError: the file cannot be written; an existing file stays unchanged.
    """
    path = Path(path)
    if path.is_symlink() or (path.exists() and not path.is_file()):
        path.write_bytes(content)
        return
    with atomic_replace(path) as temporary:
        temporary.write_bytes(content)


def create_atomically(path: Path | str, content: bytes) -> None:
    """Write a new file atomically, unless another process has created it in the meantime.

    Missing folders are created.

    Raises:
        OSError: the file cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_sibling(path)
    try:
        temporary.write_bytes(content)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
        except OSError:  # a file system without hard links
            if not path.exists():
                temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
