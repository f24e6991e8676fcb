"""Training views of the colour network: simulated crops of all categories, kept in files."""

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
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.simulation.instances import ModelPool, SimulatedInstance, simulated_instances
from sdfpose_core.simulation.scenes import SceneStyle
from sdfpose_core.storage.files import atomic_replace

__all__ = ["CUE_STYLE", "CueViews", "ViewFile", "simulated_cue_views"]

CUE_STYLE = SceneStyle(objects=(2, 5), held=0.2, lying=0.2, upside_down=0.4, hard=0.4)
"""Scenes of the training views. As many objects stand upside down as upright (never laptops), so
that the network looks at the objects, not at what is usual."""

_VIEWS_PER_SCENE = 6

_PIXELS = 30_000
"""Pixels of an image, at which most objects fill their crop."""

_DISTRACTORS = 8
"""Models of each other category in the scenes of one file."""


@dataclass(frozen=True)
class CueViews:
    """Labelled crops.

    Attributes:
        colour: (V, S, S, 3) uint8, as in `CueCrop`.
        depth: (V, 2, G, G) float16, as in `CueCrop`.
        rotation: (V, 3, 3) float32, object frame to view frame (see `view_frame`).
        category: (V,) int64, number of the category.
    """

    colour: NDArray[np.uint8]
    depth: NDArray[np.float16]
    rotation: NDArray[np.float32]
    category: NDArray[np.int64]

    @classmethod
    def collect(cls, instances: Iterable[SimulatedInstance], category: int) -> CueViews:
        """Crop instances of one category."""
        colour, depth, rotation = [], [], []
        for item in instances:
            crop = colour_crop_of(item.instance)
            colour.append(crop.colour)
            depth.append(crop.depth.astype(np.float16))
            frame = view_frame(torch.from_numpy(item.truth.translation)).numpy()
            rotation.append((frame.T @ item.truth.rotation).astype(np.float32))
        return cls(
            np.stack(colour),
            np.stack(depth),
            np.stack(rotation),
            np.full(len(colour), category, np.int64),
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
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise FrameError(
                f"{path}: not a readable file of training views ({error}); delete it to make it "
                "again"
            ) from error


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
    return CueViews.collect(stream, number)


@dataclass(frozen=True)
class ViewFile:
    """One file of training views to make.

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
