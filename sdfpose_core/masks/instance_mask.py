"""The output of every mask backend: an id per pixel, and a label per id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.observation.frame import InstanceLabel

__all__ = ["MAX_MASK_ID", "InstanceMask"]

MAX_MASK_ID = 65535
"""Largest id: masks are published as 16UC1 images."""


@dataclass(frozen=True)
class InstanceMask:
    """Instances of one image.

    Attributes:
        ids: (H, W) uint16, instance id per pixel, 0 = background.
        labels: category and score of each id.
        problem: why the image could not be segmented, e.g. because there is no table; empty after
            a successful segmentation, even without instances.
    """

    ids: NDArray[np.uint16]
    labels: Mapping[int, InstanceLabel] = field(default_factory=dict)
    problem: str = ""
