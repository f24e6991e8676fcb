"""Poses of the objects in NOCS images as the benchmark judges against them.

They are published in several forms. In order of preference:

- ``nocs_results``: ``results/nocs_results/{val,real_test}/results_{val,test}_SCENE_NUMBER.pkl``,
  the predictions of NOCS with the true poses.
- ``gts``: ``gts/{val,real_test}/results_{val,real_test}_SCENE_NUMBER.pkl``, the true poses alone.
- ``label``: ``NUMBER_label.pkl`` beside the image, as the preparation of Object-DeformNet (Tian et
  al., ECCV 2020) and of SSC-6D write it.
- ``coordinate_maps``: poses computed here from the maps of object coordinates and the depth. They
  differ from the published ones, and so do figures that are judged against them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import Categories
from sdfpose_core.datasets.nocs import NocsImage
from sdfpose_core.observation.frame import GroundTruth

__all__ = [
    "TRUTH_SOURCES",
    "NocsImageTruth",
    "NocsObject",
    "NocsTruths",
    "TruthChoice",
    "TruthSource",
]

TruthSource = Literal["nocs_results", "gts", "label", "coordinate_maps"]

TruthChoice = Literal["auto", "nocs_results", "gts", "label", "coordinate_maps"]

TRUTH_SOURCES: tuple[TruthSource, ...] = ("nocs_results", "gts", "label", "coordinate_maps")
"""Sources in order of preference."""


@dataclass(frozen=True)
class NocsObject:
    """One true object of an image, in the frame of the benchmark.

    Attributes:
        mask_id: its value in the image's mask; None if it is none of the mask's instances.
        category: category name.
        model: name of its CAD model or scan; empty if unknown.
        transform: (4, 4), normalised object to camera frame, metres, scale included. A mug's
            origin is on the axis of its body; see `nocs_frames`.
        size: (3,) sides of the box, normalised object units of that frame.
        handle_visible: whether the handle of a mug is visible; has no meaning for others.
    """

    mask_id: int | None
    category: str
    model: str
    transform: NDArray[np.float64]
    size: NDArray[np.float64]
    handle_visible: bool = True

    def ground_truth(self, mask_id: int, categories: Categories) -> GroundTruth:
        """Convert to our frame, with the centre of the box as origin.

        Args:
            mask_id: id of the object in the frame that shows it.
            categories: table of categories with their symmetries.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class NocsImageTruth:
    """The true objects of an image.

    Attributes:
        source: where the poses come from.
        objects: true objects.
        problems: one sentence for each mismatch. What concerns all images, such as a missing
            ``mug_meta.pkl``, is in the problems of the first of them only.
        published: whether the published evaluation has this image: it leaves out images in which
            an object fills the view, and those without an object.
    """

    source: TruthSource
    objects: list[NocsObject]
    problems: list[str]
    published: bool = True


class NocsTruths:
    """Reads the true objects of the images of a part.

    Args:
        root: the data folder.
        part: ``CAMERA/train``, ``CAMERA/val``, ``Real/train`` or ``Real/test``.
        categories: table of known categories.
        choice: source of the poses. ``auto`` takes for each image the first of `TRUTH_SOURCES` that
            has them.

    Raises:
        ConfigurationError: the chosen source is not among the data, or the part is unknown.
    """

    def __init__(
        self, root: Path | str, part: str, categories: Categories, choice: TruthChoice = "auto"
    ) -> None:
        self.root = Path(root)
        self.part = part
        self.categories = categories
        self.choice = choice

    def of(self, image: NocsImage, stem: Path) -> NocsImageTruth:
        """Read the true objects of one image.

        Args:
            image: the image.
            stem: path of its files up to the number.

        Raises:
            FrameError: the chosen source has no usable file for the image. With ``auto``, the next
                source is taken instead, and the problem reported.
        """
        raise NotImplementedError
