"""Records in one or several files, which stay on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import FrameError
from sdfpose_core.storage.files import atomic_replace

__all__ = ["Records", "write_records"]


class Records:
    """Records of one kind in several arrays.

    Args:
        parts: arrays of records.
    """

    def __init__(self, parts: Sequence[NDArray[np.void]]) -> None:
        self._parts = list(parts)
        self._ends = np.cumsum([len(x) for x in self._parts])

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, index: Sequence[int] | NDArray[np.integer]) -> NDArray[np.void]:
        """Read some records, by number."""
        numbers = np.asarray(index, dtype=np.intp)
        part = np.searchsorted(self._ends, numbers, side="right")
        first = np.concatenate([[0], self._ends])[part]
        found = np.empty(len(numbers), dtype=self._parts[0].dtype)
        for k, (p, i) in enumerate(zip(part, numbers - first, strict=True)):
            found[k] = self._parts[p][i]
        return found

    def field(self, name: str) -> NDArray[np.generic]:
        """One field of all records."""
        return np.concatenate([np.asarray(x[name]) for x in self._parts])

    @classmethod
    def load(cls, paths: Sequence[Path], kind: np.dtype[np.void]) -> Records:
        """Open files of `write_records`.

        Args:
            paths: the files.
            kind: type of the records.

        Raises:
            FrameError: a file is missing or damaged, or of an earlier version.
        """
        return cls([_opened(x, kind) for x in paths])


def write_records(path: Path, records: NDArray[np.void]) -> None:
    """Write records to a file, atomically."""
    with atomic_replace(path) as temporary, temporary.open("wb") as file:
        np.save(file, records, allow_pickle=False)


def _opened(path: Path, kind: np.dtype[np.void]) -> NDArray[np.void]:
    try:
        records = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise FrameError(
            f"{path}: not a readable file of training views ({error}); delete it to make it again"
        ) from error
    if records.dtype != kind or records.ndim != 1:
        raise FrameError(
            f"{path}: contains {records.dtype} {records.shape}: expected training views of this "
            "version; delete it to make it again"
        )
    return records
