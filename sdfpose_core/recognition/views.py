"""Training views of the recognition network: windows around simulated masks, in files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import FrameError
from sdfpose_core.masks.network_masks import NetworkMasks
from sdfpose_core.recognition.crop import recognition_crop
from sdfpose_core.simulation.clutter import ClutterFrame, ClutterStyle
from sdfpose_core.simulation.clutter_instances import (
    ClutterInstance,
    Segmentation,
    clutter_instances,
    detected_masks,
)
from sdfpose_core.storage.files import atomic_replace

__all__ = ["NO_CATEGORY", "RecognitionViewFile", "RecognitionViews", "network_masks"]

NO_CATEGORY = -1
"""Number of the category of things that belong to none."""

_STREAM = 0x2EC0
"""Sets the random numbers apart from those of the scenes with the same seed."""


def network_masks(weights: Path | None) -> Segmentation:
    """A segmentation by the mask network of a file, or the shipped one."""
    network = NetworkMasks(weights, device="cpu")

    def masks(image: ClutterFrame, _: np.random.Generator) -> NDArray[np.uint16]:
        network.reset()
        return network.segment(image.frame).ids

    return masks


@dataclass(frozen=True)
class RecognitionViews:
    """Labelled crops.

    Attributes:
        crops: (V, C, S, S) float16, see `recognition_crop`.
        category: (V,) int64, number of the category, or `NO_CATEGORY`.
    """

    crops: NDArray[np.float16]
    category: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.category)

    @classmethod
    def collect(
        cls, items: Iterable[ClutterInstance], categories: Sequence[str], rng: np.random.Generator
    ) -> RecognitionViews:
        """Crop masks.

        Args:
            items: the masks.
            categories: names, in the order of their numbers.
            rng: chooses one of a mask's measurements; which one it is must not tell the category.
        """
        crops, category = [], []
        for x in items:
            chosen = x.candidates[int(rng.integers(len(x.candidates)))]
            crops.append(recognition_crop(chosen).astype(np.float16))
            category.append(NO_CATEGORY if x.truth is None else categories.index(x.truth.category))
        return cls(np.stack(crops), np.array(category, np.int64))

    @classmethod
    def joined(cls, parts: Sequence[RecognitionViews]) -> RecognitionViews:
        """Join several sets of views."""
        return cls(
            np.concatenate([x.crops for x in parts]), np.concatenate([x.category for x in parts])
        )

    def save(self, path: Path) -> None:
        """Write the views to a file, atomically."""
        with atomic_replace(path) as temporary, temporary.open("wb") as file:
            np.savez(file, crops=self.crops, category=self.category)

    @classmethod
    def load(cls, path: Path) -> RecognitionViews:
        """Read a file of `save`.

        Raises:
            FrameError: the file is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as data:
                return cls(data["crops"], data["category"])
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise FrameError(
                f"{path}: not a readable file of training views ({error}); delete it to make it "
                "again"
            ) from error


@dataclass(frozen=True)
class RecognitionViewFile:
    """One file of training views to make.

    Attributes:
        path: the file.
        categories: names of the categories, in the order of their numbers.
        seed: seed of the stream.
        count: number of views.
        style: style of the scenes.
        model_seeds: seeds of the procedural models.
        network: whether the mask network makes the masks; if not, they are the true ones with the
            errors of a detector, and parts of the room.
        mask_weights: weights of that network; None for the shipped ones.
    """

    path: Path
    categories: tuple[str, ...]
    seed: int
    count: int
    style: ClutterStyle
    model_seeds: range
    network: bool
    mask_weights: Path | None = None

    def make(self) -> None:
        """Make the file, unless it is there."""
        if self.path.exists():
            return
        masks = network_masks(self.mask_weights) if self.network else detected_masks
        items = clutter_instances(
            self.seed, self.count, self.style, masks=masks, model_seeds=self.model_seeds
        )
        rng = np.random.default_rng([_STREAM, self.seed])
        RecognitionViews.collect(items, self.categories, rng).save(self.path)
