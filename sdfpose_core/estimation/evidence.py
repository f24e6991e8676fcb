"""What the refinement is given of an instance: a choice of its points and rays, and their noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sdfpose_core.categories import Category
from sdfpose_core.observation.frame import Instance
from sdfpose_core.refine.evidence import Evidence, FreeSpaceMap

__all__ = ["observe", "resample", "supports"]

_DEPTH_SD_M, _DEPTH_SD_PER_M = 0.001, 0.0015
"""Noise of a structured-light or stereo camera at depth z: 1 mm + 1.5 mm (z / m)^2."""

_MODEL_SD_SHARE = 0.006
"""Of the category's median diagonal: what decoded shapes fall short of real ones by."""

_GAP_SD, _GAP_SHARE = 2.0, 0.01
"""Free space ends so many standard deviations of depth, and so much of the category's median
diagonal, before what was measured."""

_FREE_SD_SHARE = 0.01
"""Of the category's median diagonal: standard deviation of how far a surface is in free space."""


def observe(
    instances: Sequence[Instance],
    categories: Sequence[Category],
    *,
    surface_points: int,
    rngs: Sequence[np.random.Generator],
    device: torch.device,
) -> Evidence:
    """Evidence of B instances.

    Args:
        instances: with at least one point each.
        categories: of each.
        surface_points: observed points to take of each; small instances repeat theirs.
        rngs: of the choice, one for each instance.
        device: of the tensors.
    """
    surface = [
        resample(x.points, surface_points, rng) for x, rng in zip(instances, rngs, strict=True)
    ]
    points = torch.from_numpy(np.stack(surface)).to(device)
    diagonals = torch.tensor([x.diagonal_m for x in categories], device=device)
    model_sd = _MODEL_SD_SHARE * diagonals.unsqueeze(1)
    return Evidence(
        points,
        (_depth_sd(points[..., 2]).square() + model_sd.square()).sqrt(),
        _free_space_map(instances, diagonals),
        supports(instances, device),
    )


def _depth_sd(depth: Tensor) -> Tensor:
    """Standard deviation of measured depths, all in metres."""
    return _DEPTH_SD_M + _DEPTH_SD_PER_M * depth.square()


def _free_space_map(instances: Sequence[Instance], diagonals: Tensor) -> FreeSpaceMap:
    """The windows, with room for the noise of what was measured behind the free space.

    Args:
        instances: B of them.
        diagonals: (B,), metres, medians of their categories.
    """
    device = diagonals.device
    depth = torch.from_numpy(np.stack([x.free.depth for x in instances])).to(device)
    gap = _GAP_SD * _depth_sd(depth) + _GAP_SHARE * diagonals[:, None, None]
    cameras = [x.free.camera for x in instances]
    return FreeSpaceMap(
        (depth - gap).clamp(min=0.0),
        torch.from_numpy(np.stack([x.free.outside for x in instances])).to(device),
        torch.tensor([x.fx for x in cameras], device=device),
        torch.tensor([(x.cx, x.cy) for x in cameras], device=device),
        _FREE_SD_SHARE * diagonals,
    )


def supports(instances: Sequence[Instance], device: torch.device) -> Tensor:
    """Normals and offsets (B, 4) of the planes that instances stand on, zeros for none."""
    planes = np.zeros((len(instances), 4), dtype=np.float32)
    for row, instance in zip(planes, instances, strict=True):
        if instance.support is not None:
            row[:3], row[3] = instance.support.normal, instance.support.offset
    return torch.from_numpy(planes).to(device)


def resample(
    points: NDArray[np.float32], count: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """`count` points in random order; each once before any comes twice."""
    rounds = -(-count // len(points))
    order = np.concatenate([rng.permutation(len(points)) for _ in range(rounds)])
    return points[order[:count]]
