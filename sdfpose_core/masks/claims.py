"""Claims: the objects that are followed claim their pixels in the masks of the next image.

    draw      each object at its predicted pose
    contest   a pixel belongs to the object whose surface explains its depth best
    select    an object takes part in the masks that are mostly its own, its pieces, and in those
              that cover much of what is visible of it
    divide    a mask of several objects, or of an object and something else, along their pixels;
              the rest goes to what is nearest in space
    join      the parts of an object, under the id that it had

Only a found mask makes a claim: an object that no mask shows gets none from its prediction, which
would confirm itself for ever. Masks that no object takes part in stay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.masks.coarse_image import CoarseImage
from sdfpose_core.masks.instance_mask import MAX_MASK_ID, InstanceMask
from sdfpose_core.masks.mask_division import NOBODY, REST, MaskDivision, divided
from sdfpose_core.masks.silhouettes import Silhouette, silhouette
from sdfpose_core.observation.frame import InstanceLabel, ObjectEstimate
from sdfpose_core.observation.segmentation import ANY_CATEGORY

__all__ = ["claim"]

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


@dataclass(frozen=True)
class _Claimant:
    """A followed object that the image shows where it is predicted."""

    estimate: ObjectEstimate
    drawn: Silhouette
    tolerance_m: NDArray[np.float32]


def claim(
    found: InstanceMask,
    depth: NDArray[np.float32],
    camera: PinholeCamera,
    followed: Sequence[ObjectEstimate],
) -> InstanceMask:
    """Give the masks of an image the ids of the followed objects; divide and join them accordingly.

    Args:
        found: masks of the image.
        depth: (H, W), metres, 0 = missing.
        camera: of the image.
        followed: objects at their predicted poses, with meshes. `mask_id` is that of the last image
            that showed the object.

    Returns:
        The masks. Each pixel that has a mask keeps one. Pixels without one are added inside an
        object that has a mask, if it explains their depth. A mask that no object claims keeps its
        id, unless an object has that id. A part of a mask with the label of another category than
        its object's is labelled `ANY_CATEGORY`.
    """
    if not followed or not found.ids.any():
        return found
    image = CoarseImage.of(found.ids, depth, camera)
    claimants, owner = _contest(image, followed)
    parts = _parts(image, owner, len(claimants))
    if not parts:
        return found
    diagonals_m = np.array([x.estimate.scale for x in claimants])
    divisions = {
        mask_id: division
        for mask_id, counts in parts.items()
        if (division := divided(image, mask_id, [*counts], owner, diagonals_m)) is not None
    }
    claimed, kept = _new_ids(found, claimants, parts, divisions)
    ids = _renumbered(found.ids, image, parts, divisions, claimed, kept)
    for number, new_id in claimed.items():
        free = (image.ids == 0) & (owner == number)
        _add(ids, new_id, depth, image, claimants[number], free)
    labels = {new_id: found.labels[i] for i, new_id in kept.items()}
    for number, new_id in claimed.items():
        sizes = {i: counts[number] for i, counts in parts.items() if number in counts}
        largest = max(sizes, key=sizes.__getitem__)
        category = claimants[number].estimate.category
        labels[new_id] = _label(found.labels[largest], category, whole=largest not in divisions)
    return replace(found, ids=ids, labels=labels)


def _contest(
    image: CoarseImage, followed: Iterable[ObjectEstimate]
) -> tuple[list[_Claimant], NDArray[np.int32]]:
    """The objects whose predictions hold, and the number of that which each pixel (h, w) shows."""
    claimants: list[_Claimant] = []
    owner = np.full(image.depth.shape, NOBODY, dtype=np.int32)
    least = np.full(image.depth.shape, np.inf, dtype=np.float32)
    for estimate in sorted(followed, key=lambda x: -x.confidence):
        drawn = silhouette(estimate, image.camera)
        if drawn is None:
            continue
        tolerance_m = np.float32(_TOLERANCE_SHARE * estimate.scale) + (
            np.float32(_TOLERANCE_NOISE) * drawn.depth**2
        )
        measured = image.depth[drawn.box]
        known = (drawn.depth > 0.0) & (measured > 0.0)
        behind = measured - drawn.depth
        error = np.abs(behind)
        explained = known & (error <= tolerance_m)
        count = np.count_nonzero(explained)
        missed = np.count_nonzero(known & (behind > tolerance_m))
        hidden = np.count_nonzero(known) - count - missed
        taken = np.count_nonzero(owner[drawn.box][explained] != NOBODY)
        visible = count >= max(_VISIBLE_SHARE * (count + hidden), _VISIBLE_PIXELS)
        fits = count >= _FIT_SHARE * (count + missed)
        if not visible or not fits or taken > _DUPLICATE_SHARE * count:
            continue
        best = explained & (error < least[drawn.box])
        least[drawn.box][best] = error[best]
        owner[drawn.box][best] = len(claimants)
        claimants.append(_Claimant(estimate, drawn, tolerance_m))
    return claimants, owner


def _parts(
    image: CoarseImage, owner: NDArray[np.int32], claimants: int
) -> dict[int, dict[int, int]]:
    """Claimants that take part in each mask, by id, and how many pixels of it each owns.

    Masks without any are left out.
    """
    chosen = (image.ids > 0) | (owner != NOBODY)
    mask_ids, owners = image.ids[chosen], owner[chosen]
    ids, mask = np.unique(mask_ids, return_inverse=True)
    joint = np.zeros((len(ids), claimants), dtype=np.int64)
    np.add.at(joint, (mask[owners != NOBODY], owners[owners != NOBODY]), 1)
    known = np.bincount(mask[image.depth[chosen] > 0.0], minlength=len(ids))
    piece = joint >= _PIECE_SHARE * known[:, None]
    part = joint >= _PART_SHARE * joint.sum(axis=0)
    takes = (joint > 0) & (piece | part)
    return {
        int(ids[i]): {int(x): int(joint[i, x]) for x in np.flatnonzero(takes[i])}
        for i in np.flatnonzero(takes.any(axis=1))
        if ids[i]
    }


def _new_ids(
    found: InstanceMask,
    claimants: Sequence[_Claimant],
    parts: Mapping[int, Collection[int]],
    divisions: Mapping[int, MaskDivision],
) -> tuple[dict[int, int], dict[int, int]]:
    """The new ids of the claimants that have a mask, and those of the found masks that stay.

    A mask stays if nobody takes part in it, or if it has a rest. Backends count ids upward;
    replacements are counted downward, and so do not collide with ids of coming objects.
    """
    used: set[int] = set()

    def unique(wish: int) -> int:
        new_id = wish
        if new_id in used:
            new_id = next(
                x for x in range(MAX_MASK_ID, 0, -1) if x not in used | found.labels.keys()
            )
        used.add(new_id)
        return new_id

    claimed = {
        number: unique(claimants[number].estimate.mask_id)
        for number in sorted({x for numbers in parts.values() for x in numbers})
    }
    stay = [
        i
        for i in sorted(found.labels)
        if i not in parts or (i in divisions and divisions[i].has_rest)
    ]
    return claimed, {i: unique(i) for i in stay}


def _renumbered(
    ids: NDArray[np.uint16],
    image: CoarseImage,
    parts: Mapping[int, Mapping[int, int]],
    divisions: Mapping[int, MaskDivision],
    claimed: Mapping[int, int],
    kept: Mapping[int, int],
) -> NDArray[np.uint16]:
    """The found ids (H, W) with their new values."""
    new_id = np.arange(MAX_MASK_ID + 1, dtype=np.uint16)
    new_id[[*kept]] = [*kept.values()]
    for i, counts in parts.items():
        largest = divisions[i].largest if i in divisions else max(counts, key=counts.__getitem__)
        new_id[i] = kept[i] if largest == REST else claimed[largest]
    result = new_id[ids]
    for i, division in divisions.items():
        box = image.full_box(division.box)
        own = ids[box] == i
        table = np.zeros(max(claimed) - REST + 1, dtype=np.uint16)
        for number, new in claimed.items():
            table[number - REST] = new
        table[0] = kept.get(i, 0)
        result[box][own] = image.enlarged(table[division.shares - REST], own.shape)[own]
    return result


def _add(
    ids: NDArray[np.uint16],
    new_id: int,
    depth: NDArray[np.float32],
    image: CoarseImage,
    claimant: _Claimant,
    free: NDArray[np.bool_],
) -> None:
    """Give a claimant the pixels without a mask inside its silhouette that it explains.

    The border of the silhouette is left out: a small error of the pose moves it to the background.

    Args:
        ids: (H, W), changed in place.
        new_id: of the claimant.
        depth: (H, W), metres.
        image: the coarse image.
        claimant: an object.
        free: (h, w), pixels of the coarse image without a mask that are the claimant's.
    """
    drawn = claimant.drawn
    inside = cv2.erode((drawn.depth > 0.0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    inside &= free[drawn.box]
    if not inside.any():
        return
    box = image.full_box(drawn.box)
    v, u = np.nonzero(image.enlarged(inside, ids[box].shape) & (ids[box] == 0))
    row, column = (
        np.minimum(x // image.step, n - 1) for x, n in zip((v, u), inside.shape, strict=True)
    )
    error = np.abs(depth[box][v, u] - drawn.depth[row, column])
    explained = error <= claimant.tolerance_m[row, column]
    ids[box][v[explained], u[explained]] = new_id


def _label(label: InstanceLabel, category: str, *, whole: bool) -> InstanceLabel:
    """The label of a claimant's mask: that of a found mask, which may mean another part of it."""
    if whole or label.category == category:
        return label
    return replace(label, category=ANY_CATEGORY)
