"""Claims: the objects that are followed claim their pixels in the masks of the next image.

    contest   a pixel belongs to the object whose surface explains its depth best
    divide    a mask of several objects, or of an object and something else, along their pixels;
              the rest goes to what is nearest in space
    join      the parts of an object, under the id that it had

Masks that no followed object takes part in stay as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.masks.coarse_image import CoarseImage
from sdfpose_core.masks.contest import Claimant, Contest, contest
from sdfpose_core.masks.instance_mask import MAX_MASK_ID, InstanceMask
from sdfpose_core.masks.mask_division import REST, MaskDivision, divided
from sdfpose_core.observation.frame import InstanceLabel, ObjectEstimate
from sdfpose_core.observation.segmentation import ANY_CATEGORY

__all__ = ["Claimed", "claim"]


@dataclass(frozen=True)
class Claimed:
    """The masks of an image after the claims.

    Attributes:
        mask: the masks.
        shown: ids of those that show a followed object, without those that were not found.
    """

    mask: InstanceMask
    shown: frozenset[int] = frozenset()


def claim(
    found: InstanceMask,
    depth: NDArray[np.float32],
    camera: PinholeCamera,
    followed: Sequence[ObjectEstimate],
    *,
    may_lack_mask: Collection[int] = (),
) -> Claimed:
    """Give the masks of an image the ids of the followed objects; divide and join them accordingly.

    Args:
        found: masks of the image.
        depth: (H, W), metres, 0 = missing.
        camera: of the image.
        followed: objects at their predicted poses, with meshes. `mask_id` is that of the last image
            that showed the object.
        may_lack_mask: those of the objects that get a mask even if none was found. An object that
            always does confirms itself.

    Returns:
        The masks. Each pixel that has a mask keeps one. Pixels without one are added inside an
        object, if it explains their depth. A mask that no object claims keeps its id, unless an
        object has that id. A part of a mask with the label of another category than its object's
        is labelled `ANY_CATEGORY`, and so is a mask that was not found.
    """
    if not followed:
        return Claimed(found)
    image = CoarseImage.of(found.ids, depth, camera)
    result = contest(image, followed)
    claimants = result.claimants
    added = {x for x in result.unmasked if claimants[x].estimate.mask_id in may_lack_mask}
    if not result.shown | added:
        return Claimed(found)
    diagonals_m = np.array([x.estimate.scale for x in claimants])
    divisions = {
        mask_id: division
        for mask_id, counts in result.parts.items()
        if (division := divided(image, mask_id, [*counts], result.owner, diagonals_m)) is not None
    }
    claimed, kept = _new_ids(found, result, added, divisions)
    ids = _renumbered(found.ids, image, result, divisions, claimed, kept)
    for number, new_id in claimed.items():
        own = (image.ids == 0) & (result.owner == number)
        added_to = own[claimants[number].drawn.box]
        if number not in added:
            added_to &= _inside(claimants[number])
        _add(ids, new_id, depth, image, claimants[number], added_to)
    labels = {new_id: found.labels[i] for i, new_id in kept.items()} | {
        new_id: _label(found, result, divisions, number) for number, new_id in claimed.items()
    }
    shown = frozenset(claimed[x] for x in result.shown)
    return Claimed(replace(found, ids=ids, labels=labels), shown)


def _new_ids(
    found: InstanceMask,
    result: Contest,
    added: Collection[int],
    divisions: Mapping[int, MaskDivision],
) -> tuple[dict[int, int], dict[int, int]]:
    """The new ids of the objects that get a mask, and those of the found masks that stay.

    A mask stays if nobody takes part in it, or if it has a rest. Sources count ids upward;
    replacements are counted downward, and so do not collide with ids of coming objects.
    """
    used: set[int] = set()

    def unique(wish: int) -> int:
        taken = used | found.labels.keys()
        free = (x for x in range(MAX_MASK_ID, 0, -1) if x not in taken)
        new_id = next(free) if wish in used else wish
        used.add(new_id)
        return new_id

    claimed = {
        number: unique(result.claimants[number].estimate.mask_id)
        for number in sorted(result.shown.union(added))
    }
    divided_with_rest = {i for i, x in divisions.items() if x.has_rest}
    stay = [i for i in sorted(found.labels) if i not in result.parts or i in divided_with_rest]
    return claimed, {i: unique(i) for i in stay}


def _renumbered(
    ids: NDArray[np.uint16],
    image: CoarseImage,
    result: Contest,
    divisions: Mapping[int, MaskDivision],
    claimed: Mapping[int, int],
    kept: Mapping[int, int],
) -> NDArray[np.uint16]:
    """The found ids (H, W) with their new values."""
    new_id = np.arange(MAX_MASK_ID + 1, dtype=np.uint16)
    new_id[[*kept]] = [*kept.values()]
    for i, counts in result.parts.items():
        largest = divisions[i].largest if i in divisions else max(counts, key=counts.__getitem__)
        new_id[i] = kept[i] if largest == REST else claimed[largest]
    renumbered = new_id[ids]
    for i, division in divisions.items():
        new_of_share = np.zeros(len(result.claimants) - REST, dtype=np.uint16)
        new_of_share[[x - REST for x in claimed]] = [*claimed.values()]
        new_of_share[0] = kept.get(i, 0)
        box = image.full_box(division.box)
        own = ids[box] == i
        shares = image.enlarged(new_of_share[division.shares - REST], own.shape)
        renumbered[box][own] = shares[own]
    return renumbered


def _inside(claimant: Claimant) -> NDArray[np.bool_]:
    """Silhouette (h, w) without its border, which a small error of the pose moves to the table.

    The border of a mask is better known from where it was found.
    """
    whole = (claimant.drawn.depth > 0.0).astype(np.uint8)
    return np.asarray(cv2.erode(whole, np.ones((3, 3), np.uint8)) > 0)


def _add(
    ids: NDArray[np.uint16],
    new_id: int,
    depth: NDArray[np.float32],
    image: CoarseImage,
    claimant: Claimant,
    added: NDArray[np.bool_],
) -> None:
    """Give an object pixels without a mask that it explains.

    Args:
        ids: (H, W), changed in place.
        new_id: of the object.
        depth: (H, W), metres.
        image: the coarse image.
        claimant: the object.
        added: (h, w), pixels of the object's box to add.
    """
    if not added.any():
        return
    drawn = claimant.drawn
    box = image.full_box(drawn.box)
    v, u = np.nonzero(image.enlarged(added, ids[box].shape) & (ids[box] == 0))
    row, column = (
        np.minimum(x // image.step, n - 1) for x, n in zip((v, u), added.shape, strict=True)
    )
    error_m = np.abs(depth[box][v, u] - drawn.depth[row, column])
    explained = error_m <= claimant.tolerance_m[row, column]
    ids[box][v[explained], u[explained]] = new_id


def _label(
    found: InstanceMask, result: Contest, divisions: Mapping[int, MaskDivision], number: int
) -> InstanceLabel:
    """The label of an object's mask: that of its largest part, which may mean another object."""
    estimate = result.claimants[number].estimate
    sizes = {i: counts[number] for i, counts in result.parts.items() if number in counts}
    if not sizes:
        return InstanceLabel(ANY_CATEGORY, estimate.confidence, detected=True)
    largest = max(sizes, key=sizes.__getitem__)
    label = found.labels[largest]
    if largest not in divisions or label.category == estimate.category:
        return label
    return replace(label, category=ANY_CATEGORY)
