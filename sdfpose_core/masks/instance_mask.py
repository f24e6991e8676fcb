"""What every source of masks gives: an id per pixel, and what each id is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.observation.frame import InstanceLabel

__all__ = ["LARGEST_ID", "InstanceMask"]

LARGEST_ID = 65535
"""Ids are 16-bit: masks travel as 16UC1 images."""


@dataclass(frozen=True)
class InstanceMask:
    """Instances of one image.

    Attributes:
        ids: (H, W) uint16, instance id per pixel, 0 = background.
        labels: category and score of each id.
        problem: why nothing could be looked for, e.g. that there is no table; empty where the
            image was searched, even if nothing was found.
    """

    ids: NDArray[np.uint16]
    labels: Mapping[int, InstanceLabel] = field(default_factory=dict)
    problem: str = ""
