"""Bags that were not closed: what their files still hold, in copies that can be read.

The format of MCAP: https://mcap.dev/spec.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from sdfpose_core.errors import BagError

__all__ = ["mended_copy", "storage_files"]

_MAGIC = b"\x89MCAP0\r\n"
_FOOTER, _DATA_END = 0x02, 0x0F
_RECORD_HEAD = 9
"""Bytes of a record's kind and length."""

# A record of the kind "data end", a footer without a summary, and the magic: a closed file's end.
_END = (
    bytes([_DATA_END]) + (4).to_bytes(8, "little") + bytes(4)
    + bytes([_FOOTER]) + (20).to_bytes(8, "little") + bytes(20)
    + _MAGIC
)  # fmt: skip


def storage_files(path: Path) -> list[Path]:
    """The files of a bag that hold messages, in order of name; a file is its own."""
    if path.is_dir():
        return sorted(x for x in path.iterdir() if x.suffix in (".mcap", ".db3"))
    return [path] if path.suffix in (".mcap", ".db3") else []


def mended_copy(file: Path, folder: Path) -> tuple[Path, str]:
    """A copy of a damaged file with what is complete in it.

    Args:
        file: ``.mcap`` or ``.db3``.
        folder: where the copy goes.

    Returns:
        The copy, and what was kept.

    Raises:
        BagError: nothing in it can be read.
    """
    copy = folder / file.name
    try:
        kept = _mend_mcap(file, copy) if file.suffix == ".mcap" else _mend_sqlite(file, copy)
    except (OSError, sqlite3.Error) as error:
        raise BagError(f"{file}: nothing can be read of it: {error}") from error
    return copy, kept


def _mend_mcap(file: Path, copy: Path) -> str:
    size = file.stat().st_size
    with file.open("rb") as source, copy.open("wb") as target:
        end = _end_of_records(source, size)
        source.seek(0)
        _copy_bytes(source, target, end)
        target.write(_END)
    return f"{end} of {size} bytes"


def _end_of_records(source: BinaryIO, size: int) -> int:
    """Where the last whole record of the data section ends."""
    if source.read(len(_MAGIC)) != _MAGIC:
        raise OSError("it does not begin like an MCAP file")
    end = len(_MAGIC)
    while True:
        head = source.read(_RECORD_HEAD)
        if len(head) < _RECORD_HEAD or head[0] in (_DATA_END, _FOOTER):
            return end
        after = end + _RECORD_HEAD + int.from_bytes(head[1:], "little")
        if after > size:
            return end
        end = source.seek(after)


def _copy_bytes(source: BinaryIO, target: BinaryIO, count: int) -> None:
    shutil.copyfileobj(source, target)
    target.truncate(count)
    target.seek(count)


def _mend_sqlite(file: Path, copy: Path) -> str:
    rows = 0
    with (
        closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        # So a file that is shorter than its header says can be read.
        source.execute("PRAGMA writable_schema=ON")
        tables = source.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        for name, definition in tables:
            target.execute(definition)
            kept = _copy_rows(source, target, name)
            rows += kept if name == "messages" else 0
        target.commit()
    return f"{rows} messages"


def _copy_rows(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> int:
    """Copy the rows before the first damage; gives their number."""
    count = 0
    try:
        for row in source.execute(f"SELECT * FROM {table}"):
            target.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
            count += 1
    except sqlite3.DatabaseError:
        return count
    return count
