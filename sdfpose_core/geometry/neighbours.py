"""Nearest neighbours and the Chamfer distance of point sets, differentiable.

With the extra ``pytorch3d`` its kernels find the neighbours on a GPU; without it, and on the CPU,
plain torch does. Distances are computed from the neighbours in one way, so the numbers agree.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sdfpose_core.errors import ShapeError

__all__ = ["chamfer_distance", "nearest_neighbours"]

_CHUNK = 2048
"""Query points whose distances to all others are held at once."""


def nearest_neighbours(points: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """For every point the nearest one of another set.

    Args:
        points: (B, N, 3).
        others: (B, M, 3), in the same unit and frame.

    Returns:
        Squared distances (B, N), differentiable by both arguments, and indices (B, N) into
        `others`.

    Raises:
        ShapeError: the shapes do not fit, or there are no others.
    """
    fits = points.ndim == others.ndim == 3 and points.shape[0] == others.shape[0]
    if not fits or points.shape[2] != 3 or others.shape[2] != 3 or others.shape[1] == 0:
        raise ShapeError(
            f"points and others have shapes {tuple(points.shape)} and {tuple(others.shape)}: "
            "expected (B, N, 3) and (B, M, 3) with M > 0"
        )
    with torch.no_grad():
        kernel = _pytorch3d_knn() if points.is_cuda else None
        index = _torch_index(points, others) if kernel is None else kernel(points, others)
    nearest = others.gather(1, index.unsqueeze(-1).expand(-1, -1, 3))
    return (points - nearest).square().sum(-1), index


def chamfer_distance(points: Tensor, others: Tensor) -> Tensor:
    """Mean squared distance to the nearest neighbour, both directions added, (B,).

    The loss of SSC-6D (AAAI 2022, equation 4). Arguments and errors as of `nearest_neighbours`;
    both sets need at least one point.
    """
    there, _ = nearest_neighbours(points, others)
    back, _ = nearest_neighbours(others, points)
    return there.mean(dim=1) + back.mean(dim=1)


def _torch_index(points: Tensor, others: Tensor) -> Tensor:
    pieces = [
        torch.cdist(part, others, compute_mode="donot_use_mm_for_euclid_dist").argmin(dim=-1)
        for part in points.split(_CHUNK, dim=1)
    ]
    return torch.cat(pieces, dim=1)


@functools.cache
def _pytorch3d_knn() -> Callable[[Tensor, Tensor], Tensor] | None:
    """The neighbour search of pytorch3d, None where it is not installed or does not load."""
    try:
        ops: Any = importlib.import_module("pytorch3d.ops")
    except ImportError:
        return None

    def index(points: Tensor, others: Tensor) -> Tensor:
        found: Tensor = ops.knn_points(points, others, K=1).idx
        return found.squeeze(-1)

    return index
