"""Read frames from a rosbag2 (sqlite3 or MCAP) without a ROS installation."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rosbags.highlevel import AnyReader

from sdfpose_core.categories import default_categories
from sdfpose_core.datasets.bag_repair import repaired_copy, storage_files
from sdfpose_core.datasets.bag_topics import ROLES, TOPIC_TYPES, find_topics
from sdfpose_core.errors import BagError
from sdfpose_core.messages.decoding import LabelRules
from sdfpose_core.messages.definitions import message_definitions
from sdfpose_core.messages.errors import MessageError
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
    "find_topics",
    "is_bag",
    "open_bag",
]

TopicCallbacks = Mapping[str, Callable[[Any], None]]
"""Callbacks for the messages of additional topics, by topic."""


@dataclass(frozen=True)
class Pairing:
    """How messages are combined into frames; the defaults are those of the pose node.

    Attributes:
        topics: topics by role (see `ROLES`) that override the search.
        slop_s: largest difference of stamps within a frame, seconds.
        queue_size: messages kept per topic while waiting for the other topics.
        with_labels: whether the categories of mask ids come from the bag's label topic. If not,
            or if there is no such topic, label rules are used.
        depth_unit: metres per unit of depth; None for millimetres in 16-bit and metres in float
            images.
    """

    topics: Mapping[str, str] = field(default_factory=dict)
    slop_s: float = 0.02
    queue_size: int = 20
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


def is_bag(path: Path | str) -> bool:
    """Check whether a path looks like a rosbag2: a storage file, or a folder with such files."""
    path = Path(path)
    return (path / "metadata.yaml").is_file() or bool(storage_files(path))


@contextmanager
def open_bag(path: Path | str, problems: list[str] | None = None) -> Iterator[AnyReader]:
    """Open a bag that has at least one message.

    Args:
        path: the bag's folder, or its ``.mcap`` or ``.db3`` file.
        problems: receives a warning if the bag was not closed and can be read only in part. If
            None, such a bag is an error.

    Raises:
        BagError: the bag cannot be read, or is empty.
    """
    path = Path(path)
    if not path.exists():
        raise BagError(f"{path}: no such bag: expected a rosbag2 folder, .mcap or .db3 file")
    with ExitStack() as stack:
        try:
            reader = _open([path], stack)
        except Exception as error:  # parsers raise any exception on damaged data
            files = [] if problems is None else _repaired_files(path, problems, stack)
            if not files:
                raise BagError(
                    f"{path}: cannot be read: {error}: expected a complete rosbag2"
                ) from error
            try:
                reader = _open(files, stack)
            except Exception as worse:  # as above
                raise BagError(
                    f"{path}: cannot be read: {error}; nor can its intact part: {worse}"
                ) from error
        if reader.message_count == 0:
            raise BagError(f"{path}: holds no messages")
        yield reader


def bag_frames(
    path: Path | str,
    rules: LabelRules,
    problems: list[str],
    *,
    pairing: Pairing | None = None,
    listeners: TopicCallbacks | None = None,
) -> Iterator[RecordedFrame]:
    """Read the frames of a bag, with messages paired as in the pose node.

    Args:
        path: the bag's folder, or its ``.mcap`` or ``.db3`` file.
        rules: categories of mask ids, used where the bag has no label topic.
        problems: receives, at the end, one sentence for each reason for which frames were dropped
            or are likely to be wrong, with the number of frames.
        pairing: how messages are combined into frames.
        listeners: callbacks for additional topics, called with each message in recorded order.

    Raises:
        BagError: the bag cannot be read, or its topics make up no frame.
    """
    pairing, listeners = pairing or Pairing(), listeners or {}
    dropped: dict[tuple[type, str], list[str]] = {}
    warnings = WarningCounts()
    categories = default_categories()

    def drop(error: MessageError) -> None:
        dropped.setdefault((type(error), error.topic), []).append(str(error))

    with open_bag(path, problems) as bag:
        chosen = find_topics(bag.connections, path, pairing.topics)
        if not pairing.with_labels:
            chosen = replace(chosen, labels="")
        pairs = FramePairing(chosen, pairing.slop_s, pairing.queue_size, drop)
        arrival_ns = 0

        def usable(groups: Iterable[FrameMessages], arrival_ns: int) -> Iterator[RecordedFrame]:
            for messages in groups:
                try:
                    frame, found = checked_frame(
                        messages, rules, chosen, categories, depth_unit=pairing.depth_unit
                    )
                except MessageError as error:
                    drop(error)
                    continue
                warnings.add(found)
                yield RecordedFrame(frame, arrival_ns)

        topics = pairs.topics | set(listeners)
        try:
            for topic, message, arrival_ns in _read(bag, topics, path, problems):
                if topic in listeners:
                    listeners[topic](message)
                if topic in pairs.topics:
                    yield from usable(pairs.take(topic, message), arrival_ns)
            yield from usable(pairs.finish(), arrival_ns)
        finally:  # also if the caller stops early
            if restarts := pairs.statistics.restarts:
                problems.append(f"{path}: time jumps back {restarts} times")
            problems += [f"{path}: {len(x)} frames dropped: {x[0]}" for x in dropped.values()]
            problems += warnings.sentences(str(path))
    if not pairs.statistics.matched:
        counts = ", ".join(
            f"{n} on {topic}{_span(pairs.spans_ns.get(topic))}"
            for topic, n in pairs.received.items()
        )
        problems.append(
            f"{path}: no stamps of colour, depth and mask agree within {pairing.slop_s:g} s "
            f"({counts} messages): expected equal stamps"
        )


def _span(stamps_ns: tuple[int, int] | None) -> str:
    if stamps_ns is None:
        return ""
    first, last = (1e-9 * x for x in stamps_ns)
    return f" from {first:.3f} to {last:.3f} s"


def _open(paths: Sequence[Path], stack: ExitStack) -> AnyReader:
    reader = AnyReader(paths, default_typestore=message_definitions())
    return stack.enter_context(reader)


def _repaired_files(path: Path, problems: list[str], stack: ExitStack) -> list[Path]:
    """List the storage files of a bag, with damaged ones replaced by repaired copies."""
    files: list[Path] = []
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    for file in storage_files(path):
        try:
            with ExitStack() as attempt:
                _open([file], attempt)
            files.append(file)
        except Exception as error:  # as above
            try:
                copy, kept = repaired_copy(file, folder)
            except BagError as worse:
                problems.append(str(worse))
                continue
            problems.append(f"{file}: is incomplete ({error}): {kept} can be read")
            files.append(copy)
    return files


def _read(
    bag: AnyReader, topics: Iterable[str], path: Path | str, problems: list[str]
) -> Iterator[tuple[str, Any, int]]:
    """Yield topic, message and recording time (nanoseconds) until the end or the first damage."""
    selected = set(topics)
    raw = bag.messages([x for x in bag.connections if x.topic in selected])
    count = 0
    while True:
        try:
            connection, arrival_ns, data = next(raw)
            message = bag.deserialize(data, connection.msgtype)
        except StopIteration:
            return
        except Exception as error:  # parsers raise any exception on damaged data
            problems.append(f"{path}: ends early after {count} messages: {error!r}")
            return
        count += 1
        yield connection.topic, message, arrival_ns
