"""The contest for pixels: which of the followed objects each pixel of an image shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.masks.coarse_image import CoarseImage
from sdfpose_core.masks.mask_division import NOBODY
from sdfpose_core.masks.silhouettes import Silhouette, silhouette
from sdfpose_core.observation.frame import ObjectEstimate

__all__ = ["Claimant", "Contest", "contest"]

_TOLERANCE_SHARE, _TOLERANCE_NOISE = 0.06, 0.005
"""Depth explains a surface within this share of the object's diagonal, plus this times the squared
depth, 1 / m, for the noise of the sensor."""

_FIT_SHARE = 0.75
"""A prediction holds if the surface explains this share of the pixels where nothing hides it..."""

_VISIBLE_SHARE, _VISIBLE_PIXELS = 0.1, 20
"""...and at least this share of all, and this many, in the coarse image."""

_DUPLICATE_SHARE = 0.5
"""An object is the same as more confident ones that explain this share of its pixels."""

_PIECE_SHARE = 0.5
"""A mask is a piece of an object that explains this share of it."""

_PART_SHARE = 0.25
"""An object takes part in a mask that covers this share of its visible pixels."""

_FREE_SHARE = 0.5
"""An object has no mask if this share of its visible pixels has none."""


@dataclass(frozen=True)
class Claimant:
    """A followed object that the image shows where it is predicted.

    Attributes:
        estimate: at the predicted pose.
        drawn: its silhouette in the coarse image.
        tolerance_m: (h, w), of the depth of the silhouette.
    """

    estimate: ObjectEstimate
    drawn: Silhouette
    tolerance_m: NDArray[np.float32]


@dataclass(frozen=True)
class Contest:
    """The result of a contest. Objects have the numbers of their places among the claimants.

    Attributes:
        claimants: the followed objects whose predictions hold.
        owner: (h, w), number of the object whose surface explains the depth of a pixel of the
            coarse image best, or `NOBODY`.
        parts: numbers of the objects that take part in each found mask, by its id, and how many
            pixels of it each owns. Masks without any are left out.
        unmasked: numbers of the objects that take part in none, and have most of their pixels
            outside of masks.
    """

    claimants: list[Claimant]
    owner: NDArray[np.int32]
    parts: Mapping[int, Mapping[int, int]]
    unmasked: frozenset[int]

    @property
    def shown(self) -> set[int]:
        """Numbers of the objects that take part in a mask."""
        return {number for counts in self.parts.values() for number in counts}


def contest(image: CoarseImage, followed: Iterable[ObjectEstimate]) -> Contest:
    """Draw the followed objects, and find out which pixels and masks show them.

    An object takes part in the masks that are mostly its own, its pieces, and in those that cover
    much of what is visible of it.

    Args:
        image: found masks and depth.
        followed: objects at their predicted poses. One without a mesh, one that something hides,
            and one that is not where it is predicted show nowhere.
    """
    claimants: list[Claimant] = []
    owner = np.full(image.depth.shape, NOBODY, dtype=np.int32)
    least = np.full(image.depth.shape, np.inf, dtype=np.float32)
    for estimate in sorted(followed, key=lambda x: -x.confidence):
        drawn = silhouette(estimate, image.camera)
        if drawn is None:
            continue
        noise_m = np.float32(_TOLERANCE_NOISE) * drawn.depth**2
        tolerance_m = np.float32(_TOLERANCE_SHARE * estimate.scale) + noise_m
        behind = image.depth[drawn.box] - drawn.depth
        known = (drawn.depth > 0.0) & (image.depth[drawn.box] > 0.0)
        explained = known & (np.abs(behind) <= tolerance_m)
        missed = known & (behind > tolerance_m)
        taken = explained & (owner[drawn.box] != NOBODY)
        if not _holds(*(int(np.count_nonzero(x)) for x in (known, explained, missed, taken))):
            continue
        best = explained & (np.abs(behind) < least[drawn.box])
        least[drawn.box][best] = np.abs(behind)[best]
        owner[drawn.box][best] = len(claimants)
        claimants.append(Claimant(estimate, drawn, tolerance_m))
    parts, unmasked = _takes_part(image, owner, len(claimants))
    return Contest(claimants, owner, parts, unmasked)


def _holds(known: int, explained: int, missed: int, taken: int) -> bool:
    """Whether an object is where it is predicted, is visible, and is not another one.

    Args:
        known: pixels of its silhouette with depth.
        explained: those whose depth it explains.
        missed: those whose depth is behind it.
        taken: those whose depth it and another one explain.
    """
    visible = explained >= max(_VISIBLE_SHARE * (known - missed), _VISIBLE_PIXELS)
    fits = explained >= _FIT_SHARE * (explained + missed)
    return visible and fits and taken <= _DUPLICATE_SHARE * explained


def _takes_part(
    image: CoarseImage, owner: NDArray[np.int32], count: int
) -> tuple[dict[int, dict[int, int]], frozenset[int]]:
    """`Contest.parts` and `Contest.unmasked` of a number of claimants."""
    chosen = (image.ids > 0) | (owner != NOBODY)
    ids, mask = np.unique(image.ids[chosen], return_inverse=True)
    owners = owner[chosen]
    owned = owners != NOBODY
    joint = np.zeros((len(ids), count), dtype=np.int64)
    np.add.at(joint, (mask[owned], owners[owned]), 1)
    known = np.bincount(mask[image.depth[chosen] > 0.0], minlength=len(ids))
    visible = joint.sum(axis=0)
    takes = (joint >= _PIECE_SHARE * known[:, None]) | (joint >= _PART_SHARE * visible)
    takes &= (joint > 0) & (ids > 0)[:, None]
    parts = {
        int(ids[i]): {int(x): int(joint[i, x]) for x in np.flatnonzero(takes[i])}
        for i in np.flatnonzero(takes.any(axis=1))
    }
    free = (joint[ids == 0].sum(axis=0) >= _FREE_SHARE * visible) & (visible > 0)
    return parts, frozenset(np.flatnonzero(free & ~takes.any(axis=0)).tolist())
