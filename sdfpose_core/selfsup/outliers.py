"""Removal of outliers from the observed points, as SSC-6D does it for its losses.

The published implementation (Peng et al., AAAI 2022, its preprocessing of the real images) removes
in turn the points on the plane beneath the object, two sorts of statistical outliers, and all but
the largest cluster. Its numbers of neighbours refer to every pixel of a mask in 640 x 480 images.
Instances here keep only some pixels of large masks, so the numbers shrink with them. The plane is
the support that the segmentation found, which the published one searches in the crop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from sdfpose_core.observation.frame import Instance

__all__ = ["OutlierRule", "inlier_points"]

_PLANE_M = 0.005
"""Points this close to the support plane are removed."""

_NEIGHBOURS = (80, 2000)
"""Neighbours per point in the two statistical tests."""

_CLUSTER_M, _CLUSTER_POINTS = 0.06, 200
"""Points of a cluster have this many neighbours within this distance."""

_FEWEST = 8
"""Smallest number of neighbours in thinned data."""


@dataclass(frozen=True)
class OutlierRule:
    """Settings of one category.

    Attributes:
        spreads: standard deviations above the mean, over all points, at which the mean distance
            from the nearest neighbours makes a point an outlier, for both tests.
        cluster_gap_m: clusters whose centres are nearer to that of the largest one also remain.
        plane: whether points on the support plane are removed.
    """

    spreads: tuple[float, float]
    cluster_gap_m: float = 0.0
    plane: bool = True


_HOLLOW = OutlierRule((2.5, 5.0), cluster_gap_m=0.2)

_RULES = {
    "bottle": OutlierRule((1.3, 4.5)),
    "bowl": _HOLLOW,
    "camera": OutlierRule((1.5, 5.0), cluster_gap_m=0.12),
    "can": OutlierRule((1.3, 4.5)),
    "laptop": OutlierRule((1.3, 4.5), plane=False),
    "mug": _HOLLOW,
}
"""The published settings; other categories use those of bowls and mugs, which remove least."""


def inlier_points(instance: Instance, rule: OutlierRule | None = None) -> NDArray[np.float32]:
    """Select the points of an instance without outliers.

    Args:
        instance: the instance.
        rule: settings; those of the instance's category by default.

    Returns:
        (N, 3), metres, camera frame; may be empty.
    """
    rule = rule or _RULES.get(instance.category, _HOLLOW)
    points, support = instance.points, instance.support
    density = min(len(points) / max(instance.mask_pixels, 1), 1.0)
    if rule.plane and support is not None:
        points = points[np.abs(support.height(points)) > _PLANE_M]
    for neighbours, spread in zip(_NEIGHBOURS, rule.spreads, strict=True):
        points = points[_close(points, max(round(density * neighbours), _FEWEST), spread)]
    fewest = max(round(density * _CLUSTER_POINTS), _FEWEST)
    return points[_in_clusters(points, fewest, rule.cluster_gap_m)]


def _close(points: NDArray[np.float32], neighbours: int, spread: float) -> NDArray[np.bool_]:
    """Whether the mean distance of points (N, 3) from their neighbours is not unusual (N,)."""
    count = min(neighbours, len(points))
    if count < 2:
        return np.ones(len(points), dtype=bool)
    distance, _ = cKDTree(points).query(points, count)
    mean = distance.mean(axis=1)
    keep: NDArray[np.bool_] = mean <= mean.mean() + spread * mean.std(ddof=1)
    return keep


def _in_clusters(points: NDArray[np.float32], fewest: int, gap_m: float) -> NDArray[np.bool_]:
    """Whether points (N, 3) belong to the largest cluster or one with a near centre (N,).

    Clusters are those of DBSCAN (Ester et al., KDD 1996): points with `fewest` neighbours that are
    neighbours of each other, and the neighbours of these.
    """
    count = len(points)
    if not count:
        return np.zeros(0, dtype=bool)
    i, j = cKDTree(points).query_pairs(_CLUSTER_M, output_type="ndarray").T
    core = np.bincount(np.concatenate([i, j]), minlength=count) + 1 >= fewest
    both = core[i] & core[j]
    links = coo_array((np.ones(both.sum(), dtype=bool), (i[both], j[both])), shape=(count, count))
    label = np.where(core, connected_components(links, directed=False)[1], -1)
    for a, b in ((i, j), (j, i)):
        border = core[a] & ~core[b]
        label[b[border]] = label[a[border]]
    if not core.any():
        return np.zeros(count, dtype=bool)
    names, sizes = np.unique(label[label >= 0], return_counts=True)
    centres = np.array([points[label == x].mean(axis=0) for x in names])
    largest = centres[sizes.argmax()]
    near = np.linalg.norm(centres - largest, axis=1) < gap_m
    near[sizes.argmax()] = True
    return np.isin(label, names[near])
