"""Which topics of a bag make up a frame, by their types and names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rosbags.interfaces import Connection

from sdfpose_core.errors import BagError
from sdfpose_core.messages.decoding import InputTopics

__all__ = ["ROLES", "TOPIC_TYPES", "find_topics"]

ROLES = ("colour", "depth", "mask", "camera_info", "labels")
"""What a frame is made of."""

TOPIC_TYPES = {
    "colour": "sensor_msgs/msg/Image",
    "depth": "sensor_msgs/msg/Image",
    "mask": "sensor_msgs/msg/Image",
    "camera_info": "sensor_msgs/msg/CameraInfo",
    "labels": "sdfpose/msg/InstanceLabels",
}
"""Types of their topics where images are raw."""

_IMAGE = "sensor_msgs/msg/Image"
_COMPRESSED = "sensor_msgs/msg/CompressedImage"

_TRANSPORTS = ("", "/compressedDepth", "/compressed")
"""What follows an image's name in those of its topics, the best first."""

_WORDS = {
    "mask": re.compile(r"mask|segment"),
    "depth": re.compile(r"depth"),
    "colour": re.compile(r"colou?r|rgb"),
}
"""What the name of an image topic tells, the first that fits."""

_REGISTERED = re.compile(r"aligned|registered")
"""Depth that is registered to colour, where there is other depth, too."""


def find_topics(
    connections: Iterable[Connection], path: Path | str, given: Mapping[str, str]
) -> InputTopics:
    """Which topics of a bag make up a frame, by their types and names.

    An image's compressed topic serves where its raw one is not in the bag.

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
        if types.get(topic) not in _types_for(role):
            came = f"has the type {types[topic]}" if topic in types else "is not in the bag"
            raise BagError(
                f"{path}: {topic}, given for {role}, {came}: expected one of "
                f"{', '.join(_topics_for(role, types)) or 'none'}, of type "
                f"{' or '.join(_types_for(role))}"
            )
    found = {
        role: given.get(role) or _only(role, _candidates(role, types, given), types, path)
        for role in ("colour", "depth", "mask", "labels")
    }
    infos = _topics_for("camera_info", types)
    beside = [x for x in infos if _parent(x) == _parent(_image_name(found["colour"]))]
    found["camera_info"] = given.get("camera_info") or _only(
        "camera_info", beside or infos, types, path
    )
    return InputTopics(**found)


def _candidates(role: str, types: Mapping[str, str], given: Mapping[str, str]) -> list[str]:
    """Topics that could play a role."""
    of_type = [x for x in _topics_for(role, types) if x not in given.values()]
    if role not in _WORDS:
        return of_type
    told = {
        topic: next((k for k, words in _WORDS.items() if words.search(image)), None)
        for image, topic in _best_transports(of_type, role).items()
    }
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
            f"{path}: has no topic for {role}: expected one of type "
            f"{' or '.join(_types_for(role))}; it has "
            f"{', '.join(f'{k} ({v})' for k, v in sorted(types.items()))}"
        )
    raise BagError(
        f"{path}: {', '.join(sorted(found))} could all be {role}: say which one, as {role}=TOPIC"
    )


def _best_transports(topics: Sequence[str], role: str) -> dict[str, str]:
    """Of each image, by its name, the raw topic, or where there is none a compressed one."""
    usable = [x for x in _TRANSPORTS if x != "/compressedDepth" or role == "depth"]
    best: dict[str, str] = {}
    for transport in reversed(usable):
        best |= {_image_name(x): x for x in topics if x == _image_name(x) + transport}
    return best


def _image_name(topic: str) -> str:
    """The name of the image in that of its topic: without the transport."""
    for transport in filter(None, _TRANSPORTS):
        topic = topic.removesuffix(transport)
    return topic


def _types_for(role: str) -> tuple[str, ...]:
    kind = TOPIC_TYPES[role]
    return (kind, _COMPRESSED) if kind == _IMAGE else (kind,)


def _topics_for(role: str, types: Mapping[str, str]) -> list[str]:
    return sorted(topic for topic, kind in types.items() if kind in _types_for(role))


def _parent(topic: str) -> str:
    return topic.rpartition("/")[0]
