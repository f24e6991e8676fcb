"""Removal of outliers from observed points."""

from __future__ import annotations

import numpy as np
import open3d as o3d
import pytest
from numpy.typing import NDArray

from sdfpose_core.observation.frame import Instance
from sdfpose_core.observation.free_space import FreeSpace
from sdfpose_core.observation.support_plane import SupportPlane
from sdfpose_core.selfsup.outliers import _close, _in_clusters, inlier_points


def cloud(count: int, half: float, *centre: float) -> NDArray[np.float32]:
    rng = np.random.default_rng(count)
    return (rng.uniform(-half, half, (count, 3)) + centre).astype(np.float32)


OBJECT = cloud(900, 0.04, 0.0, 0.0, 0.8)


def instance(category: str, *parts: NDArray[np.float32], plane: float | None = None) -> Instance:
    points = np.concatenate([OBJECT, *parts]).astype(np.float32)
    support = None
    if plane is not None:
        support = SupportPlane(np.array([0.0, -1.0, 0.0], dtype=np.float32), -plane)
    pixels = np.zeros((len(points), 2), np.int32)
    free = FreeSpace.unknown()
    return Instance(1, category, 1.0, points, pixels, free, 4 * len(points), support=support)


def kept(points: NDArray[np.float32], part: NDArray[np.float32]) -> int:
    """Number of a part's points that are among the points."""
    return len({tuple(x) for x in points} & {tuple(x) for x in part})


@pytest.mark.parametrize("category", ["bottle", "bowl", "camera", "can", "laptop", "mug", "teapot"])
def test_the_object_remains(category: str) -> None:
    # With 1.3 standard deviations, the corners of a box filled with points count as outliers.
    assert len(inlier_points(instance(category))) > 0.85 * len(OBJECT)


def test_single_far_points_go() -> None:
    far = np.array([[0.3, 0.0, 0.9], [-0.2, 0.2, 1.0]], dtype=np.float32)
    points = inlier_points(instance("can", far))
    assert kept(points, far) == 0
    assert len(points) > 0.85 * len(OBJECT)


@pytest.mark.parametrize(("category", "stays"), [("can", False), ("mug", True), ("camera", False)])
def test_a_second_cluster_stays_if_the_object_may_be_in_pieces(category: str, stays: bool) -> None:
    """Centres 0.18 m apart: within the 0.2 m of bowls and mugs, beyond the 0.12 m of cameras."""
    other = cloud(300, 0.02, 0.18, 0.0, 0.8)
    assert (kept(inlier_points(instance(category, other)), other) > 200) == stays


def test_points_on_the_support_go_except_those_of_laptops() -> None:
    table = cloud(300, 0.04, 0.0, 0.0, 0.8)
    table[:, 1] = 0.05
    assert kept(inlier_points(instance("can", table, plane=0.05)), table) == 0
    assert kept(inlier_points(instance("laptop", table, plane=0.05)), table) > 200


@pytest.mark.parametrize("count", [0, 1, 5])
def test_few_points_are_no_cluster(count: int) -> None:
    few = instance("can")
    object.__setattr__(few, "points", OBJECT[:count])
    assert inlier_points(few).shape == (0, 3)


@pytest.fixture(scope="module")
def pieces() -> NDArray[np.float32]:
    """Clusters of several sizes and densities, and single points."""
    return np.concatenate(
        [
            OBJECT,
            cloud(200, 0.03, 0.12, 0.02, 0.82),
            cloud(60, 0.01, -0.2, 0.0, 0.9),
            cloud(40, 0.4, 0.0, 0.0, 1.0),
        ]
    )


@pytest.mark.parametrize(("neighbours", "spread"), [(20, 1.3), (80, 2.5), (2000, 4.5)])
def test_statistical_outliers_are_those_of_open3d(
    pieces: NDArray[np.float32], neighbours: int, spread: float
) -> None:
    """Which the published implementation uses."""
    points = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(pieces.astype(np.float64)))
    _, expected = points.remove_statistical_outlier(neighbours, spread)
    np.testing.assert_array_equal(np.flatnonzero(_close(pieces, neighbours, spread)), expected)


@pytest.mark.parametrize("fewest", [10, 50])
def test_the_largest_cluster_is_that_of_open3d(pieces: NDArray[np.float32], fewest: int) -> None:
    points = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(pieces.astype(np.float64)))
    label = np.asarray(points.cluster_dbscan(eps=0.06, min_points=fewest))
    expected = label == np.bincount(label[label >= 0]).argmax()
    # A point between two clusters belongs to either.
    found = _in_clusters(pieces, fewest, 0.0)
    assert (found != expected).sum() <= 2
