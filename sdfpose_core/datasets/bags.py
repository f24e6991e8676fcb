"""Frames of a rosbag2 (sqlite3 or MCAP), read without a ROS installation."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rosbags.highlevel import AnyReader

from sdfpose_core.datasets.bag_repair import mended_copy, storage_files
from sdfpose_core.datasets.bag_topics import ROLES, TOPIC_TYPES, find_topics
from sdfpose_core.errors import BagError
from sdfpose_core.messages.decoding import (
    InputTopics,
    LabelRules,
    camera_from_info,
    rgbd_frame,
)
from sdfpose_core.messages.definitions import message_definitions
from sdfpose_core.messages.errors import MessageError
from sdfpose_core.messages.pairing import FramePairing
from sdfpose_core.messages.synchronizer import FrameMessages
from sdfpose_core.observation.frame import RgbdFrame

__all__ = [
    "ROLES",
    "TOPIC_TYPES",
    "Listeners",
    "Pairing",
    "RecordedFrame",
    "bag_frames",
    "find_topics",
    "frame_of",
    "is_bag",
    "open_bag",
]

Listeners = Mapping[str, Callable[[Any], None]]
"""What is told of the messages of further topics."""


@dataclass(frozen=True)
class Pairing:
    """How messages become frames; the defaults are the pose node's.

    Attributes:
        topics: by role (see `ROLES`), those that are not to be guessed.
        slop_s: largest difference of stamps within a frame, seconds.
        queue_size: messages of each topic that wait for the others.
        with_labels: whether a topic of labels says what mask ids are; rules do where it is not
            wanted, or there is none.
    """

    topics: Mapping[str, str] = field(default_factory=dict)
    slop_s: float = 0.02
    queue_size: int = 20
    with_labels: bool = True


@dataclass(frozen=True)
class RecordedFrame:
    """A frame of a bag.

    Attributes:
        frame: what was seen.
        arrival_ns: when the last of its messages was recorded, nanoseconds.
    """

    frame: RgbdFrame
    arrival_ns: int


def is_bag(path: Path | str) -> bool:
    """Whether a path looks like a rosbag2: a file of one, or a folder with such files."""
    path = Path(path)
    return (path / "metadata.yaml").is_file() or bool(storage_files(path))


@contextmanager
def open_bag(path: Path | str, problems: list[str] | None = None) -> Iterator[AnyReader]:
    """A bag with at least one message.

    Args:
        path: the bag's folder, or its ``.mcap`` or ``.db3`` file.
        problems: is told if the bag was not closed and only a part of it can be read. Where it is
            left out, such a bag is refused.

    Raises:
        BagError: it cannot be read, or is empty.
    """
    path = Path(path)
    if not path.exists():
        raise BagError(f"{path}: no such bag: expected a rosbag2's folder, .mcap or .db3 file")
    with ExitStack() as stack:
        try:
            reader = _open([path], stack)
        except Exception as error:  # damage makes parsers fail in any way
            files = [] if problems is None else _mended_files(path, problems, stack)
            if not files:
                raise BagError(
                    f"{path}: cannot be read: {error}: expected a complete rosbag2"
                ) from error
            try:
                reader = _open(files, stack)
            except Exception as worse:  # as above
                raise BagError(
                    f"{path}: cannot be read: {error}; nor can what is complete in it: {worse}"
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
    listeners: Listeners | None = None,
) -> Iterator[RecordedFrame]:
    """The frames of a bag, put together as the node does it.

    Args:
        path: the bag's folder, or its ``.mcap`` or ``.db3`` file.
        rules: which categories mask ids have where no topic of labels says it.
        problems: is told at the end what was left out and why, a sentence for each reason.
        pairing: how messages become frames.
        listeners: by further topics, called with each of their messages when its turn comes.

    Raises:
        BagError: the bag cannot be read, or its topics make up no frame.
    """
    pairing, listeners = pairing or Pairing(), listeners or {}
    left_out: dict[tuple[type, str], list[str]] = {}

    def refuse(error: MessageError) -> None:
        left_out.setdefault((type(error), error.topic), []).append(str(error))

    with open_bag(path, problems) as bag:
        chosen = find_topics(bag.connections, path, pairing.topics)
        if not pairing.with_labels:
            chosen = replace(chosen, labels="")
        pairs = FramePairing(chosen, pairing.slop_s, pairing.queue_size, refuse)
        arrival_ns = 0

        def usable(groups: Iterable[FrameMessages], arrival_ns: int) -> Iterator[RecordedFrame]:
            for messages in groups:
                try:
                    yield RecordedFrame(frame_of(messages, rules, chosen), arrival_ns)
                except MessageError as error:
                    refuse(error)

        wanted = pairs.topics | set(listeners)
        for topic, message, arrival_ns in _read(bag, wanted, path, problems):
            if topic in listeners:
                listeners[topic](message)
            if topic in pairs.topics:
                yield from usable(pairs.take(topic, message), arrival_ns)
        yield from usable(pairs.finish(), arrival_ns)
    restarts = pairs.statistics.restarts
    if restarts:
        problems.append(f"{path}: time jumps back {restarts} times")
    problems += [f"{path}: {len(x)} frames left out: {x[0]}" for x in left_out.values()]
    if not pairs.statistics.matched:
        counts = ", ".join(
            f"{n} on {topic}{_span(pairs.spans_ns.get(topic))}"
            for topic, n in pairs.received.items()
        )
        problems.append(
            f"{path}: no stamps of colour, depth and mask agree within {pairing.slop_s:g} s "
            f"({counts} messages): expected equal stamps"
        )


def frame_of(messages: FrameMessages, rules: LabelRules, topics: InputTopics) -> RgbdFrame:
    """The frame that the messages make up.

    Args:
        messages: of one moment.
        rules: which categories mask ids have where there are no labels.
        topics: where they came from.

    Raises:
        MessageError: something is wrong with one of them.
    """
    return rgbd_frame(
        messages.colour,
        messages.depth,
        messages.mask,
        camera_from_info(messages.info, topics.camera_info),
        rules if messages.labels is None else messages.labels,
        topics,
    )


def _span(stamps_ns: tuple[int, int] | None) -> str:
    if stamps_ns is None:
        return ""
    first, last = (1e-9 * x for x in stamps_ns)
    return f" from {first:.3f} to {last:.3f} s"


def _open(paths: Sequence[Path], stack: ExitStack) -> AnyReader:
    reader = AnyReader(paths, default_typestore=message_definitions())
    return stack.enter_context(reader)


def _mended_files(path: Path, problems: list[str], stack: ExitStack) -> list[Path]:
    """The files of a bag that was not closed: whole ones, and copies of what the others hold."""
    files: list[Path] = []
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    for file in storage_files(path):
        try:
            with ExitStack() as trial:
                _open([file], trial)
            files.append(file)
        except Exception as error:  # as above
            try:
                copy, kept = mended_copy(file, folder)
            except BagError as worse:
                problems.append(str(worse))
                continue
            problems.append(f"{file}: is not complete ({error}): {kept} can be read")
            files.append(copy)
    return files


def _read(
    bag: AnyReader, topics: Iterable[str], path: Path | str, problems: list[str]
) -> Iterator[tuple[str, Any, int]]:
    """Topic, message and when it was recorded (nanoseconds), in that order, as far as possible."""
    wanted = set(topics)
    raw = bag.messages([x for x in bag.connections if x.topic in wanted])
    count = 0
    while True:
        try:
            connection, arrival_ns, data = next(raw)
            message = bag.deserialize(data, connection.msgtype)
        except StopIteration:
            return
        except Exception as error:  # damage makes parsers fail in any way
            problems.append(f"{path}: breaks off after {count} messages: {error!r}")
            return
        count += 1
        yield connection.topic, message, arrival_ns
