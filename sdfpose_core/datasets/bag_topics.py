"""Selection of the topics of a bag that make up a frame, by type and name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sdfpose_core.datasets.bag_reader import Connection
from sdfpose_core.errors import BagError
from sdfpose_core.messages.decoding import InputTopics
from sdfpose_core.messages.topic_names import segments

__all__ = ["ROLES", "TOPIC_TYPES", "find_topics"]

ROLES = ("colour", "depth", "mask", "camera_info", "labels")
"""Parts of a frame, each provided by one topic."""

TOPIC_TYPES = {
    "colour": "sensor_msgs/msg/Image",
    "depth": "sensor_msgs/msg/Image",
    "mask": "sensor_msgs/msg/Image",
    "camera_info": "sensor_msgs/msg/CameraInfo",
    "labels": "sdfpose/msg/InstanceLabels",
}
"""Message type of each role's topic, for raw images."""

_IMAGE = "sensor_msgs/msg/Image"
_COMPRESSED = "sensor_msgs/msg/CompressedImage"

_TRANSPORTS = ("", "/compressedDepth", "/compressed")
"""Suffixes of an image's topics, preferred first."""

_WORDS = {
    "mask": {"mask", "masks", "segment", "segments", "segmentation", "segmented"},
    "depth": {"depth", "depthmap", "depthimage"},
    "colour": {"colour", "color", "rgb", "bgr", "colourimage", "colorimage", "rgbimage"},
}
"""Roles of image topics by words in their names; within a segment, the first match counts."""

_STEREO_DEPTH = "stereo"
"""Word for depth in the topics of stereo cameras (OAK), if no topic is named depth..."""

_ONE_EYE = {"left", "right"}
"""...and none of these says that it is one of the two images."""

_REGISTERED = re.compile(r"\b(aligned|registered|depth to (rgb|colou?r))\b")
"""Words of depth topics registered to colour; preferred over other depth topics."""


def find_topics(
    connections: Iterable[Connection],
    path: Path | str,
    given: Mapping[str, str],
    *,
    needs_mask: bool = True,
) -> InputTopics:
    """Find the topics of a bag, or of a running camera, that make up a frame, by type and name.

    If the raw topic of an image is not in the bag, its compressed topic is used.

    Args:
        connections: the topics with their types.
        path: path of the bag, or namespace of the camera, for error messages.
        given: topics by role (see `ROLES`) that override the search.
        needs_mask: whether a bag without a topic for masks is an error.

    Returns:
        The topics; ``labels`` is empty if the bag has none, and so is ``mask`` if it is not needed.

    Raises:
        BagError: a role has no topic, several candidates, or a topic of the wrong type.
    """
    types = {x.topic: x.msgtype for x in connections}
    unknown = set(given) - set(ROLES)
    if unknown:
        raise BagError(
            f"unknown topic role: {', '.join(sorted(unknown))}: expected {', '.join(ROLES)}"
        )
    for role, topic in given.items():
        if types.get(topic) not in _types_for(role):
            state = f"has type {types[topic]}" if topic in types else "is not there"
            raise BagError(
                f"{path}: {topic}, given for {role}, {state}: expected one of "
                f"{', '.join(_topics_for(role, types)) or 'none'}, of type "
                f"{' or '.join(_types_for(role))}"
            )
    optional = ("labels",) if needs_mask else ("labels", "mask")
    found = {
        role: given.get(role)
        or _only(role, _candidates(role, types, given), types, path, role in optional)
        for role in ("colour", "depth", "mask", "labels")
    }
    infos = _topics_for("camera_info", types)
    beside = [x for x in infos if _parent(x) == _parent(_image_name(found["colour"]))]
    of_colour = [x for x in infos if _role(x) == "colour"]
    others = [x for x in infos if _role(x) is None]
    found["camera_info"] = given.get("camera_info") or _only(
        "camera_info", beside or of_colour or others or infos, types, path
    )
    return InputTopics(**found)


def _candidates(role: str, types: Mapping[str, str], given: Mapping[str, str]) -> list[str]:
    """List the topics that could fill a role."""
    of_type = [x for x in _topics_for(role, types) if x not in given.values()]
    if role not in _WORDS:
        return of_type
    images = _best_transports(of_type, role)
    roles = {topic: _role(image) for image, topic in images.items()}
    if "depth" not in roles.values():
        roles |= {topic: "depth" for image, topic in images.items() if _is_stereo_depth(image)}
    matches = [topic for topic, guess in roles.items() if guess == role]
    if role == "colour" and not matches:
        matches = [topic for topic, guess in roles.items() if guess is None]
    if role == "depth" and len(matches) > 1:
        matches = [x for x in matches if _is_registered(x)] or matches
    return matches


def _role(image: str) -> str | None:
    """Guess the role of an image topic by the last segment of its name that has a known word."""
    for words in reversed(segments(image)):
        for role, known in _WORDS.items():
            if known.intersection(words):
                return role
    return None


def _is_stereo_depth(image: str) -> bool:
    words = {word for part in segments(image) for word in part}
    return _STEREO_DEPTH in words and not words & _ONE_EYE and _role(image) is None


def _is_registered(topic: str) -> bool:
    return any(_REGISTERED.search(" ".join(words)) for words in segments(topic))


def _only(
    role: str,
    found: Sequence[str],
    types: Mapping[str, str],
    path: Path | str,
    optional: bool = False,
) -> str:
    if len(found) == 1:
        return found[0]
    if not found and optional:
        return ""
    if not found:
        hint = f"; name it with --topic {role}=TOPIC" if _topics_for(role, types) else ""
        if role == "mask":
            hint += "; or let 'sdfpose replay --masks SOURCE' make masks"
        raise BagError(
            f"{path}: has no topic for {role}: expected one of type "
            f"{' or '.join(_types_for(role))}; there are "
            f"{', '.join(f'{k} ({v})' for k, v in sorted(types.items())) or 'no topics'}{hint}"
        )
    raise BagError(
        f"{path}: {', '.join(sorted(found))} could all be {role}: choose one with "
        f"--topic {role}=TOPIC"
    )


def _best_transports(topics: Sequence[str], role: str) -> dict[str, str]:
    """Choose the raw topic of each image, or else a compressed one; keyed by image name."""
    usable = [x for x in _TRANSPORTS if x != "/compressedDepth" or role == "depth"]
    best: dict[str, str] = {}
    for transport in reversed(usable):
        best |= {_image_name(x): x for x in topics if x == _image_name(x) + transport}
    return best


def _image_name(topic: str) -> str:
    """Remove the transport suffix from a topic name."""
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
