"""Images of the benchmarks of masks and of rejection: simulated suites, and frame folders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.benchmark.poses import model_seeds, real_folders
from sdfpose_core.datasets import read_frames
from sdfpose_core.observation.frame import GroundTruth, RgbdFrame
from sdfpose_core.simulation.clutter import CLUTTER, EMPTY, ClutterStyle, simulated_clutter

__all__ = ["SUITES", "MaskCase", "folder_cases", "suite_cases"]

SUITES: Mapping[str, ClutterStyle] = {"clutter": CLUTTER, "empty": EMPTY}
"""Styles of the simulated suites, by name. All things have true ids; furniture is background."""


@dataclass(frozen=True)
class MaskCase:
    """An image to segment.

    Attributes:
        name: name of the image.
        frame: the image.
        truth: (H, W) uint16, id of the true object per pixel, 0 = background; None if unknown.
        categories: category by true id; empty, or without the id, for objects of no category.
        ignore: (H, W) bool, pixels of objects without a true id that need not be found; None if
            there are none.
        ground_truth: true poses of the objects that have one.
    """

    name: str
    frame: RgbdFrame
    truth: NDArray[np.uint16] | None
    categories: Mapping[int, str] = field(default_factory=dict)
    ignore: NDArray[np.bool_] | None = None
    ground_truth: Sequence[GroundTruth] = ()


def folder_cases(
    data: Path, problems: list[str], *, depth_unit: float | None = None
) -> Iterator[MaskCase]:
    """Read the images of frame folders; those without a mask have no truth.

    Args:
        data: folder of frame folders, directly or in its subfolder ``frames``.
        problems: receives one sentence for each dropped frame or skipped entry.
        depth_unit: metres per unit of depth, instead of the one in ``meta.json``.
    """
    for folder in real_folders(data):
        for x in read_frames(folder, problems, depth_unit=depth_unit, needs_mask=False):
            categories = {i: label.category for i, label in x.frame.labels.items()}
            truth = x.frame.mask if x.has_mask else None
            yield MaskCase(x.name, x.frame, truth, categories, ground_truth=x.ground_truth)


def suite_cases(suite: str, seed: int, count: int) -> Iterator[MaskCase]:
    """Simulate the images of a suite.

    Args:
        suite: name in `SUITES`.
        seed: random seed of models, scenes, views and noise.
        count: number of images.
    """
    images = simulated_clutter(seed, count, SUITES[suite], model_seeds=model_seeds(seed))
    for number, x in enumerate(images):
        name = f"{suite}_{number:04d}"
        yield MaskCase(name, x.frame, x.ids, x.categories, x.ignore, x.truths)
