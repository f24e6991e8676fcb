"""Read frames from a rosbag2 (sqlite3 or MCAP) without a ROS installation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sdfpose_core.categories import default_categories
from sdfpose_core.datasets.bag_files import bag_files, decompressed, is_bag, refuse_ros1
from sdfpose_core.datasets.bag_reader import BagReader
from sdfpose_core.datasets.bag_storage import Storage, StorageError
from sdfpose_core.datasets.bag_topics import ROLES, TOPIC_TYPES, find_topics
from sdfpose_core.datasets.folder import holds_frames
from sdfpose_core.datasets.mcap_storage import McapStorage
from sdfpose_core.datasets.sqlite_storage import SqliteStorage
from sdfpose_core.errors import BagError, SdfposeError
from sdfpose_core.messages.decoding import LabelRules
from sdfpose_core.messages.input_checks import checked_frame
from sdfpose_core.messages.pairing import FramePairing
from sdfpose_core.messages.synchronizer import FrameMessages
from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.observation.input_warnings import WarningCounts

__all__ = [
    "ROLES",
    "TOPIC_TYPES",
    "Pairing",
    "RecordedFrame",
    "TopicCallbacks",
    "bag_frames",
    "decoded_messages",
    "find_topics",
    "is_bag",
    "open_bag",
]

TopicCallbacks = Mapping[str, Callable[[Any], None]]
"""Callbacks for the messages of additional topics, by topic."""


_ODD_FIELDS = (AttributeError, TypeError, ValueError)
"""Errors of messages whose recorded definition has other fields than the type in ROS 2."""


@dataclass(frozen=True)
class Pairing:
    """How messages are combined into frames; the defaults are those of the pose node.

    Attributes:
        topics: topics by role (see `ROLES`) that override the search.
        slop_s: largest difference of stamps within a frame, seconds.
        queue_size: messages kept per topic while waiting for the other topics.
        with_masks: whether the masks come from the bag's mask topic. If not, they are empty, there
            are no labels, and the bag needs no such topic.
        with_labels: whether the categories of mask ids come from the bag's label topic. If not,
            or if there is no such topic, label rules are used.
        depth_unit: metres per unit of depth; None for millimetres in 16-bit and metres in float
            images.
    """

    topics: Mapping[str, str] = field(default_factory=dict)
    slop_s: float = 0.02
    queue_size: int = 20
    with_masks: bool = True
    with_labels: bool = True
    depth_unit: float | None = None


@dataclass(frozen=True)
class RecordedFrame:
    """A frame of a bag.

    Attributes:
        frame: the RGB-D frame.
        arrival_ns: recording time of its last message, nanoseconds.
    """

    frame: RgbdFrame
    arrival_ns: int


@contextmanager
def open_bag(path: Path | str, problems: list[str] | None = None) -> Iterator[BagReader]:
    """Open a bag that has at least one message.

    Errors that are raised while the bag is open name what is wrong with its files as well.

    Args:
        path: the bag's folder, or one of its storage files (``.mcap`` or ``.db3``, also with
            ``.zstd``).
        problems: receives a warning for each part of the bag that cannot be read. If None, such
            a bag is an error.

    Raises:
        BagError: the bag cannot be read, or is empty.
    """
    path = Path(path)
    found: list[str] = [] if problems is None else problems
    known = len(found)
    with ExitStack() as stack:
        try:
            reader = _open(path, found, stack)
            if problems is None and found:
                raise BagError(f"{path}: cannot be read completely")
            yield reader
        except BagError as error:
            more = [x for x in found[known:] if x not in str(error)]
            del found[known:]  # they are part of the error
            raise BagError("; ".join([str(error), *more])) from error


def bag_frames(
    path: Path | str,
    rules: LabelRules,
    problems: list[str],
    *,
    pairing: Pairing | None = None,
    listeners: TopicCallbacks | None = None,
    start_ns: int = 0,
) -> Iterator[RecordedFrame]:
    """Read the frames of a bag, with messages paired as in the pose node.

    Args:
        path: the bag's folder, or one of its storage files.
        rules: categories of mask ids, used where the bag has no label topic.
        problems: receives, at the end, one sentence for each reason for which frames were dropped
            or are likely to be wrong, with the number of frames.
        pairing: how messages are combined into frames.
        listeners: callbacks for additional topics, called with each message in recorded order.
        start_ns: messages that were recorded earlier are left out, nanoseconds.

    Raises:
        BagError: the bag cannot be read, or its topics make up no frame.
    """
    pairing, listeners = pairing or Pairing(), listeners or {}
    dropped: dict[tuple[type, str], list[str]] = {}
    undecoded: dict[str, list[str]] = {}
    odd: dict[str, list[str]] = {}
    warnings = WarningCounts()
    categories = default_categories()

    def drop(error: Exception) -> None:
        key = type(error), getattr(error, "topic", "")
        dropped.setdefault(key, []).append(_one_line(error))

    with open_bag(path, problems) as bag:
        chosen = find_topics(bag.connections, path, pairing.topics, needs_mask=pairing.with_masks)
        if not pairing.with_masks:
            chosen = replace(chosen, mask="", labels="")
        if not pairing.with_labels:
            chosen = replace(chosen, labels="")
        latched = any(x.latched for x in bag.connections if x.topic == chosen.labels)
        pairs = FramePairing(chosen, pairing.slop_s, pairing.queue_size, drop, latched)
        arrival_ns = 0

        def usable(groups: Iterable[FrameMessages], arrival_ns: int) -> Iterator[RecordedFrame]:
            for messages in groups:
                try:
                    frame, found = checked_frame(
                        messages, rules, chosen, categories, depth_unit=pairing.depth_unit
                    )
                except (SdfposeError, *_ODD_FIELDS) as error:
                    drop(error)
                    continue
                warnings.add(found)
                yield RecordedFrame(frame, arrival_ns)

        topics = pairs.topics | set(listeners)
        try:
            for topic, message, arrival_ns in decoded_messages(bag, topics, undecoded, start_ns):
                try:
                    if topic in listeners:
                        listeners[topic](message)
                    groups = pairs.take(topic, message) if topic in pairs.topics else []
                except _ODD_FIELDS as error:
                    odd.setdefault(topic, []).append(_one_line(error))
                    continue
                yield from usable(groups, arrival_ns)
            yield from usable(pairs.finish(), arrival_ns)
        finally:  # also if the caller stops early
            if restarts := pairs.statistics.restarts:
                problems.append(f"{path}: time jumps back {restarts} times")
            problems += [
                f"{path}: {len(x)} messages on {topic} cannot be decoded: {x[0]}; skipped"
                for topic, x in undecoded.items()
            ]
            problems += [
                f"{path}: {len(x)} messages on {topic} differ from their type in ROS 2: {x[0]}; "
                "skipped"
                for topic, x in odd.items()
            ]
            problems += [f"{path}: {len(x)} frames dropped: {x[0]}" for x in dropped.values()]
            problems += warnings.sentences(str(path))
    if not pairs.statistics.matched:
        counts = ", ".join(
            f"{n} on {topic}{_span(pairs.spans_ns.get(topic))}"
            for topic, n in pairs.received.items()
        )
        images = "colour, depth and mask" if chosen.mask else "colour and depth"
        problems.append(
            f"{path}: no stamps of {images} agree within {pairing.slop_s:g} s "
            f"({counts} messages): expected equal stamps"
        )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or repr(error)


def _span(stamps_ns: tuple[int, int] | None) -> str:
    if stamps_ns is None:
        return ""
    first, last = (1e-9 * x for x in stamps_ns)
    return f" from {first:.3f} to {last:.3f} s"


def _open(path: Path, problems: list[str], stack: ExitStack) -> BagReader:
    if not path.exists():
        raise BagError(
            f"{path}: no such bag: expected a rosbag2: a folder, or a .mcap or .db3 file"
        )
    try:
        refuse_ros1(path)
        if not is_bag(path) and holds_frames(path):
            raise BagError(
                f"{path}: holds frame folders and no bag: evaluate them with 'sdfpose eval "
                "frames', or make a bag of them with 'sdfpose bag from-frames'"
            )
        files = bag_files(path, problems)
    except (OSError, StorageError) as error:
        raise BagError(f"{path}: cannot be read: {error}") from error
    scratch = Path(stack.enter_context(TemporaryDirectory(prefix="sdfpose-bag-")))
    storages: list[Storage] = []
    unreadable = []
    for file in files:
        try:
            storage = _open_storage(file, problems, scratch)
        except (OSError, StorageError) as error:
            unreadable.append(f"{file}: cannot be read: {error}")
            continue
        stack.callback(storage.close)
        storages.append(storage)
    if not storages:
        raise BagError("; ".join(unreadable))
    problems += unreadable
    reader = BagReader(storages)
    if reader.message_count == 0:
        raise BagError("; ".join([f"{path}: holds no messages", *reader.left_out]))
    return reader


def _open_storage(file: Path, problems: list[str], scratch: Path) -> Storage:
    """Open a storage file.

    Raises:
        OSError, StorageError: nothing in the file can be read.
    """
    plain = decompressed(file, scratch, problems)
    if plain.suffix == ".mcap":
        return McapStorage(plain, file, problems)
    return SqliteStorage(plain, file, problems, scratch)


def decoded_messages(
    bag: BagReader, topics: Iterable[str], undecoded: dict[str, list[str]], start_ns: int = 0
) -> Iterator[tuple[str, Any, int]]:
    """Yield topic, message and recording time (nanoseconds) in recorded order.

    Args:
        bag: the open bag.
        topics: topics to read.
        undecoded: receives the reasons for which messages cannot be decoded, by topic.
        start_ns: earlier messages are left out.
    """
    selected = set(topics)
    chosen = [x for x in bag.connections if x.topic in selected]
    for connection, arrival_ns, data in bag.messages(chosen, start_ns):
        try:
            message = bag.deserialize(data, connection.msgtype)
        except Exception as error:  # parsers raise any exception on damaged data
            undecoded.setdefault(connection.topic, []).append(_one_line(error))
            continue
        yield connection.topic, message, arrival_ns
