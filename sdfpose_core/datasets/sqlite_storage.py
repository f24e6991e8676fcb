"""Read the SQLite files of a rosbag2, also those that were not closed or are damaged."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from sdfpose_core.datasets.bag_storage import Channel, StorageError, StoredMessage, is_latched

__all__ = ["SqliteStorage"]

_JOURNALS = ("-wal", "-journal")
"""Suffixes of the files with transactions that are not in the database file yet."""

_REQUIRED = {
    "topics": ("id", "name", "type"),
    "messages": ("id", "topic_id", "timestamp", "data"),
}
"""Tables of a rosbag2, with the columns that all versions have."""

_DEFINITIONS = "message_definitions"
"""Table of newer versions."""

_TOPIC_COLUMNS = (
    *_REQUIRED["topics"],
    "serialization_format",
    "type_description_hash",
    "offered_qos_profiles",
)
_DEFINITION_COLUMNS = ("topic_type", "encoded_message_definition", "encoding")


class SqliteStorage:
    """An SQLite file; see `Storage`.

    Messages in the write-ahead log of a recorder that was killed are read as well.

    Args:
        file: path of the file.
        name: path of the file in messages; differs for a decompressed copy.
        problems: receives a sentence for each part of the file that cannot be read.
        scratch: folder for temporary copies.

    Raises:
        StorageError: the file is no SQLite file of a rosbag2.
        OSError: the file cannot be opened.
    """

    def __init__(self, file: Path, name: Path, problems: list[str], scratch: Path) -> None:
        self._name = name
        self._problems = problems
        if not file.stat().st_size:  # SQLite would delete a log beside it
            raise StorageError("it is empty")
        self._database = _open(file, scratch)
        try:
            self.channels = self._read_channels()
            self.span_ns = self._count_messages()
        except sqlite3.Error as error:
            self._database.close()
            raise StorageError(str(error)) from error
        except BaseException:
            self._database.close()
            raise

    def messages(self, ids: Collection[int], start_ns: int = 0) -> Iterator[StoredMessage]:
        """See `Storage`."""
        wanted = set(ids)
        rows = sorted(
            (ns, row, topic)
            for row, ns, topic in self._rows()
            if topic in wanted and ns >= start_ns
        )
        lost, reason = 0, ""
        for arrival_ns, row, topic in rows:
            try:
                (data,) = self._database.execute(
                    "SELECT data FROM messages WHERE id = ?", (row,)
                ).fetchone()
            except (sqlite3.Error, TypeError) as error:  # TypeError: no such row
                lost, reason = lost + 1, str(error)
                continue
            yield arrival_ns, topic, data if isinstance(data, bytes) else b""
        if lost:
            self._report(f"{lost} messages are damaged ({reason}); skipped")

    def close(self) -> None:
        """See `Storage`."""
        self._database.close()

    def _read_channels(self) -> dict[int, Channel]:
        columns = {name: self._columns(name) for name in (*_REQUIRED, _DEFINITIONS)}
        if not all(columns[name] for name in _REQUIRED):
            raise StorageError("it lacks the tables 'topics' and 'messages' of a rosbag2")
        for name, required in _REQUIRED.items():
            if missing := [x for x in required if x not in columns[name]]:
                raise StorageError(
                    f"its table '{name}' lacks {', '.join(missing)}: expected the columns of a "
                    "rosbag2"
                )
        definitions = {}
        if "topic_type" in columns[_DEFINITIONS]:
            rows = self._table(_DEFINITIONS, columns[_DEFINITIONS], _DEFINITION_COLUMNS)
            definitions = {x["topic_type"]: x for x in rows}
        channels = {}
        for x in self._table("topics", columns["topics"], _TOPIC_COLUMNS):
            found = definitions.get(x["type"], {})
            channels[x["id"]] = Channel(
                _text(x.get("name")),
                _text(x.get("type")),
                _text(x.get("serialization_format")) or "cdr",
                _text(found.get("encoded_message_definition")),
                _text(found.get("encoding")),
                _text(x.get("type_description_hash")),
                is_latched(_text(x.get("offered_qos_profiles"))),
            )
        return channels

    def _columns(self, table: str) -> set[str]:
        """Return the names of the columns of a table; none if there is no such table."""
        return {x["name"] for x in self._database.execute(f"PRAGMA table_info({table})")}

    def _table(
        self, name: str, columns: Collection[str], known: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Return the rows of a table, with those of the known columns that it has.

        The names of other columns may be damaged and no text.
        """
        chosen = ", ".join(x for x in known if x in columns)
        return [dict(x) for x in self._database.execute(f"SELECT {chosen} FROM {name}")]

    def _count_messages(self) -> tuple[int, int] | None:
        first = last = None
        for _, arrival_ns, topic in self._rows():
            first = arrival_ns if first is None else min(first, arrival_ns)
            last = arrival_ns if last is None else max(last, arrival_ns)
            if topic in self.channels:
                self.channels[topic].count += 1
        return None if first is None or last is None else (first, last)

    def _rows(self) -> Iterator[tuple[int, int, int]]:
        """Yield id, recording time and topic of all rows; rows in damaged pages are skipped."""
        select = "SELECT id, timestamp, topic_id FROM messages NOT INDEXED ORDER BY id"
        count, last = 0, None
        try:
            for row in self._database.execute(select):
                yield _valid(row)
                count, last = count + 1, row["id"]
            return
        except sqlite3.DatabaseError as error:
            damage = error
        try:  # from the end back to the damage
            for row in self._database.execute(f"{select} DESC"):
                if last is not None and row["id"] <= last:
                    break
                yield _valid(row)
                count += 1
        except sqlite3.DatabaseError:
            pass
        self._report(f"is incomplete ({damage}): {count} messages can be read")

    def _report(self, problem: str) -> None:
        problem = f"{self._name}: {problem}"
        if problem not in self._problems:
            self._problems.append(problem)


def _open(file: Path, scratch: Path) -> sqlite3.Connection:
    """Open a database for reading, with the transactions in its journals.

    Raises:
        StorageError: the file is no SQLite file.
    """
    journals = [x for x in (Path(f"{file}{end}") for end in _JOURNALS) if _size(x)]
    try:
        # Without a journal, nothing may be written beside the file.
        return _connect(file, "mode=ro" if journals else "immutable=1")
    except sqlite3.Error as error:
        if not journals:
            raise StorageError(str(error)) from error
    try:  # SQLite needs to write beside the file to use its journal
        copies = [Path(shutil.copy(x, scratch)) for x in (file, *journals)]
        return _connect(copies[0], "mode=rw")
    except (OSError, sqlite3.Error) as error:
        raise StorageError(f"{journals[0].name} cannot be used: {error}") from error


def _connect(file: Path, options: str) -> sqlite3.Connection:
    # A path in a URI has to be quoted. The thread that closes a bag may not be the one that reads.
    database = sqlite3.connect(
        f"{file.absolute().as_uri()}?{options}", uri=True, check_same_thread=False
    )
    try:
        database.row_factory = sqlite3.Row
        database.text_factory = lambda data: data.decode(errors="replace")
        # With this setting, SQLite reads a file that is shorter than its header states.
        database.execute("PRAGMA writable_schema = ON")
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        database.close()
        raise
    return database


def _valid(row: sqlite3.Row) -> tuple[int, int, int]:
    """Return the values of a row.

    Raises:
        DatabaseError: a value is no integer; pages of zeros give such rows.
    """
    values = tuple(row)
    if not all(isinstance(x, int) for x in values):
        raise sqlite3.DatabaseError("a row has no recording time or topic")
    return values


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def _text(value: Any) -> str:
    return "" if value is None else str(value)
