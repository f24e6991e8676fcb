"""Division of a mask that shows more than one object, along the pixels known to be of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree

from sdfpose_core.masks.coarse_image import Box, CoarseImage

__all__ = ["NOBODY", "REST", "MaskDivision", "divided"]

NOBODY, REST = -1, -2
"""Numbers of pixels that nothing is known of, and of pixels that belong to none of the objects."""

_REST_SHARE, _REST_DISTANCE = 0.3, 0.1
"""What lies farther from the objects of a mask than this share of their diagonals is something
else, if it is this share of the mask."""

_EVERY = 2
"""Distances are measured in every n-th row and column; pixels between follow their neighbours."""


@dataclass(frozen=True)
class MaskDivision:
    """A mask that is divided.

    Attributes:
        box: part of the coarse image around the mask.
        shares: (h, w), number of an object for each pixel of that part, or `REST`.
        largest: number of the largest share of the mask.
        has_rest: whether some of the mask is `REST`.
    """

    box: Box
    shares: NDArray[np.int32]
    largest: int
    has_rest: bool


def divided(
    image: CoarseImage,
    mask_id: int,
    objects: Sequence[int],
    owner: NDArray[np.int32],
    diagonals_m: NDArray[np.float64],
) -> MaskDivision | None:
    """Divide a mask among the objects that it shows.

    The pixels that are known to be of an object are its own. Others are those of the object that is
    nearest to their measured points or, where depth is missing, nearest in the image.

    Args:
        image: masks and depth.
        mask_id: id of the mask.
        objects: numbers of its objects; each owns a pixel of the mask with depth.
        owner: (h, w), number of the object that a pixel is known to be of, or `NOBODY`.
        diagonals_m: (K,) diagonals of all objects, metres.

    Returns:
        None if the whole mask is of one object.
    """
    mask = image.ids == mask_id
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    box = (
        slice(max(int(rows[0]) - 1, 0), int(rows[-1]) + 2),
        slice(max(int(columns[0]) - 1, 0), int(columns[-1]) + 2),
    )
    mask, depth, shares = mask[box], image.depth[box], owner[box].copy()
    known = mask & (depth > 0.0)
    shares[~(known & np.isin(shares, objects))] = NOBODY
    open_ = known & (shares == NOBODY)
    share_open = np.count_nonzero(open_) / np.count_nonzero(known)
    if len(objects) == 1 and share_open < _REST_SHARE:
        return None

    camera = image.camera.crop(box[1].start, box[0].start, mask.shape[1], mask.shape[0])
    points = camera.back_project(camera.pixel_grid(), depth)
    asked = np.zeros_like(mask)
    asked[::_EVERY, ::_EVERY] = open_[::_EVERY, ::_EVERY]
    nearest, distance_m = _nearest(points, shares, asked)
    far = distance_m > _REST_DISTANCE * diagonals_m[nearest]
    has_rest = share_open * np.count_nonzero(far) >= _REST_SHARE * max(len(far), 1)
    if has_rest:
        shares[asked] = np.where(far, REST, NOBODY)
        asked &= shares == NOBODY
        nearest, _ = _nearest(points, shares, asked)
    elif len(objects) == 1:
        return None
    shares[asked] = nearest
    at = distance_transform_edt(shares == NOBODY, return_distances=False, return_indices=True)
    shares = shares[tuple(at)]
    numbers, counts = np.unique(shares[mask], return_counts=True)
    return MaskDivision(box, shares, int(numbers[counts.argmax()]), bool(has_rest))


def _nearest(
    points: NDArray[np.float32], shares: NDArray[np.int32], asked: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Numbers (N,) of the nearest points that are not of `NOBODY`, and distances (N,), metres.

    Args:
        points: (h, w, 3), metres.
        shares: (h, w), their numbers.
        asked: (h, w), marks the N points.
    """
    given = shares != NOBODY
    distance_m, index = KDTree(points[given]).query(points[asked])
    return shares[given][index], distance_m
