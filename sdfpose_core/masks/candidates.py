"""Combination of overlapping masks: each pixel is assigned to the instance of highest score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.masks.identities import IdentityTracker
from sdfpose_core.masks.instance_mask import InstanceMask
from sdfpose_core.observation.frame import InstanceLabel

__all__ = ["Candidate", "compose", "image_identities"]

_MAX_MOTION = 0.08
"""Maximum motion of an object between images, as a fraction of the image width."""

_PATIENCE = 15
"""Number of images for which the id of an unseen object is kept."""


@dataclass(frozen=True)
class Candidate:
    """One detected instance.

    Attributes:
        mask: (H, W) bool.
        category: name or label of its category.
        score: 0 to 1.
    """

    mask: NDArray[np.bool_]
    category: str
    score: float


def image_identities() -> IdentityTracker:
    """Create identities for instances located in the image only."""
    return IdentityTracker(_MAX_MOTION, _PATIENCE)


def compose(
    candidates: Sequence[Candidate],
    shape: tuple[int, int],
    min_pixels: int,
    identities: IdentityTracker,
) -> InstanceMask:
    """Combine candidates into one mask; where they overlap, the higher score wins.

    Args:
        candidates: instances with masks of `shape`.
        shape: (H, W), pixels.
        min_pixels: instances with fewer remaining pixels are dropped.
        identities: source of the ids, from `image_identities`.
    """
    order = sorted(candidates, key=lambda x: x.score)
    winner = np.zeros(shape, dtype=np.int32)
    for place, candidate in enumerate(order, start=1):
        winner[candidate.mask] = place
    pixels = np.bincount(winner.reshape(-1), minlength=len(order) + 1)
    places = [i for i in range(1, len(order) + 1) if pixels[i] >= max(min_pixels, 1)]
    centres = [np.mean(np.nonzero(winner == i), axis=1) / shape[1] for i in places]
    assigned = identities.assign(np.array(centres).reshape(-1, 2))
    id_of = np.zeros(len(order) + 1, dtype=np.uint16)
    id_of[places] = assigned
    labels = {
        mask_id: InstanceLabel(order[i - 1].category, order[i - 1].score, detected=True)
        for i, mask_id in zip(places, assigned, strict=True)
    }
    return InstanceMask(id_of[winner], labels)
