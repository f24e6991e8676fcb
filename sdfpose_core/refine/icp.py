"""The paper's refinement: point-to-point ICP of the reconstructed mesh to the observed points.

SSC-6D (AAAI 2022) refines the predicted pose with 100 iterations of Open3D's ICP and one distance
threshold per category.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["ICP_ITERATIONS", "icp_threshold_m", "refine_icp"]

ICP_ITERATIONS = 100

_THRESHOLDS_M = {"bowl": 0.001, "camera": 0.03}
_DEFAULT_THRESHOLD_M = 0.005


def icp_threshold_m(category: str) -> float:
    """The paper's maximum correspondence distance, metres."""
    return _THRESHOLDS_M.get(category, _DEFAULT_THRESHOLD_M)


def refine_icp(
    vertices: NDArray[np.floating],
    points: NDArray[np.floating],
    rotation: NDArray[np.floating],
    translation: NDArray[np.floating],
    threshold_m: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Align a surface with the observed points by a rigid transform; the size is fixed.

    Args:
        vertices: (V, 3), metres, object frame.
        points: (N, 3), metres, camera frame.
        rotation: R (3, 3), object to camera frame.
        translation: t (3,), metres.
        threshold_m: maximum correspondence distance, metres.

    Returns:
        The refined R (3, 3) and t (3,).
    """
    start = np.eye(4)
    start[:3, :3], start[:3, 3] = rotation, translation
    import open3d as o3d  # deferred: the import takes a second and ICP is rarely used

    source, target = o3d.geometry.PointCloud(), o3d.geometry.PointCloud()
    source.points = o3d.utility.Vector3dVector(np.asarray(vertices, dtype=np.float64))
    target.points = o3d.utility.Vector3dVector(np.asarray(points, dtype=np.float64))
    registration = o3d.pipelines.registration
    # Search from the observed points, so that the unseen side of the surface has no pairs.
    result = registration.registration_icp(
        target,
        source,
        threshold_m,
        np.linalg.inv(start),
        registration.TransformationEstimationPointToPoint(),
        registration.ICPConvergenceCriteria(max_iteration=ICP_ITERATIONS),
    )
    refined: NDArray[np.float64] = np.linalg.inv(np.asarray(result.transformation, np.float64))
    return refined[:3, :3], refined[:3, 3]
