"""Differentiable nearest neighbours and Chamfer distance of point sets.

On a GPU, the neighbour search uses pytorch3d if the extra ``pytorch3d`` is installed. Otherwise it
uses plain torch. The distances are always computed in torch, so both give the same numbers.
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
"""Query points per distance matrix; limits the memory."""


def nearest_neighbours(points: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Find the nearest neighbour of every point in another point set.

    Args:
        points: (B, N, 3).
        others: (B, M, 3), in the same unit and frame.

    Returns:
        Squared distances (B, N), differentiable with respect to both arguments, and indices
        (B, N) into `others`.

    Raises:
        ShapeError: the shapes do not match, or `others` is empty.
    """
    valid = points.ndim == others.ndim == 3 and points.shape[0] == others.shape[0]
    if not valid or points.shape[2] != 3 or others.shape[2] != 3 or others.shape[1] == 0:
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
    """Chamfer distance (B,): mean squared nearest-neighbour distance, summed over both directions.

    This is the loss of SSC-6D (AAAI 2022, equation 4). Arguments and errors are those of
    `nearest_neighbours`; both sets need at least one point.
    """
    forward, _ = nearest_neighbours(points, others)
    backward, _ = nearest_neighbours(others, points)
    return forward.mean(dim=1) + backward.mean(dim=1)


def _torch_index(points: Tensor, others: Tensor) -> Tensor:
    pieces = [
        torch.cdist(part, others, compute_mode="donot_use_mm_for_euclid_dist").argmin(dim=-1)
        for part in points.split(_CHUNK, dim=1)
    ]
    return torch.cat(pieces, dim=1)


@functools.cache
def _pytorch3d_knn() -> Callable[[Tensor, Tensor], Tensor] | None:
    """Return pytorch3d's neighbour search, or None if pytorch3d cannot be imported."""
    try:
        ops: Any = importlib.import_module("pytorch3d.ops")
    except ImportError:
        return None

    def index(points: Tensor, others: Tensor) -> Tensor:
        neighbours: Tensor = ops.knn_points(points, others, K=1).idx
        return neighbours.squeeze(-1)

    return index
