"""Pose covariance from the final Hessian of the refinement."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.refine.solver import POSE_PARAMETERS, Solution

__all__ = ["pose_covariance"]


def pose_covariance(
    solution: Solution,
    rotation: NDArray[np.float64],
    scale: float,
    centre: NDArray[np.float64],
    pose_only: bool,
) -> NDArray[np.float64]:
    """Covariance (6, 6) of the box centre and of the rotation about the camera axes.

    The solution is a batch of one, on the CPU.

    The solver's state is (w, dt, dl, dz) with w in the object frame: the centre t + s R c moves
    by dt + s R (w x c) + s R c dl, the rotation by R w.
    """
    free = POSE_PARAMETERS if pose_only else solution.hessian.shape[-1]
    inverse = np.linalg.inv(solution.hessian[0, :free, :free].double().numpy())
    full = np.zeros((7, 7))
    full[: min(free, 7), : min(free, 7)] = inverse[:7, :7]
    x, y, z = centre
    hat = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    to_box = np.zeros((6, 7))
    to_box[:3, :3] = -scale * rotation @ hat
    to_box[:3, 3:6] = np.eye(3)
    to_box[:3, 6] = scale * rotation @ centre
    to_box[3:, :3] = rotation
    covariance = np.asarray(to_box @ full @ to_box.T)
    return 0.5 * (covariance + covariance.T)  # the float32 Hessian is not quite symmetric
