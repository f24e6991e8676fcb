"""Frames of a rosbag2 (sqlite3 or MCAP), read without a ROS installation."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection

from sdfpose_core.errors import BagError
from sdfpose_core.frame import RgbdFrame
from sdfpose_core.messages.decoding import (
    InputTopics,
    LabelRules,
    camera_from_info,
    rgbd_frame,
)
from sdfpose_core.messages.definitions import message_definitions
from sdfpose_core.messages.errors import MessageError
from sdfpose_core.messages.filters import SimpleFilter
from sdfpose_core.messages.synchronizer import FrameMessages, FrameSynchronizer

__all__ = ["ROLES", "bag_frames", "find_topics", "is_bag", "open_bag"]

ROLES = ("colour", "depth", "mask", "camera_info", "labels")
"""What a frame is made of."""

_TYPES = {
    "colour": "sensor_msgs/msg/Image",
    "depth": "sensor_msgs/msg/Image",
    "mask": "sensor_msgs/msg/Image",
    "camera_info": "sensor_msgs/msg/CameraInfo",
    "labels": "sdfpose/msg/InstanceLabels",
}

_WORDS = {
    "mask": re.compile(r"mask|segment"),
    "depth": re.compile(r"depth"),
    "colour": re.compile(r"colou?r|rgb"),
}
"""What the name of an image topic tells, the first that fits."""

_REGISTERED = re.compile(r"aligned|registered")
"""Depth that is registered to colour, where there is other depth, too."""


def is_bag(path: Path | str) -> bool:
    """Whether a path looks like a rosbag2: a file of one, or a folder with its metadata."""
    path = Path(path)
    return path.suffix in (".mcap", ".db3") or (path / "metadata.yaml").is_file()


@contextmanager
def open_bag(path: Path | str) -> Iterator[AnyReader]:
    """A bag with at least one message.

    Args:
        path: the bag's folder, or its ``.mcap`` or ``.db3`` file.

    Raises:
        BagError: it cannot be read, or is empty.
    """
    path = Path(path)
    if not path.exists():
        raise BagError(f"{path}: no such bag: expected a rosbag2's folder, .mcap or .db3 file")
    try:
        reader = AnyReader([path], default_typestore=message_definitions())
        reader.open()
    except Exception as error:  # damage makes parsers fail in any way
        raise BagError(
            f"{path}: cannot be read: {error}: expected a complete rosbag2 (ros2 bag reindex "
            "repairs one that was not closed)"
        ) from error
    try:
        if reader.message_count == 0:
            raise BagError(f"{path}: holds no messages")
        yield reader
    finally:
        reader.close()


def find_topics(
    connections: Iterable[Connection], path: Path | str, given: Mapping[str, str]
) -> InputTopics:
    """Which topics of a bag make up a frame, by their types and names.

    Args:
        connections: of the bag.
        path: the bag, for messages.
        given: topics by role (see `ROLES`) that are not to be guessed.

    Returns:
        The topics; ``labels`` is empty where the bag has none.

    Raises:
        BagError: a role has no topic, or several, or one of another type.
    """
    types = {x.topic: x.msgtype for x in connections}
    unknown = set(given) - set(ROLES)
    if unknown:
        raise BagError(f"no such role: {', '.join(sorted(unknown))}: expected {', '.join(ROLES)}")
    for role, topic in given.items():
        if types.get(topic) != _TYPES[role]:
            came = f"has the type {types[topic]}" if topic in types else "is not in the bag"
            raise BagError(
                f"{path}: {topic}, given for {role}, {came}: expected one of "
                f"{_listed(types, _TYPES[role])}, of type {_TYPES[role]}"
            )
    found = {
        role: given.get(role) or _only(role, _candidates(role, types, given), types, path)
        for role in ("colour", "depth", "mask", "labels")
    }
    infos = _listed_of(types, _TYPES["camera_info"])
    beside = [x for x in infos if _parent(x) == _parent(found["colour"])]
    found["camera_info"] = given.get("camera_info") or _only(
        "camera_info", beside or infos, types, path
    )
    return InputTopics(**found)


def bag_frames(
    path: Path | str,
    rules: LabelRules,
    problems: list[str],
    *,
    topics: Mapping[str, str] | None = None,
    slop_s: float = 0.02,
    queue_size: int = 10,
) -> Iterator[RgbdFrame]:
    """The frames of a bag, put together as the node does it.

    Args:
        path: the bag's folder, or its ``.mcap`` or ``.db3`` file.
        rules: which categories mask ids have where the bag has no topic of labels.
        problems: is told at the end what was left out and why, a sentence for each reason.
        topics: topics by role (see `ROLES`) that are not to be guessed.
        slop_s: largest difference of stamps within a frame, seconds.
        queue_size: messages of each topic that wait for the others.

    Raises:
        BagError: the bag cannot be read, or its topics make up no frame.
    """
    left_out: dict[tuple[type, str], list[str]] = {}

    def refuse(error: MessageError) -> None:
        left_out.setdefault((type(error), error.topic), []).append(str(error))

    with open_bag(path) as bag:
        chosen = find_topics(bag.connections, path, topics or {})
        pairing = _Pairing(chosen, slop_s, queue_size, refuse)
        for messages in pairing.frames(_read(bag, pairing.sources, path, problems)):
            try:
                yield _frame(messages, rules, chosen)
            except MessageError as error:
                refuse(error)
    if pairing.restarts:
        problems.append(f"{path}: time jumps back {pairing.restarts} times")
    problems += [f"{path}: {len(x)} frames left out: {x[0]}" for x in left_out.values()]
    if not pairing.matched:
        counts = ", ".join(f"{n} on {topic}" for topic, n in pairing.received.items())
        problems.append(
            f"{path}: no stamps of colour, depth and mask agree within {slop_s:g} s ({counts} "
            "messages): expected equal stamps"
        )


class _Pairing:
    """Messages of a bag through the node's synchroniser."""

    def __init__(
        self,
        topics: InputTopics,
        slop_s: float,
        queue_size: int,
        refuse: Callable[[MessageError], None],
    ) -> None:
        self.sources = {topic: SimpleFilter() for topic in asdict(topics).values() if topic}
        self._ready: deque[FrameMessages] = deque()
        self._synchronizer = FrameSynchronizer(
            colour=self.sources[topics.colour],
            depth=self.sources[topics.depth],
            mask=self.sources[topics.mask],
            info=self.sources[topics.camera_info],
            labels=self.sources[topics.labels] if topics.labels else None,
            topics=topics,
            queue_size=queue_size,
            slop_s=slop_s,
            on_frame=self._ready.append,
            on_error=refuse,
            on_restart=lambda: None,
        )

    @property
    def restarts(self) -> int:
        return self._synchronizer.statistics.restarts

    @property
    def matched(self) -> int:
        return self._synchronizer.statistics.matched

    @property
    def received(self) -> Mapping[str, int]:
        return self._synchronizer.statistics.received

    def frames(self, messages: Iterable[tuple[str, Any]]) -> Iterator[FrameMessages]:
        """Groups, each as soon as its last message has come."""
        for topic, message in messages:
            self.sources[topic].signalMessage(message)
            while self._ready:
                yield self._ready.popleft()
        self._synchronizer.finish()
        yield from self._ready


def _read(
    bag: AnyReader, topics: Iterable[str], path: Path | str, problems: list[str]
) -> Iterator[tuple[str, Any]]:
    """Topic and message, in the order in which they were recorded, as far as they can be read."""
    wanted = set(topics)
    raw = bag.messages([x for x in bag.connections if x.topic in wanted])
    count = 0
    while True:
        try:
            connection, _, data = next(raw)
            message = bag.deserialize(data, connection.msgtype)
        except StopIteration:
            return
        except Exception as error:  # damage makes parsers fail in any way
            problems.append(f"{path}: breaks off after {count} messages: {error!r}")
            return
        count += 1
        yield connection.topic, message


def _frame(messages: FrameMessages, rules: LabelRules, topics: InputTopics) -> RgbdFrame:
    return rgbd_frame(
        messages.colour,
        messages.depth,
        messages.mask,
        camera_from_info(messages.info, topics.camera_info),
        rules if messages.labels is None else messages.labels,
        topics,
    )


def _candidates(role: str, types: Mapping[str, str], given: Mapping[str, str]) -> list[str]:
    """Topics that could play a role."""
    of_type = [x for x in _listed_of(types, _TYPES[role]) if x not in given.values()]
    if role not in _WORDS:
        return of_type
    told = {x: next((k for k, words in _WORDS.items() if words.search(x)), None) for x in of_type}
    fitting = [x for x, what in told.items() if what == role]
    if role == "colour" and not fitting:
        fitting = [x for x, what in told.items() if what is None]
    if role == "depth" and len(fitting) > 1:
        fitting = [x for x in fitting if _REGISTERED.search(x)] or fitting
    return fitting


def _only(role: str, found: Sequence[str], types: Mapping[str, str], path: Path | str) -> str:
    if len(found) == 1:
        return found[0]
    if not found and role == "labels":
        return ""
    if not found:
        raise BagError(
            f"{path}: has no topic for {role}: expected one of type {_TYPES[role]}; it has "
            f"{', '.join(f'{k} ({v})' for k, v in sorted(types.items()))}"
        )
    raise BagError(
        f"{path}: {', '.join(sorted(found))} could all be {role}: say which one, as {role}=TOPIC"
    )


def _listed_of(types: Mapping[str, str], kind: str) -> list[str]:
    return sorted(x for x, of in types.items() if of == kind)


def _listed(types: Mapping[str, str], kind: str) -> str:
    return ", ".join(_listed_of(types, kind)) or "none"


def _parent(topic: str) -> str:
    return topic.rpartition("/")[0]
