"""Files of training views, made once, in several processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol, TypeVar

from sdfpose_core.errors import SdfposeError
from sdfpose_core.processes import end_with_parent

__all__ = ["MadeOnce", "make_view_files"]


class MadeOnce(Protocol):
    """A file of training views."""

    def make(self) -> None:
        """Make the file, unless it is there."""


_File = TypeVar("_File", bound=MadeOnce)


def make_view_files(files: Sequence[_File], workers: int) -> Iterator[_File]:
    """Make files of views in worker processes; yield each when it is there.

    After an error or an interruption, the workers are ended: they do not finish their files.

    Raises:
        SdfposeError: a worker process was killed.
    """
    if workers <= 1:
        for file in files:
            file.make()
            yield file
        return
    # Ray casting uses threads; forked processes would deadlock waiting for them.
    before = set(multiprocessing.active_children())
    with ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), end_with_parent
    ) as pool:
        try:
            for made in as_completed([pool.submit(_made, x) for x in files]):
                yield made.result()
        except BrokenProcessPool as error:
            raise SdfposeError(
                "a process that simulates views was killed, perhaps because memory was short: "
                "repeat the command with fewer workers; files that are there are kept"
            ) from error
        except BaseException:
            for process in set(multiprocessing.active_children()) - before:
                process.terminate()
            raise


def _made(file: _File) -> _File:
    file.make()
    return file
