"""Write serialised messages to one MCAP file, which RViz, Foxglove and `ros2 bag` can open."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys.store import Typestore

from sdfpose_core.errors import BagError

__all__ = ["McapFile"]

_SUFFIX = ".recording"


class McapFile:
    """An MCAP file that is being written, compressed by zstd.

    Meanwhile it is in a folder beside its path, ``NAME.recording``. If the process is killed, it
    stays there and can be read as far as it was written; if the disk is full, the part that was
    written becomes the file.

    Args:
        path: the file.
        store: definitions of the messages.
        replace: whether an existing file, and what a killed process has left, are replaced.

    Attributes:
        counts: number of written messages of each topic.

    Raises:
        BagError: the file exists, or cannot be written.
    """

    def __init__(self, path: Path, store: Typestore, *, replace: bool = False) -> None:
        self._path = path
        self._store = store
        self._folder = path.with_suffix(_SUFFIX)
        if replace:
            shutil.rmtree(self._folder, ignore_errors=True)
        for existing in (path, self._folder):
            if not replace and existing.exists():
                left = " (a recorder that was killed has left it)" if existing != path else ""
                raise BagError(f"{existing}: already exists{left}: choose the name of a new file")
        self._writer = Writer(
            self._folder, version=Writer.VERSION_LATEST, storage_plugin=StoragePlugin.MCAP
        )
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        try:
            self._writer.open()
        except OSError as error:
            raise BagError(
                f"{path}: cannot be written: {error}: expected a writable folder"
            ) from error
        self._open = True
        self._connections: dict[str, Connection] = {}
        self.counts: dict[str, int] = {}

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        file = self._file if self._open else self._path
        return file.stat().st_size if file.is_file() else 0

    def add_topic(self, topic: str, kind: str, qos: Qos) -> None:
        """Add a topic; a topic that has none of the messages should not be added.

        Args:
            topic: name of the topic.
            kind: message type, e.g. ``sensor_msgs/msg/Image``.
            qos: profile that a player should offer.

        Raises:
            BagError: there is no definition of the type.
        """
        if kind not in self._store.fielddefs:
            package = kind.partition("/")[0]
            raise BagError(
                f"{topic}: the definition of {kind} is missing: expected it in share/{package}/msg "
                "of the installation (reinstall the package)"
            )
        self._connections[topic] = self._writer.add_connection(
            topic, kind, typestore=self._store, offered_qos_profiles=[qos]
        )
        self.counts[topic] = 0

    def write(self, topic: str, data: bytes | memoryview, recorded_ns: int) -> None:
        """Write a message.

        Args:
            topic: a topic that was added.
            data: the message in CDR.
            recorded_ns: time of recording, nanoseconds.

        Raises:
            BagError: the disk is full or fails; the file ends here.
        """
        try:
            self._writer.write(self._connections[topic], max(recorded_ns, 0), data)
        except OSError as error:
            raise self._cut_off(error) from error
        self.counts[topic] += 1

    def close(self) -> Path:
        """Finish the file and return its path. Does nothing when called again.

        Raises:
            BagError: the disk is full or fails; the file lacks its end.
        """
        if self._open:
            try:
                self._writer.close()
            except OSError as error:
                raise self._cut_off(error) from error
            self._move()
        return self._path

    def __enter__(self) -> McapFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def _file(self) -> Path:
        return self._folder / f"{self._folder.name}.mcap"

    def _cut_off(self, error: OSError) -> BagError:
        """End the file as it is; return the error for the user."""
        with suppress(OSError):  # it is the same error, raised again for what is buffered
            self._writer.abort()
        self._move()
        return BagError(
            f"{self._path}: cannot be written: {error.strerror}: free space on the disk or choose "
            f"another one; the recording is cut off after {sum(self.counts.values())} messages, "
            "and what was written can be read"
        )

    def _move(self) -> None:
        self._open = False
        self._file.replace(self._path)
        shutil.rmtree(self._folder)
