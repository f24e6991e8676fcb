"""Files of training views, made once, in several processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

__all__ = ["MadeOnce", "make_view_files"]


class MadeOnce(Protocol):
    """A file of training views."""

    def make(self) -> None:
        """Make the file, unless it is there."""


_File = TypeVar("_File", bound=MadeOnce)


def make_view_files(files: Sequence[_File], workers: int) -> Iterator[_File]:
    """Make files of views in worker processes; yield each when it is there."""
    if workers <= 1:
        for file in files:
            file.make()
            yield file
        return
    # Ray casting uses threads; forked processes would deadlock waiting for them.
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap_unordered(_made, files)


def _made(file: _File) -> _File:
    file.make()
    return file
