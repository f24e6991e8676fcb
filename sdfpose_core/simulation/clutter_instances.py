"""Instances of cluttered scenes: objects of the categories, and what a segmentation finds besides.

A segmentation that knows no categories finds distractors, too, and now and then a part of the room.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import Categories, default_categories
from sdfpose_core.observation.frame import GroundTruth, Instance, InstanceLabel, RgbdFrame
from sdfpose_core.observation.segmentation import ANY_CATEGORY, segment
from sdfpose_core.simulation.clutter import CLUTTER, ClutterFrame, ClutterStyle, simulated_clutter
from sdfpose_core.simulation.mask_noise import MaskNoise

__all__ = [
    "ClutterInstance",
    "Segmentation",
    "clutter_instances",
    "detected_masks",
    "image_instances",
    "with_room_parts",
]

_VIEWS_PER_SCENE = 2

_ROOM_PARTS = 2
"""Largest number of parts of the room per image that get a mask."""

_ROOM_PART_M = (0.05, 0.5)
"""Smallest and largest width and height of such a part, metres."""

_MOST = 0.5
"""A mask shows a thing that more than this share of its pixels belong to."""

_MIN_PIXELS = 40
"""Smaller parts are left out."""


@dataclass(frozen=True)
class ClutterInstance:
    """One mask of a cluttered scene.

    Attributes:
        candidates: its measurement as an instance of each category that it may belong to by size,
            at least one.
        category: true one, empty if it belongs to none.
        truth: its true pose; None if it belongs to no category, or the pose is unknown.
    """

    candidates: tuple[Instance, ...]
    category: str
    truth: GroundTruth | None

    def told(self, category: str) -> tuple[Instance, ...]:
        """The measurement as an instance of one category; empty if that is out of the question."""
        return tuple(x for x in self.candidates if x.category == category)


Segmentation = Callable[[ClutterFrame, np.random.Generator], NDArray[np.uint16]]
"""Makes the masks (H, W) of an image, 0 = background."""


def clutter_instances(
    seed: int,
    count: int,
    style: ClutterStyle = CLUTTER,
    *,
    masks: Segmentation | None = None,
    width: int = 640,
    model_seeds: range = range(512),
    min_points: int = 64,
) -> Iterator[ClutterInstance]:
    """Generate the masks of simulated clutter.

    A mask shows the object that most of its pixels belong to. Masks that mostly show what need not
    be found are left out.

    Args:
        seed: seed of the stream.
        count: number of instances.
        style: style of the scenes.
        masks: segmentation; by default `detected_masks`.
        width: width of the images, pixels.
        model_seeds: seeds of the procedural models.
        min_points: instances with fewer points are left out.
    """
    masks = detected_masks if masks is None else masks
    rng = np.random.default_rng([0x1057, seed])
    categories = default_categories()
    images = simulated_clutter(
        seed, style=style, width=width, model_seeds=model_seeds, views_per_scene=_VIEWS_PER_SCENE
    )
    found = (
        x
        for image in images
        for x in image_instances(image, masks(image, rng), categories, min_points)
        if x.truth is not None or not x.category
    )
    return itertools.islice(found, count)


def detected_masks(image: ClutterFrame, rng: np.random.Generator) -> NDArray[np.uint16]:
    """The true masks (H, W) and some of the room, with the errors of a detector."""
    presets = MaskNoise.none(), MaskNoise.mild(), MaskNoise.realistic(), MaskNoise.realistic()
    noise = presets[int(rng.integers(len(presets)))]
    return noise.apply(with_room_parts(image, rng), image.frame.camera, rng)


def image_instances(
    image: ClutterFrame, ids: NDArray[np.uint16], categories: Categories, min_points: int
) -> Iterator[ClutterInstance]:
    """The masks of one image; those that mostly show what need not be found are left out.

    Args:
        image: with the true ids.
        ids: (H, W), the masks.
        categories: known ones.
        min_points: masks with fewer points are left out.
    """
    labels = {int(x): InstanceLabel(ANY_CATEGORY) for x in np.unique(ids) if x > 0}
    frame = replace(image.frame, mask=ids, labels=labels)
    instances, _ = segment(frame, categories, min_points=min_points)
    truths: Mapping[int, GroundTruth] = {x.mask_id: x for x in image.truths}
    for mask_id in dict.fromkeys(x.mask_id for x in instances):
        shown = ids == mask_id
        thing = _thing(image.ids[shown])
        if image.ignore[shown].mean() > _MOST:
            continue
        yield ClutterInstance(
            tuple(x for x in instances if x.mask_id == mask_id),
            image.categories.get(thing, ""),
            truths.get(thing),
        )


def _thing(ids: NDArray[np.integer]) -> int:
    """The id that most pixels have; 0 if none has a majority."""
    counts = np.bincount(ids)
    thing = int(counts.argmax())
    return thing if counts[thing] > _MOST * len(ids) else 0


def with_room_parts(image: ClutterFrame, rng: np.random.Generator) -> NDArray[np.uint16]:
    """The true ids (H, W) of an image, and more for random parts of tables, walls and furniture."""
    ids = image.ids.copy()
    room = (ids == 0) & ~image.ignore
    for _ in range(int(rng.integers(_ROOM_PARTS + 1))):
        part = _room_part(room & (ids == 0), image.frame, rng)
        if np.count_nonzero(part) >= _MIN_PIXELS:
            ids[part] = int(ids.max()) + 1
    return ids


def _room_part(
    room: NDArray[np.bool_], frame: RgbdFrame, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """A rectangle of the background (H, W) around a random pixel, as far as it is near in depth."""
    v, u = np.nonzero(room & (frame.depth > 0.0))
    if len(v) == 0:
        return np.zeros_like(room)
    k = int(rng.integers(len(v)))
    z = float(frame.depth[v[k], u[k]])
    low, high = np.log(_ROOM_PART_M)
    sides = np.exp(rng.uniform(low, high, size=2))
    reach = 0.5 * sides * frame.camera.fx / z
    rows = slice(max(int(v[k] - reach[1]), 0), int(v[k] + reach[1]) + 1)
    columns = slice(max(int(u[k] - reach[0]), 0), int(u[k] + reach[0]) + 1)
    part = np.zeros_like(room)
    near = np.abs(frame.depth[rows, columns] - z) < 0.5 * sides.max()
    part[rows, columns] = room[rows, columns] & near
    return part
