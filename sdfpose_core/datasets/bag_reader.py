"""Read the messages of a rosbag2 (SQLite or MCAP), of all its files in the order of time."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from sdfpose_core.datasets.bag_storage import Channel, Storage, zstd
from sdfpose_core.errors import BagError
from sdfpose_core.messages.conversion import converted
from sdfpose_core.messages.definitions import PACKAGE, message_definitions

__all__ = ["BagReader", "Connection"]

_CDR = "cdr"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
"""First bytes of a compressed message; a message in CDR starts with 0."""

_IDL_SEPARATOR = "=" * 80 + "\n"
_DIGEST_PREFIX = "RIHS01_"

_TYPESTORES_KEPT = 256


@dataclass(frozen=True)
class Connection:
    """A topic of a bag.

    Attributes:
        topic: name of the topic.
        msgtype: message type, e.g. ``sensor_msgs/msg/Image``.
        msgcount: number of messages.
        latched: whether the recorded publisher was transient local.
    """

    topic: str
    msgtype: str
    msgcount: int
    latched: bool


class BagReader:
    """The messages of one or more storage files.

    A message type is looked up only when one of its messages is decoded, so that a topic with an
    unusable definition does not affect the others.

    Args:
        storages: the open files, in order.

    Attributes:
        connections: the topics whose messages are in CDR, the serialisation of ROS 2, one for
            each name.
        left_out: a sentence for each topic without a name, in another serialisation, or with
            another type than most of its messages.
    """

    def __init__(self, storages: Sequence[Storage]) -> None:
        self._storages = storages
        self._channels: dict[tuple[str, str], list[Channel]] = {}
        others: dict[str, str] = {}
        nameless = 0
        for storage in storages:
            for channel in storage.channels.values():
                if not channel.topic:
                    nameless += channel.count
                elif channel.encoding == _CDR:
                    key = channel.topic, channel.msgtype
                    self._channels.setdefault(key, []).append(channel)
                else:
                    others[channel.topic] = channel.encoding
        self.connections = [
            Connection(*key, sum(x.count for x in found), any(x.latched for x in found))
            for key, found in self._channels.items()
        ]
        self.left_out = [
            f"{topic}: its messages are in {encoding or 'an unknown encoding'}: expected {_CDR}; "
            "skipped"
            for topic, encoding in sorted(others.items())
        ]
        if nameless:
            self.left_out.append(f"{nameless} messages are on a topic without a name; skipped")
        self._keep_one_type()
        self._typestores: dict[str, Typestore] = {}

    def _keep_one_type(self) -> None:
        """Of a topic with several types, keep the type with the most messages."""
        kept: dict[str, Connection] = {}
        for x in sorted(self.connections, key=lambda x: -x.msgcount):
            first = kept.setdefault(x.topic, x)
            if first is not x:
                self.left_out.append(
                    f"{x.topic}: has {first.msgcount} messages of type {first.msgtype}, and "
                    f"{x.msgcount} of type {x.msgtype}; the latter are skipped"
                )
        self.connections = [x for x in self.connections if kept[x.topic] is x]

    @property
    def message_count(self) -> int:
        """Number of messages of all connections."""
        return sum(x.msgcount for x in self.connections)

    @property
    def duration_s(self) -> float:
        """Time from the first to the last message, seconds."""
        spans = [x.span_ns for x in self._storages if x.span_ns is not None]
        if not spans:
            return 0.0
        return 1e-9 * (max(x[1] for x in spans) - min(x[0] for x in spans))

    def messages(
        self, connections: Iterable[Connection] | None = None, start_ns: int = 0
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Yield connection, recording time (nanoseconds) and data of messages in order of time.

        Args:
            connections: the topics to read; None for all.
            start_ns: messages that were recorded earlier are left out.
        """
        chosen = self.connections if connections is None else connections
        by_key = {(x.topic, x.msgtype): x for x in chosen}
        streams = []
        for storage in self._storages:
            ids = {
                i: by_key[x.topic, x.msgtype]
                for i, x in storage.channels.items()
                if x.encoding == _CDR and (x.topic, x.msgtype) in by_key
            }
            if ids:
                streams.append(_named(storage, ids, start_ns))
        return heapq.merge(*streams, key=lambda x: x[1])

    def deserialize(self, data: bytes, msgtype: str) -> Any:
        """Decode a message.

        Raises:
            BagError: there is no usable definition of the type.
            Exception: the data is damaged; the parser may raise any exception.
        """
        return self._typestore(msgtype).deserialize_cdr(data, msgtype)

    def as_installed(self, data: bytes, msgtype: str) -> bytes:
        """Serialise a message of sdfpose anew if the installed definition of its type is another.

        Messages of other packages, and of types that are not installed, stay as they are.

        Raises:
            BagError: there is no usable definition of the type.
            Exception: the data is damaged; the parser may raise any exception.
        """
        installed = _default_definitions()
        if not msgtype.startswith(f"{PACKAGE}/") or msgtype not in installed.fielddefs:
            return data
        recorded = self._typestore(msgtype)
        if _same(recorded, installed, msgtype):
            return data
        message = recorded.deserialize_cdr(data, msgtype)
        return bytes(installed.serialize_cdr(converted(message, msgtype, installed), msgtype))

    def _typestore(self, msgtype: str) -> Typestore:
        if msgtype not in self._typestores:
            self._typestores[msgtype] = self._chosen_typestore(msgtype)
        return self._typestores[msgtype]

    def _chosen_typestore(self, msgtype: str) -> Typestore:
        """Choose the bag's own definition of a type, or else the installed one.

        A definition that contradicts the recorded hash of the type is not used.
        """
        channels = [
            x for (_, kind), found in self._channels.items() if kind == msgtype for x in found
        ]
        digests = {x.digest for x in channels if x.digest.startswith(_DIGEST_PREFIX)}
        stores, problem = [], "the bag has no definition of the type"
        installed = msgtype in _default_definitions().fielddefs
        for definition in dict.fromkeys((x.definition_format, x.definition) for x in channels):
            if installed and not definition[1].strip():
                continue  # rosbag2 found no definition; it is no message without fields
            try:
                stores.append(_parsed_definition(msgtype, *definition))
            except Exception as error:  # the parser raises any exception on damaged text
                if definition[1]:
                    problem = f"its definition cannot be parsed ({' '.join(str(error).split())})"
        if installed:
            stores.append(_default_definitions())
        for store in stores:
            if _agrees(store, msgtype, digests):
                return _with_ros2_names(store)
        if stores:
            problem = "its definition contradicts the recorded hash of the type"
        raise BagError(f"{msgtype}: {problem}: expected a message definition (.msg)")


@cache
def _default_definitions() -> Typestore:
    return message_definitions()


@lru_cache(maxsize=_TYPESTORES_KEPT)
def _parsed_definition(msgtype: str, form: str, text: str) -> Typestore:
    """Parse the definition of a type; a bag may be opened several times.

    Raises:
        Exception: the parser may raise any exception on damaged text.
    """
    if form == "ros2msg":
        types = get_types_from_msg(text, msgtype)
    elif form in ("ros2idl", "omgidl"):
        types = {}
        for part in text.split(_IDL_SEPARATOR):
            idl = part.partition("\n")[2] if part.startswith("IDL: ") else part
            types.update(get_types_from_idl(idl) if idl.strip() else {})
    else:
        raise ValueError(f"unknown format '{form}'")
    _add_missing(types, msgtype, _default_definitions().fielddefs)
    store = get_typestore(Stores.EMPTY)
    store.register(types)
    return store


def _named(
    storage: Storage, ids: Mapping[int, Connection], start_ns: int
) -> Iterator[tuple[Connection, int, bytes]]:
    for arrival_ns, channel, data in storage.messages(ids, start_ns):
        yield ids[channel], arrival_ns, _uncompressed(data)


def _uncompressed(data: bytes) -> bytes:
    """Decompress a message that the recorder compressed; damaged data is returned as it is."""
    if not data.startswith(_ZSTD_MAGIC):
        return data
    try:
        return zstd.decompress(data)
    except zstd.ZstdError:
        return data


def _add_missing(types: dict[str, Any], msgtype: str, default: Mapping[str, Any]) -> None:
    """Add the installed definitions of types that a definition mentions but does not contain.

    Raises:
        KeyError: a type is unknown.
    """
    open_ends = [msgtype]
    seen = set()
    while open_ends:
        name = open_ends.pop()
        if name in seen:
            continue
        seen.add(name)
        if name not in types:
            types[name] = default[name]
        _, fields = types[name]
        open_ends += [x for _, description in fields for x in _mentioned(description)]


@lru_cache(maxsize=_TYPESTORES_KEPT)
def _with_ros2_names(store: Typestore) -> Typestore:
    """Rename fields in capitals, as `D` and `K` of bags that were converted from ROS 1."""
    renamed = {
        name: (constants, [(field.lower(), x) for field, x in fields])
        for name, (constants, fields) in store.fielddefs.items()
        if any(field != field.lower() for field, _ in fields)
        and len({field.lower() for field, _ in fields}) == len(fields)
    }
    if not renamed:
        return store
    changed = get_typestore(Stores.EMPTY)
    changed.register(store.fielddefs | renamed)
    return changed


@lru_cache(maxsize=_TYPESTORES_KEPT)
def _same(one: Typestore, other: Typestore, msgtype: str) -> bool:
    """Whether two stores have the same definition of a type."""
    return one.hash_rihs01(msgtype) == other.hash_rihs01(msgtype)


def _mentioned(description: Any) -> list[str]:
    """Return the message type in the description of a field, if there is one."""
    kind, value = description
    if kind == Nodetype.NAME:
        return [value]
    return _mentioned(value[0]) if kind in (Nodetype.ARRAY, Nodetype.SEQUENCE) else []


def _agrees(store: Typestore, msgtype: str, digests: set[str]) -> bool:
    """Check the hash of a definition; without a recorded hash, or if it is unknown, accept it."""
    if not digests:
        return True
    try:
        return store.hash_rihs01(msgtype) in digests
    except Exception:  # types that rosbags cannot hash
        return True
