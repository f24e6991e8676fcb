"""Training views of the recognition network: windows around masks in clutter, in files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import default_categories
from sdfpose_core.mask_training.views import MASK_VIEW, as_clutter
from sdfpose_core.masks.network_masks import NetworkMasks
from sdfpose_core.recognition.crop import CHANNELS, SIDE, recognition_crop
from sdfpose_core.simulation.clutter import ClutterFrame
from sdfpose_core.simulation.clutter_instances import (
    ClutterInstance,
    Segmentation,
    detected_masks,
    image_instances,
)
from sdfpose_core.storage.record_files import Records, write_records

__all__ = [
    "NO_CATEGORY",
    "RECOGNITION_VIEW",
    "RecognitionViewFile",
    "network_masks",
    "recognition_views",
]

NO_CATEGORY = -1
"""Number of the category of things that belong to none."""

RECOGNITION_VIEW = np.dtype(
    [("crop", np.float16, (CHANNELS, SIDE, SIDE)), ("category", np.int8), ("network", np.bool_)]
)
"""A view: the crop (see `recognition_crop`), the number of the category, or `NO_CATEGORY`, and
whether the mask network made the mask."""

_STREAM = 0x2EC0
"""Sets the random numbers apart from those of the scenes with the same seed."""

_MIN_POINTS = 24
"""Masks with fewer points are left out; views have a quarter of the usual pixels."""


def network_masks(weights: Path | None) -> Segmentation:
    """A segmentation by the mask network of a file, or the shipped one."""
    network = NetworkMasks(weights, device="cpu")

    def masks(image: ClutterFrame, _: np.random.Generator) -> NDArray[np.uint16]:
        network.reset()
        return network.segment(image.frame).ids

    return masks


def recognition_views(
    items: Iterable[ClutterInstance],
    categories: Sequence[str],
    rng: np.random.Generator,
    *,
    network: bool,
) -> NDArray[np.void]:
    """Crop masks.

    Args:
        items: the masks.
        categories: names, in the order of their numbers.
        rng: chooses one of a mask's measurements; which one it is must not tell the category.
        network: whether the mask network made the masks.
    """
    found = []
    for x in items:
        chosen = x.candidates[int(rng.integers(len(x.candidates)))]
        number = categories.index(x.category) if x.category else NO_CATEGORY
        found.append((recognition_crop(chosen), number, network))
    return np.array(found, dtype=RECOGNITION_VIEW)


@dataclass(frozen=True)
class RecognitionViewFile:
    """One file of training views to make from a file of views of clutter.

    Every second image has the true masks with the errors of a detector, and parts of the room; the
    others have the masks of the mask network.

    Attributes:
        path: the file.
        source: file of views of clutter, see `MaskViewFile`.
        categories: names of the categories, in the order of their numbers.
        seed: of errors and choices.
        mask_weights: weights of the mask network; None for the shipped ones.
    """

    path: Path
    source: Path
    categories: tuple[str, ...]
    seed: int
    mask_weights: Path | None = None

    def make(self) -> None:
        """Make the file, unless it is there.

        Raises:
            FrameError: the source is missing, damaged, or of an earlier version.
            WeightsError: the weights of the mask network are missing or damaged.
        """
        if self.path.exists():
            return
        images = Records.load([self.source], MASK_VIEW)
        known = default_categories()
        rng = np.random.default_rng([_STREAM, self.seed])
        kinds = (detected_masks, False), (network_masks(self.mask_weights), True)
        parts = []
        for i in range(len(images)):
            image = as_clutter(images[[i]][0])
            masks, network = kinds[i % len(kinds)]
            items = image_instances(image, masks(image, rng), known, _MIN_POINTS)
            parts.append(recognition_views(items, self.categories, rng, network=network))
        write_records(self.path, np.concatenate(parts))
