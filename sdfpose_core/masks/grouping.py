"""Objects from the maps of the mask network: pixels whose votes agree are one object.

As in Neven et al. (CVPR 2019), the pixel with the best seed stands for an object, and the pixels
whose votes are within its radius belong to it; then comes the best seed among the others. Every
pixel finally belongs to the object whose centre is nearest to its vote.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import expit
from skimage.measure import label as pieces_of

from sdfpose_core.observation.frame import MAX_INSTANCES

__all__ = ["GroupingConfig", "Groups", "PixelMaps", "group"]

_ROUNDS = 4 * MAX_INSTANCES
"""Limit of the seeds that are tried."""

_STEP = 2
"""Stride in rows and columns of the pixels that may be seeds."""

_LEAST_OWN = 0.5
"""An object is new if this share of the pixels within its radius is nearer to it than to others."""

_SPACE = 3
"""Number of the votes' coordinates that are a point in space."""

_SPECKLE_PX = 10
"""Smaller pieces and holes take the label around them."""


@dataclass(frozen=True)
class GroupingConfig:
    """Parameters of the grouping.

    Attributes:
        min_foreground: a pixel with a smaller probability belongs to no object.
        min_seed: a pixel with a smaller value stands for no object.
        min_pixels: smaller objects are dropped, pixels of the maps.
        reach: a pixel belongs to no object if its vote is farther away, in radii.
        min_piece: smaller pieces of an object are dropped, share of its largest piece.
        depth_gap: a piece whose depth differs by more than this from that of the largest piece is
            another object, in sides of a square as large as the largest piece...
        depth_gap_m: ...plus this, metres.
    """

    min_foreground: float = 0.5
    min_seed: float = 0.35
    min_pixels: int = 40
    reach: float = 2.0
    min_piece: float = 0.08
    depth_gap: float = 2.0
    depth_gap_m: float = 0.05


@dataclass(frozen=True)
class PixelMaps:
    """Outputs of the mask network for one image; see `MaskMaps`.

    Attributes:
        foreground: (H, W) float32, logit.
        seed: (H, W) float32, logit.
        votes: (D, H, W) float32.
        log_precision: (2, H, W) float32.
    """

    foreground: NDArray[np.float32]
    seed: NDArray[np.float32]
    votes: NDArray[np.float32]
    log_precision: NDArray[np.float32]


@dataclass(frozen=True)
class Groups:
    """Objects of one image.

    Attributes:
        labels: (H, W) int32, from 1 on, 0 = background.
        scores: (K,) float32, 0 to 1, of labels 1 to K: how sure it is that this is an object.
    """

    labels: NDArray[np.int32]
    scores: NDArray[np.float32]


@dataclass(frozen=True)
class _Pixels:
    """Pixels that belong to some object.

    Attributes:
        votes: (N, D).
        precision: (N, D), squared inverse radii.
        seed: (N,), 0 to 1.
    """

    votes: NDArray[np.float32]
    precision: NDArray[np.float32]
    seed: NDArray[np.float32]

    @classmethod
    def at(cls, maps: PixelMaps, v: NDArray[np.intp], u: NDArray[np.intp]) -> _Pixels:
        """Select pixels by row and column."""
        votes = np.ascontiguousarray(maps.votes[:, v, u].T)
        counts = [_SPACE, votes.shape[1] - _SPACE]
        precision = np.exp(maps.log_precision[:, v, u].T).repeat(counts, axis=1)
        return cls(votes, precision, expit(maps.seed[v, u]))


@dataclass(frozen=True)
class _Centres:
    """Objects that were found: centre (K, D), precision (K, D) and seed (K,) of each."""

    votes: NDArray[np.float32]
    precision: NDArray[np.float32]
    seed: NDArray[np.float32]

    def distances(self, votes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Squared distances (N, K) of votes (N, D), in radii."""
        # Relative to a common origin, because the products lose digits.
        origin = self.votes.mean(axis=0)
        votes, centres = votes - origin, self.votes - origin
        linear = self.precision * centres
        constant = np.einsum("kd,kd->k", linear, centres)
        return (votes * votes) @ self.precision.T - (2.0 * votes) @ linear.T + constant


def group(
    maps: PixelMaps, depth: NDArray[np.float32], focal: float, config: GroupingConfig | None = None
) -> Groups:
    """Find the objects.

    Args:
        maps: outputs of the network.
        depth: (H, W), metres, 0 = missing, of the same pixels.
        focal: focal length, pixels of the maps.
        config: parameters.

    Returns:
        At most `MAX_INSTANCES` objects, by falling score.
    """
    config = GroupingConfig() if config is None else config
    inside = expit(maps.foreground) > config.min_foreground
    labels = np.zeros(inside.shape, dtype=np.int32)
    centres = _found(maps, inside, config)
    if centres is None:
        return Groups(labels, np.zeros(0, dtype=np.float32))
    v, u = np.nonzero(inside)
    distances = centres.distances(np.ascontiguousarray(maps.votes[:, v, u].T))
    nearest = distances.argmin(axis=1)
    within = distances[np.arange(len(nearest)), nearest] < config.reach**2
    labels[v, u] = np.where(within, nearest + 1, 0)
    labels = _without_speckles(labels)
    labels, origin = _in_pieces(labels, depth, focal, config)
    return _numbered(labels, centres.seed[origin], config.min_pixels)


def _found(maps: PixelMaps, inside: NDArray[np.bool_], config: GroupingConfig) -> _Centres | None:
    """Find the centres of the objects, one seed after the other."""
    v, u = np.nonzero(inside[::_STEP, ::_STEP])
    pixels = _Pixels.at(maps, _STEP * v, _STEP * u)
    least = max(config.min_pixels // _STEP**2, 1)
    nearest = np.full(len(v), np.inf, dtype=np.float32)
    waiting = pixels.seed.copy()
    found: list[_Centres] = []
    for _ in range(_ROUNDS):
        best = int(waiting.argmax()) if len(waiting) else -1
        if best < 0 or waiting[best] < config.min_seed or len(found) == MAX_INSTANCES:
            break
        offset = pixels.votes - pixels.votes[best]
        distance = (offset * offset) @ pixels.precision[best]
        near = distance < 1.0
        own = near & (distance < nearest)
        if np.count_nonzero(own) < max(_LEAST_OWN * np.count_nonzero(near), least):
            waiting[own] = waiting[best] = 0.0
            continue
        waiting[near] = waiting[best] = 0.0
        nearest = np.minimum(nearest, distance)
        found.append(_centre(pixels, own))
    return _merged(found) if found else None


def _centre(pixels: _Pixels, own: NDArray[np.bool_]) -> _Centres:
    """Mean of the pixels of an object, as in the training."""
    precision = np.exp(np.log(pixels.precision[own]).mean(axis=0))
    seed = pixels.seed[own].max()
    return _Centres(pixels.votes[own].mean(axis=0)[None], precision[None], seed[None])


def _merged(found: list[_Centres]) -> _Centres:
    """Merge the objects whose centres are within each other's radius."""
    centres = _Centres(
        *(
            np.concatenate([getattr(x, name) for x in found])
            for name in ("votes", "precision", "seed")
        )
    )
    within = centres.distances(centres.votes) < 1.0
    count, part = connected_components(coo_array(within & within.T), directed=False)
    _, first = np.unique(part, return_index=True)
    if count == len(part):
        return centres
    weight = np.zeros((count, len(part)), dtype=np.float32)
    weight[part, np.arange(len(part))] = 1.0 / np.bincount(part)[part]
    # The seeds come in falling order: the first one of a part is the best.
    return _Centres(weight @ centres.votes, centres.precision[first], centres.seed[first])


def _without_speckles(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Give small pieces and small holes the label that is most frequent around them."""
    pieces = pieces_of(labels, background=-1, connectivity=1)
    small = np.bincount(pieces.ravel())[pieces] < _SPECKLE_PX
    if not small.any():
        return labels
    v, u = np.nonzero(small)
    padded = np.pad(labels, 1, mode="edge")
    outside = np.pad(~small, 1, mode="edge")
    count = int(labels.max()) + 1
    votes = []
    for dv, du in ((0, 1), (2, 1), (1, 0), (1, 2)):
        counts = outside[v + dv, u + du]
        votes.append(pieces[v, u][counts] * count + padded[v + dv, u + du][counts])
    key, frequency = np.unique(np.concatenate(votes), return_counts=True)
    order = np.argsort(frequency, kind="stable")  # the most frequent label comes last and wins
    label_of = np.zeros(int(pieces.max()) + 1, dtype=np.int32)
    label_of[key[order] // count] = key[order] % count
    cleaned = labels.copy()
    cleaned[v, u] = label_of[pieces[v, u]]
    return cleaned


def _in_pieces(
    labels: NDArray[np.int32], depth: NDArray[np.float32], focal: float, config: GroupingConfig
) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Drop small pieces of objects, and make objects of pieces that are far apart in depth.

    Returns:
        Labels (H, W), from 1 on, and for each the number of the object that it is from.
    """
    pieces = pieces_of(labels, background=0, connectivity=2)
    count = int(pieces.max())
    area = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    if count == 0:
        return labels, np.zeros(0, dtype=np.intp)
    owner = np.zeros(count, dtype=np.intp)
    owner[pieces.ravel()[labels.ravel() > 0] - 1] = labels.ravel()[labels.ravel() > 0] - 1
    order = np.lexsort((-area, owner))
    main_of = np.zeros(int(owner.max()) + 1, dtype=np.intp)
    main_of[owner[order][::-1]] = order[::-1]  # the largest piece is written last
    main = main_of[owner]
    z = _median_depths(pieces, depth, count)
    known = (z > 0.0) & (z[main] > 0.0)
    side = np.sqrt(area[main]) * z[main] / focal
    apart = known & (np.abs(z - z[main]) > config.depth_gap * side + config.depth_gap_m)
    kept = apart | (area >= config.min_piece * area[main])
    target = np.where(apart, np.arange(count), main)
    places, number = np.unique(target[kept], return_inverse=True)
    new = np.zeros(count + 1, dtype=np.int32)
    new[1:][kept] = number + 1
    return new[pieces], owner[places]


def _median_depths(
    pieces: NDArray[np.integer], depth: NDArray[np.float32], count: int
) -> NDArray[np.float32]:
    """Median depth (count,) of pieces 1 to count, metres, 0 where none is known."""
    known = (pieces > 0) & (depth > 0.0)
    of, z = pieces[known] - 1, depth[known]
    order = np.lexsort((z, of))
    sizes = np.bincount(of, minlength=count)
    middle = np.cumsum(sizes) - sizes + sizes // 2
    medians = np.zeros(count, dtype=np.float32)
    some = sizes > 0
    medians[some] = z[order][middle[some]]
    return medians


def _numbered(labels: NDArray[np.int32], scores: NDArray[np.float32], min_pixels: int) -> Groups:
    """Number the objects by falling score; drop those that are small, or too many."""
    area = np.bincount(labels.ravel(), minlength=len(scores) + 1)[1:]
    order = np.argsort(-scores, kind="stable")
    order = order[area[order] >= max(min_pixels, 1)][:MAX_INSTANCES]
    new = np.zeros(len(scores) + 1, dtype=np.int32)
    new[order + 1] = np.arange(1, len(order) + 1)
    return Groups(new[labels], scores[order])
