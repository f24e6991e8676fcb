"""Training views of the colour network: simulated crops of objects and other things, in files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from sdfpose_core.cues.crop import colour_crop_of
from sdfpose_core.encoder.fast import view_frame
from sdfpose_core.errors import FrameError
from sdfpose_core.observation.frame import GroundTruth, Instance
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.simulation.clutter_instances import ClutterInstance, clutter_instances
from sdfpose_core.simulation.instances import ModelPool, simulated_instances
from sdfpose_core.simulation.scenes import SceneStyle
from sdfpose_core.storage.files import atomic_replace

__all__ = [
    "CUE_STYLE",
    "NO_CATEGORY",
    "ClutterViewFile",
    "CueViews",
    "ViewFile",
    "clutter_cue_views",
    "simulated_cue_views",
]

NO_CATEGORY = -1
"""Number of the category of things that belong to none."""

CUE_STYLE = SceneStyle(objects=(2, 5), held=0.2, lying=0.2, upside_down=0.4, hard=0.4)
"""Scenes of the training views. As many objects stand upside down as upright (never laptops), so
that the network looks at the objects, not at what is usual."""

_VIEWS_PER_SCENE = 6

_PIXELS = 30_000
"""Pixels of an image, at which most objects fill their crop."""

_CLUTTER_STREAM = 0xC0C0
"""Sets the random numbers apart from those of the scenes with the same seed."""

_DISTRACTORS = 8
"""Models of each other category in the scenes of one file."""


@dataclass(frozen=True)
class CueViews:
    """Labelled crops.

    Attributes:
        colour: (V, S, S, 3) uint8, as in `CueCrop`.
        depth: (V, 2, G, G) float16, as in `CueCrop`.
        rotation: (V, 3, 3) float32, object frame to view frame (see `view_frame`).
        category: (V,) int64, number of the category, or `NO_CATEGORY`; these have any rotation.
    """

    colour: NDArray[np.uint8]
    depth: NDArray[np.float16]
    rotation: NDArray[np.float32]
    category: NDArray[np.int64]

    @classmethod
    def collect(cls, instances: Iterable[tuple[Instance, GroundTruth | None, int]]) -> CueViews:
        """Crop instances, each with its true pose, if any, and the number of its category."""
        colour, depth, rotation, category = [], [], [], []
        for instance, truth, number in instances:
            crop = colour_crop_of(instance)
            colour.append(crop.colour)
            depth.append(crop.depth.astype(np.float16))
            rotation.append(_in_view(truth))
            category.append(number)
        return cls(
            np.stack(colour), np.stack(depth), np.stack(rotation), np.array(category, np.int64)
        )

    @classmethod
    def joined(cls, parts: Sequence[CueViews]) -> CueViews:
        """Join several sets of views."""
        return cls(*(np.concatenate([getattr(x, name) for x in parts])
                     for name in cls.__dataclass_fields__))  # fmt: skip

    def __len__(self) -> int:
        return len(self.category)

    def save(self, path: Path) -> None:
        """Write the views to a file, atomically."""
        with atomic_replace(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **vars(self))

    @classmethod
    def load(cls, path: Path) -> CueViews:
        """Read a file of `save`.

        Raises:
            FrameError: the file is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as data:
                return cls(*(data[name] for name in cls.__dataclass_fields__))
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise FrameError(
                f"{path}: not a readable file of training views ({error}); delete it to make it "
                "again"
            ) from error


def _in_view(truth: GroundTruth | None) -> NDArray[np.float32]:
    """Rotation (3, 3) from the object frame to the view frame; the identity without a pose."""
    if truth is None:
        return np.eye(3, dtype=np.float32)
    frame = view_frame(torch.from_numpy(truth.translation)).numpy()
    return np.asarray(frame.T @ truth.rotation, dtype=np.float32)


def simulated_cue_views(
    category: str,
    number: int,
    seed: int,
    count: int,
    *,
    model_seeds: Sequence[int] = range(256),
    pool: ModelPool | None = None,
) -> CueViews:
    """Simulate views of one category with the appearance ``printed``.

    Args:
        category: the category.
        number: its number in the network.
        seed: seed of the stream.
        count: number of views.
        model_seeds: seeds of the category's models if no pool is given.
        pool: models to draw from.
    """
    stream = simulated_instances(
        category,
        seed,
        count,
        pool=pool,
        model_seeds=model_seeds,
        style=CUE_STYLE,
        views_per_scene=_VIEWS_PER_SCENE,
        pixels=_PIXELS,
        max_points=_PIXELS,
        colour=True,
        appearance="printed",
    )
    return CueViews.collect((x.instance, x.truth, number) for x in stream)


def clutter_cue_views(
    categories: Sequence[str], seed: int, count: int, *, model_seeds: range
) -> CueViews:
    """Simulate views of all masks in cluttered scenes, of the categories and of none.

    Args:
        categories: names, in the order of their numbers.
        seed: seed of the stream.
        count: number of views.
        model_seeds: seeds of the procedural models.
    """
    rng = np.random.default_rng([_CLUTTER_STREAM, seed])
    stream = clutter_instances(seed, count, model_seeds=model_seeds)
    return CueViews.collect(_of_clutter(x, categories, rng) for x in stream)


def _of_clutter(
    item: ClutterInstance, categories: Sequence[str], rng: np.random.Generator
) -> tuple[Instance, GroundTruth | None, int]:
    """One measurement of a mask: which one it is must not tell the category."""
    instance = item.candidates[int(rng.integers(len(item.candidates)))]
    if item.truth is None:
        return instance, None, NO_CATEGORY
    return instance, item.truth, categories.index(item.truth.category)


@dataclass(frozen=True)
class ClutterViewFile:
    """One file of training views of cluttered scenes to make.

    Attributes:
        path: the file.
        categories: names of the categories, in the order of their numbers.
        seed: seed of the stream.
        count: number of views.
        model_seeds: seeds of the procedural models.
    """

    path: Path
    categories: tuple[str, ...]
    seed: int
    count: int
    model_seeds: range

    def make(self) -> None:
        """Make the file, unless it is there."""
        if not self.path.exists():
            clutter_cue_views(
                self.categories, self.seed, self.count, model_seeds=self.model_seeds
            ).save(self.path)


@dataclass(frozen=True)
class ViewFile:
    """One file of training views of a category to make.

    Attributes:
        path: the file.
        category: name of the category.
        number: its number in the network.
        seed: seed of the stream.
        count: number of views.
        model_seeds: seeds of the procedural models of the category.
        models: further models of the category, e.g. read from a folder of meshes.
    """

    path: Path
    category: str
    number: int
    seed: int
    count: int
    model_seeds: range
    models: tuple[CadModel, ...] = ()

    def make(self) -> None:
        """Make the file, unless it is there."""
        if self.path.exists():
            return
        pool = ModelPool.for_category(self.category, self.model_seeds, distractors=_DISTRACTORS)
        if self.models:
            own = [*pool.models[self.category], *self.models]
            pool = ModelPool({**pool.models, self.category: own})
        views = simulated_cue_views(self.category, self.number, self.seed, self.count, pool=pool)
        views.save(self.path)
