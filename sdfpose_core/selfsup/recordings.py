"""Read your own recordings: frame folders or a bag."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from sdfpose_core.categories import Categories, default_categories
from sdfpose_core.datasets import read_frames
from sdfpose_core.datasets.bags import Pairing, bag_frames, is_bag
from sdfpose_core.errors import ConfigurationError, FrameError
from sdfpose_core.messages.decoding import LabelRules
from sdfpose_core.observation.frame import Instance, RgbdFrame
from sdfpose_core.observation.input_warnings import WarningCounts
from sdfpose_core.observation.segmentation import segment

__all__ = ["recorded_frames", "recorded_instances"]


def recorded_frames(
    path: Path | str,
    category: str,
    problems: list[str],
    *,
    topics: Mapping[str, str] | None = None,
    every: int = 1,
    depth_unit: float | None = None,
) -> Iterator[tuple[str, RgbdFrame]]:
    """Iterate over names and frames of a recording; ground truth poses in folders are ignored.

    Args:
        path: a frame folder, a folder of frame folders, or a rosbag2.
        category: category of mask ids without a label in a bag.
        problems: receives a message for each dropped frame and each kind of likely mistake.
        topics: topics of a bag, by role, see `datasets.bags.bag_frames`.
        every: take every n-th frame.
        depth_unit: metres per unit of depth; None for the one of the recording.

    Raises:
        BagError: the bag cannot be read.
        FrameError: the path does not exist.
        ConfigurationError: `every` is below 1.
    """
    if every < 1:
        raise ConfigurationError(f"every is {every}: expected at least 1")
    path = Path(path)
    frames = (
        _of_bag(path, category, problems, Pairing(topics or {}, depth_unit=depth_unit))
        if is_bag(path)
        else _of_folders(path, problems, depth_unit)
    )
    for number, item in enumerate(frames):
        if number % every == 0:
            yield item


def recorded_instances(
    path: Path | str,
    category: str,
    problems: list[str],
    *,
    categories: Categories | None = None,
    topics: Mapping[str, str] | None = None,
    every: int = 1,
    depth_unit: float | None = None,
) -> list[Instance]:
    """Collect the instances of a category in a recording; arguments as in `recorded_frames`.

    `categories` are the known ones, which labels name; by default the six shipped ones.

    Raises:
        BagError, ConfigurationError: see `recorded_frames`.
        FrameError: there is no usable instance.
    """
    known = default_categories() if categories is None else categories
    found: list[Instance] = []
    counts = WarningCounts()
    for _, frame in recorded_frames(
        path, category, problems, topics=topics, every=every, depth_unit=depth_unit
    ):
        instances, skipped = segment(frame, known)
        found += [x for x in instances if x.category == category]
        counts.add_skipped(skipped)
    problems += counts.sentences(str(path))
    if not found:
        raise FrameError(
            f"{path}: no usable instance of '{category}': expected frames with masks of that "
            f"category{'; ' + problems[0] if problems else ''}"
        )
    return found


def _of_folders(
    path: Path, problems: list[str], depth_unit: float | None
) -> Iterator[tuple[str, RgbdFrame]]:
    if not path.is_dir():
        raise FrameError(f"{path}: no such recording: expected frame folders or a rosbag2")
    for frame in read_frames(path, problems, depth_unit=depth_unit):
        yield frame.name, frame.frame


def _of_bag(
    path: Path, category: str, problems: list[str], pairing: Pairing
) -> Iterator[tuple[str, RgbdFrame]]:
    rules = LabelRules({}, category)
    recordings = bag_frames(path, rules, problems, pairing=pairing)
    for number, recorded in enumerate(recordings):
        yield f"{path.name}.{number:06d}", recorded.frame
