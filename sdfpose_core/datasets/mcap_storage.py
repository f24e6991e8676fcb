"""Read MCAP files, also those that were not closed or are damaged in places.

The format: https://mcap.dev/spec.
"""

from __future__ import annotations

import heapq
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import lz4.frame  # type: ignore[import-untyped]

from sdfpose_core.datasets.bag_storage import (
    Channel,
    StorageError,
    StoredMessage,
    is_latched,
    zstd,
)

__all__ = ["McapStorage"]

_MAGIC = b"\x89MCAP0\r\n"
_FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _MESSAGE_INDEX = 0x02, 0x03, 0x04, 0x05, 0x06, 0x07

_RECORD_HEADER_SIZE = 9
"""Size of a record's opcode and length, bytes."""

_MESSAGE_HEADER_SIZE = 22
_INDEX_ENTRY_SIZE = 16

_CHUNK_HEADER_SIZE = 4096
"""Bytes of a chunk record that are read for its header, more than enough for the fields."""

_DECOMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    "lz4": lz4.frame.decompress,
    "zstd": zstd.decompress,
}


@dataclass
class _Chunk:
    """A chunk: records in a compressed block.

    Attributes:
        start_ns: recording time of the first message.
        end_ns: recording time of the last message.
        size: size of the records, bytes.
        crc: CRC-32 of the records; 0 if unknown.
        compression: name of the compression.
        offset: position of the compressed records in the file.
        stored_size: size of the compressed records, bytes.
        counts: number of messages by channel id; empty if unknown.
    """

    start_ns: int
    end_ns: int
    size: int
    crc: int
    compression: str
    offset: int
    stored_size: int
    counts: Counter[int] = field(default_factory=Counter)


class McapStorage:
    """An MCAP file; see `Storage`.

    The file is indexed by its records and not by its summary, which an unfinished file lacks.

    Args:
        file: path of the file.
        name: path of the file in messages; differs for a decompressed copy.
        problems: receives a sentence for each part of the file that cannot be read.

    Raises:
        StorageError: the file is no MCAP file.
        OSError: the file cannot be opened.
    """

    def __init__(self, file: Path, name: Path, problems: list[str]) -> None:
        self.channels: dict[int, Channel] = {}
        self.span_ns: tuple[int, int] | None = None
        self._name = name
        self._problems = problems
        self._schemas: dict[int, tuple[str, str, bytes]] = {}
        self._chunks: list[_Chunk] = []
        self._loose: list[tuple[int, int, int, int]] = []
        self._source = file.open("rb")
        try:
            self._index_file()
        except BaseException:
            self._source.close()
            raise

    def messages(self, ids: Collection[int], start_ns: int = 0) -> Iterator[StoredMessage]:
        """See `Storage`."""
        wanted = set(ids)
        parts: list[_Chunk | tuple[int, int, int, int]] = [
            *(x for x in self._chunks if wanted.intersection(x.counts) and x.end_ns >= start_ns),
            *(x for x in self._loose if x[1] in wanted and x[0] >= start_ns),
        ]
        parts.sort(key=_start_ns)
        waiting: list[tuple[int, int, int, bytes]] = []
        number = 0
        for part in parts:
            while waiting and waiting[0][0] < _start_ns(part):
                arrival_ns, _, channel, data = heapq.heappop(waiting)
                yield arrival_ns, channel, data
            for arrival_ns, channel, data in self._load(part, wanted):
                if arrival_ns < start_ns:
                    continue
                heapq.heappush(waiting, (arrival_ns, number, channel, data))
                number += 1
        while waiting:
            arrival_ns, _, channel, data = heapq.heappop(waiting)
            yield arrival_ns, channel, data

    def close(self) -> None:
        """See `Storage`."""
        self._source.close()

    def _index_file(self) -> None:
        size = self._source.seek(0, 2)
        self._source.seek(0)
        if self._source.read(len(_MAGIC)) != _MAGIC:
            raise StorageError("it does not start with the magic bytes of MCAP")
        end = len(_MAGIC)
        closed = False
        while not closed:
            head = self._source.read(_RECORD_HEADER_SIZE)
            if len(head) < _RECORD_HEADER_SIZE or not head[0]:
                break
            start = end + _RECORD_HEADER_SIZE
            length = int.from_bytes(head[1:], "little")
            if start + length > size:
                break
            closed = head[0] == _FOOTER
            self._index_record(head[0], start, length)
            end = self._source.seek(start + length)
        if not closed:
            self._problems.append(
                f"{self._name}: is incomplete (it was not closed): {end} of {size} bytes can be "
                "read"
            )
        self._index_chunks()

    def _index_record(self, opcode: int, start: int, length: int) -> None:
        """Index a record of the file; a record whose content is invalid is skipped."""
        try:
            if opcode in (_SCHEMA, _CHANNEL):
                self._define(opcode, self._source.read(length))
            elif opcode == _MESSAGE:
                fields = _Fields(self._source.read(min(length, _MESSAGE_HEADER_SIZE)))
                channel, _, arrival_ns = fields.integer(2), fields.integer(4), fields.integer(8)
                data = start + _MESSAGE_HEADER_SIZE, length - _MESSAGE_HEADER_SIZE
                if data[1] >= 0:
                    self._loose.append((arrival_ns, channel, *data))
            elif opcode == _CHUNK:
                fields = _Fields(self._source.read(min(length, _CHUNK_HEADER_SIZE)))
                times = fields.integer(8), fields.integer(8)
                size, crc, compression = fields.integer(8), fields.integer(4), fields.text()
                stored_size = fields.integer(8)
                self._chunks.append(
                    _Chunk(*times, size, crc, compression, start + fields.position, stored_size)
                )
            elif opcode == _MESSAGE_INDEX and self._chunks:
                fields = _Fields(self._source.read(min(length, 6)))
                channel, entries = fields.integer(2), fields.integer(4) // _INDEX_ENTRY_SIZE
                if entries:
                    self._chunks[-1].counts[channel] += entries
        except _TruncatedError:
            self._problems.append(f"{self._name}: skipped a damaged record at byte {start}")

    def _define(self, opcode: int, data: bytes | memoryview) -> None:
        """Add a schema or a channel."""
        fields = _Fields(data)
        number = fields.integer(2)
        if opcode == _SCHEMA:
            self._schemas[number] = fields.text(), fields.text(), fields.block()
            return
        name, form, text = self._schemas.get(fields.integer(2), ("", "", b""))
        topic, encoding = fields.text(), fields.text()
        more = _Fields(fields.block()).texts()
        self.channels.setdefault(
            number,
            Channel(
                topic,
                name,
                encoding,
                text.decode(errors="replace"),
                form,
                more.get("topic_type_hash", ""),
                is_latched(more.get("offered_qos_profiles", "")),
            ),
        )

    def _index_chunks(self) -> None:
        """Find the channels and count the messages."""
        for chunk in self._chunks:
            if not chunk.counts or not chunk.counts.keys() <= self.channels.keys():
                known = chunk.counts
                chunk.counts = Counter(
                    channel for _, channel, _ in self._load(chunk, None, definitions=True)
                )
                chunk.counts = known or chunk.counts
        counts = Counter(channel for _, channel, _, _ in self._loose)
        times = [x[0] for x in self._loose]
        for chunk in self._chunks:
            counts += chunk.counts
            if chunk.counts:
                times += [chunk.start_ns, chunk.end_ns]
        for number, channel in self.channels.items():
            channel.count = counts[number]
        self.span_ns = (min(times), max(times)) if times else None

    def _load(
        self,
        part: _Chunk | tuple[int, int, int, int],
        wanted: set[int] | None,
        *,
        definitions: bool = False,
    ) -> Iterator[StoredMessage]:
        """Read the messages of a chunk, or a message outside chunks; `wanted` None is all."""
        if not isinstance(part, _Chunk):
            arrival_ns, channel, offset, size = part
            yield arrival_ns, channel, self._read(offset, size)
            return
        try:
            records = memoryview(self._decompress(part))
        except Exception as error:  # decompressors raise any exception on damaged data
            self._report_chunk(part, str(error))
            return
        position = 0
        while position < len(records):
            head = records[position : position + _RECORD_HEADER_SIZE]
            length = int.from_bytes(head[1:], "little")
            start, position = position + len(head), position + len(head) + length
            data = records[start:position]
            if len(data) < length or len(head) < _RECORD_HEADER_SIZE:
                self._report_chunk(part, "a record is cut off")
                return
            if head[0] == _MESSAGE and length >= _MESSAGE_HEADER_SIZE:
                channel = int.from_bytes(data[:2], "little")
                if wanted is None or channel in wanted:
                    arrival_ns = int.from_bytes(data[6:14], "little")
                    yield arrival_ns, channel, bytes(data[_MESSAGE_HEADER_SIZE:])
            elif definitions and head[0] in (_SCHEMA, _CHANNEL):
                try:
                    self._define(head[0], data)
                except _TruncatedError:
                    self._report_chunk(part, "a definition is cut off")

    def _report_chunk(self, chunk: _Chunk, reason: str) -> None:
        lost = f" of {chunk.counts.total()} messages" if chunk.counts else ""
        problem = (
            f"{self._name}: a chunk{lost} at byte {chunk.offset} is damaged ({reason}); skipped"
        )
        if problem not in self._problems:
            self._problems.append(problem)

    def _decompress(self, chunk: _Chunk) -> bytes:
        decompress = _DECOMPRESSORS.get(chunk.compression)
        if decompress is None:
            raise StorageError(
                f"its compression '{chunk.compression}' is unknown: expected lz4 or zstd"
            )
        records = decompress(self._read(chunk.offset, chunk.stored_size))
        if len(records) != chunk.size:
            raise StorageError(f"holds {len(records)} bytes: expected {chunk.size}")
        if chunk.crc and zlib.crc32(records) != chunk.crc:
            raise StorageError("its checksum is wrong")
        return records

    def _read(self, offset: int, size: int) -> bytes:
        self._source.seek(offset)
        return self._source.read(size)


def _start_ns(part: _Chunk | tuple[int, int, int, int]) -> int:
    return part.start_ns if isinstance(part, _Chunk) else part[0]


class _TruncatedError(Exception):
    """A field lies outside its record."""


class _Fields:
    """The fields of a record, read one after the other."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = data
        self.position = 0

    def integer(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little")

    def text(self) -> str:
        return self.block().decode(errors="replace")

    def block(self) -> bytes:
        return self._take(self.integer(4))

    def texts(self) -> dict[str, str]:
        """Read a map of texts that fills the rest of the data."""
        pairs = {}
        while self.position < len(self._data):
            key = self.text()
            pairs[key] = self.text()
        return pairs

    def _take(self, size: int) -> bytes:
        data = bytes(self._data[self.position : self.position + size])
        if len(data) < size:
            raise _TruncatedError
        self.position += size
        return data
