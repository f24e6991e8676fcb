"""Sources of ground truth of a recording: a topic, transforms, or a JSON file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sdfpose_core.categories import Categories
from sdfpose_core.datasets.bag_reader import Connection
from sdfpose_core.datasets.bag_writing import OBJECTS
from sdfpose_core.datasets.bags import TopicCallbacks
from sdfpose_core.datasets.folder import ground_truth_of
from sdfpose_core.errors import BagError, FrameError
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_core.messages.objects import truth_from_message
from sdfpose_core.messages.transform_tree import TransformError, TransformTree
from sdfpose_core.observation.frame import GroundTruth
from sdfpose_core.replay.transforms import TF, TF_STATIC, TF_TYPE
from sdfpose_core.storage.text import read_text

__all__ = ["FileTruth", "TopicTruth", "TransformTruth", "TruthSource", "truth_source"]

_TF_PREFIX = "tf:"


class TruthSource(Protocol):
    """True poses by the stamp of an image."""

    @property
    def listeners(self) -> TopicCallbacks:
        """Callbacks by topic that must receive all messages before `at` is called."""
        ...

    def at(self, stamp: int, frame_id: str) -> list[GroundTruth] | None:
        """Return the objects in frame `frame_id` at `stamp`, nanoseconds; None if unknown.

        Objects whose pose is unknown are part of the list, see `GroundTruth`.
        """
        ...


def truth_source(
    selection: str | None,
    connections: Iterable[Connection],
    path: Path | str,
    categories: Categories,
) -> TruthSource | None:
    """Create the source of ground truth that the user selected.

    Args:
        selection: name of a topic of type ``sdfpose/SdfObjectArray``; ``tf:PREFIX`` for the frames
            ``PREFIX/CATEGORY_ID``; or a JSON file. None selects the bag's topic of that type with
            'truth' in its name, if there is one.
        connections: connections of the bag.
        path: path of the bag, for error messages.
        categories: table of categories.

    Raises:
        BagError: the bag has no such topic.
        FrameError: the file cannot be used.
    """
    types = {x.topic: x.msgtype for x in connections}
    topics = sorted(x for x, kind in types.items() if kind == OBJECTS)
    if selection is None:
        named = [x for x in topics if "truth" in x.lower()]
        if len(named) > 1:
            raise BagError(
                f"{path}: {', '.join(named)} could all be the ground truth: choose one topic"
            )
        return TopicTruth(named[0]) if named else None
    if selection.startswith(_TF_PREFIX):
        if types.get(TF) != TF_TYPE and types.get(TF_STATIC) != TF_TYPE:
            raise BagError(f"{path}: has no topic {TF}, needed for ground truth from {selection}")
        return TransformTruth(selection.removeprefix(_TF_PREFIX), categories)
    if selection.startswith("/") and not Path(selection).is_file():
        if selection not in topics:
            state = f"has type {types[selection]}" if selection in types else "is not in the bag"
            raise BagError(
                f"{path}: {selection}, given for ground truth, {state}: expected one of "
                f"{', '.join(topics) or 'none'}, of type {OBJECTS}, or a JSON file"
            )
        return TopicTruth(selection)
    return FileTruth(Path(selection), categories)


class TopicTruth:
    """Ground truth from a topic of type ``sdfpose/SdfObjectArray``, matched by stamp.

    Args:
        topic: name of the topic.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._frames: dict[int, list[GroundTruth]] = {}

    @property
    def listeners(self) -> TopicCallbacks:
        """See `TruthSource`."""
        return {self._topic: self._take}

    def at(self, stamp: int, frame_id: str) -> list[GroundTruth] | None:
        """See `TruthSource`; the poses are assumed to be in frame `frame_id`."""
        return self._frames.get(stamp)

    def _take(self, message: Any) -> None:
        objects = [truth_from_message(x) for x in message.objects]
        # Without any pose nothing is known about the frame. An empty list means no objects.
        if any(x.has_pose for x in objects) or not objects:
            self._frames[stamp_ns(message.header)] = objects


class FileTruth:
    """Ground truth from a JSON file, matched by stamp.

    The file contains ``{"frames": [{"stamp_ns": N, "objects": [...]}]}``. Each object has
    ``category``, ``R``, ``t`` (metres, camera frame), ``dimensions_m`` and optionally ``id`` and
    ``symmetric_about_y``. `sdfpose replay --json` writes such files.

    Args:
        path: path of the file.
        categories: table of categories, with the default symmetries.

    Raises:
        FrameError: the file cannot be read or has another format.
    """

    def __init__(self, path: Path, categories: Categories) -> None:
        try:
            content = json.loads(read_text(path))
        except (OSError, ValueError, RecursionError) as error:
            raise FrameError(f"{path}: cannot be read as JSON: {error}") from error
        frames = content.get("frames") if isinstance(content, dict) else None
        if not isinstance(frames, list):
            raise FrameError(
                f"{path}: has no list 'frames': expected a list of frames with stamp and objects"
            )
        self._frames: dict[int, list[GroundTruth]] = {}
        for number, frame in enumerate(frames):
            where = f"{path}: frames[{number}]"
            stamp = frame.get("stamp_ns") if isinstance(frame, dict) else None
            if type(stamp) is not int or not isinstance(frame.get("objects"), list):
                raise FrameError(f"{where}: expected 'stamp_ns', an integer, and a list 'objects'")
            if stamp in self._frames:
                raise FrameError(
                    f"{where}: repeats the stamp {stamp} of an earlier frame: expected one frame "
                    "per stamp"
                )
            self._frames[stamp] = [
                _truth(x, i, f"{where}.objects[{i}]", categories)
                for i, x in enumerate(frame["objects"])
            ]

    @property
    def listeners(self) -> TopicCallbacks:
        """See `TruthSource`."""
        return {}

    def at(self, stamp: int, frame_id: str) -> list[GroundTruth] | None:
        """See `TruthSource`; the poses are in the camera frame."""
        return self._frames.get(stamp)


class TransformTruth:
    """Ground truth from transforms of the frames ``PREFIX/CATEGORY_ID``; sizes are unknown.

    Poses are interpolated between two transforms at most 0.2 s apart.

    Args:
        prefix: prefix of the frame ids.
        categories: table of categories, with their symmetries.
    """

    def __init__(self, prefix: str, categories: Categories) -> None:
        names = "|".join(re.escape(x) for x in categories)
        self._pattern = re.compile(rf"{re.escape(prefix)}/({names})_(\d+)")
        self._categories = categories
        self._tree = TransformTree()

    @property
    def listeners(self) -> TopicCallbacks:
        """See `TruthSource`."""
        return {TF: self._tree.take, TF_STATIC: self._tree.take_static}

    def at(self, stamp: int, frame_id: str) -> list[GroundTruth] | None:
        """See `TruthSource`."""
        found = []
        for child in self._tree.frames:
            match = self._pattern.fullmatch(child)
            if match is None:
                continue
            category = match[1]
            try:
                pose = self._tree.lookup(frame_id, child, stamp)
            except TransformError:
                found.append(GroundTruth.without_pose(int(match[2]), category, child))
                continue
            found.append(
                GroundTruth(
                    mask_id=int(match[2]),
                    category=category,
                    instance=child,
                    rotation=pose[:3, :3],
                    translation=pose[:3, 3],
                    dimensions_m=np.full(3, np.nan),
                    symmetric_about_y=self._categories[category].symmetry == "y",
                )
            )
        return found if any(x.has_pose for x in found) else None


def _truth(entry: Any, number: int, where: str, categories: Categories) -> GroundTruth:
    category = entry.get("category") if isinstance(entry, Mapping) else None
    if not isinstance(category, str) or category not in categories:
        raise FrameError(
            f"{where}: category is {category!r}: expected one of {', '.join(categories)}"
        )
    known_id = entry.get("id", number)
    if type(known_id) is not int:
        raise FrameError(f"{where}: id is {known_id!r}: expected an integer")
    try:
        return ground_truth_of(
            {"extents_m": entry.get("dimensions_m"), **entry},
            known_id,
            category,
            instance=f"{category}_{known_id}",
            symmetric_about_y=categories[category].symmetry == "y",
        )
    except FrameError as error:
        raise FrameError(f"{where}: {error}") from error
