"""Repair of bags that were not closed: copy the intact part of their files.

The format of MCAP: https://mcap.dev/spec.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from sdfpose_core.errors import BagError

__all__ = ["repaired_copy", "storage_files"]

_MAGIC = b"\x89MCAP0\r\n"
_FOOTER, _DATA_END = 0x02, 0x0F
_RECORD_HEADER_SIZE = 9
"""Size of a record's opcode and length, bytes."""

# The end of a closed file: a "data end" record, a footer without a summary, and the magic.
_END = (
    bytes([_DATA_END]) + (4).to_bytes(8, "little") + bytes(4)
    + bytes([_FOOTER]) + (20).to_bytes(8, "little") + bytes(20)
    + _MAGIC
)  # fmt: skip


def storage_files(path: Path) -> list[Path]:
    """List the storage files of a bag in order of name; a storage file yields itself."""
    if path.is_dir():
        return sorted(x for x in path.iterdir() if x.suffix in (".mcap", ".db3"))
    return [path] if path.suffix in (".mcap", ".db3") else []


def repaired_copy(file: Path, folder: Path) -> tuple[Path, str]:
    """Copy the intact part of a damaged file.

    Args:
        file: ``.mcap`` or ``.db3`` file.
        folder: destination of the copy.

    Returns:
        The path of the copy, and a description of what it contains.

    Raises:
        BagError: nothing in the file can be read.
    """
    copy = folder / file.name
    try:
        kept = _repair_mcap(file, copy) if file.suffix == ".mcap" else _repair_sqlite(file, copy)
    except (OSError, sqlite3.Error) as error:
        raise BagError(f"{file}: cannot be repaired: {error}") from error
    return copy, kept


def _repair_mcap(file: Path, copy: Path) -> str:
    size = file.stat().st_size
    with file.open("rb") as source, copy.open("wb") as target:
        end = _end_of_records(source, size)
        source.seek(0)
        _copy_bytes(source, target, end)
        target.write(_END)
    return f"{end} of {size} bytes"


def _end_of_records(source: BinaryIO, size: int) -> int:
    """Find the end of the last complete record of the data section."""
    if source.read(len(_MAGIC)) != _MAGIC:
        raise OSError("the file does not start with the MCAP magic bytes")
    end = len(_MAGIC)
    while True:
        head = source.read(_RECORD_HEADER_SIZE)
        if len(head) < _RECORD_HEADER_SIZE or head[0] in (_DATA_END, _FOOTER):
            return end
        after = end + _RECORD_HEADER_SIZE + int.from_bytes(head[1:], "little")
        if after > size:
            return end
        end = source.seek(after)


def _copy_bytes(source: BinaryIO, target: BinaryIO, count: int) -> None:
    shutil.copyfileobj(source, target)
    target.truncate(count)
    target.seek(count)


def _repair_sqlite(file: Path, copy: Path) -> str:
    rows = 0
    with (
        closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        # With this setting, SQLite reads a file that is shorter than its header states.
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
    """Copy the rows before the first damaged one and return their number."""
    count = 0
    try:
        for row in source.execute(f"SELECT * FROM {table}"):
            target.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
            count += 1
    except sqlite3.DatabaseError:
        return count
    return count
