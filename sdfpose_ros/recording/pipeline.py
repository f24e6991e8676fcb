"""Compression of messages in threads, and their writing in the order of arrival."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from rosbags.interfaces import Qos
from rosbags.typesys.store import Typestore

from sdfpose_core.datasets.mcap_writing import McapFile
from sdfpose_core.errors import BagError
from sdfpose_core.messages.compression import Codecs, compressed_copy
from sdfpose_core.messages.errors import MessageError
from sdfpose_core.messages.factory import bag_messages

__all__ = ["ArrivedMessage", "RecordingPipeline", "StoredMessage", "compressed"]

_IMAGE = "sensor_msgs/msg/Image"
_COMPRESSED = "sensor_msgs/msg/CompressedImage"

_MOST_WAITING = 512 * 2**20
"""Messages that wait for compression or the disk, bytes; more are dropped."""


@dataclass(frozen=True)
class ArrivedMessage:
    """A message as it has arrived.

    Attributes:
        topic: its topic.
        kind: its type, e.g. ``sensor_msgs/msg/Image``.
        role: part of a frame that it is, e.g. ``depth``; empty if it is none.
        data: the message in CDR.
        arrival_ns: time of its arrival, nanoseconds.
        qos: profile that a player should offer.
    """

    topic: str
    kind: str
    role: str
    data: bytes
    arrival_ns: int
    qos: Qos


@dataclass(frozen=True)
class StoredMessage:
    """Topic, type and content in CDR of a message as it is written."""

    topic: str
    kind: str
    data: bytes | memoryview


def compressed(message: ArrivedMessage, store: Typestore, codecs: Codecs) -> StoredMessage:
    """Compress a message if it is a raw image; others, and damaged images, stay as they are.

    A damaged image belongs into a recording: its reader says what is wrong with it.

    Args:
        message: the message.
        store: definitions of the messages.
        codecs: how to compress images.
    """
    if message.kind == _IMAGE and message.role:
        image: Any = store.deserialize_cdr(message.data, _IMAGE)
        try:
            new = bag_messages(store)
            packed = compressed_copy(new, image, message.topic, message.role, codecs)
        except MessageError:
            packed = None
        if packed is not None:
            suffix, small = packed
            data = store.serialize_cdr(small, _COMPRESSED)
            return StoredMessage(message.topic + suffix, _COMPRESSED, data)
    return StoredMessage(message.topic, message.kind, message.data)


class RecordingPipeline:
    """Compresses messages in threads and writes them in the order of their arrival.

    Args:
        file: receives the messages.
        compress: turns an arrived message into a stored one; called from several threads.
        threads: number of threads for compression.

    Attributes:
        dropped: number of messages for which there was no time.
        failure: why the file cannot be written; None while it can.
    """

    def __init__(
        self,
        file: McapFile,
        compress: Callable[[ArrivedMessage], StoredMessage],
        threads: int = 2,
    ) -> None:
        self._file = file
        self._compress = compress
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="compression")
        self._waiting: queue.Queue[tuple[ArrivedMessage, Future[StoredMessage]] | None] = (
            queue.Queue()
        )
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._closed = False
        self.dropped = 0
        self.failure: BagError | None = None
        self._writer = threading.Thread(target=self._write_all, name="recording", daemon=True)
        self._writer.start()

    def put(self, message: ArrivedMessage) -> bool:
        """Add a message; return False if too many wait, or the pipeline is closed."""
        size = len(message.data)
        with self._lock:
            if self._closed or self._waiting_bytes + size > _MOST_WAITING:
                self.dropped += 1
                return False
            self._waiting_bytes += size
            self._waiting.put((message, self._pool.submit(self._compress, message)))
        return True

    def close(self) -> None:
        """Write all that waits and stop the threads; the file stays open."""
        with self._lock:
            self._closed = True
            self._waiting.put(None)
        self._writer.join()
        self._pool.shutdown()

    def _write_all(self) -> None:
        while (item := self._waiting.get()) is not None:
            message, future = item
            try:
                stored = future.result()
                if self.failure is None:
                    self._write(message, stored)
            except BagError as error:
                self.failure = error
            except Exception as error:  # the thread would end without a word
                self.failure = BagError(f"{message.topic}: cannot be recorded: {error!r}")
            with self._lock:
                self._waiting_bytes -= len(message.data)

    def _write(self, message: ArrivedMessage, stored: StoredMessage) -> None:
        if stored.topic not in self._file.counts:
            self._file.add_topic(stored.topic, stored.kind, message.qos)
        self._file.write(stored.topic, stored.data, message.arrival_ns)
