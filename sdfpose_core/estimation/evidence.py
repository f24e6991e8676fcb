"""Evidence for the refinement: a sample of an instance's points and rays, with their noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sdfpose_core.categories import Category
from sdfpose_core.observation.frame import Instance
from sdfpose_core.refine.evidence import Evidence, FreeSpaceMap

__all__ = ["EvidenceSampler", "resample", "support_planes"]

_DEPTH_SD_M, _DEPTH_SD_PER_M = 0.001, 0.0015
"""Noise of a structured-light or stereo camera at depth z: 1 mm + 1.5 mm (z / m)^2."""

_MODEL_SD_SHARE = 0.006
"""Standard deviation of decoded shapes from real ones, in median diagonals of the category."""

_GAP_SD, _GAP_SHARE = 2.0, 0.01
"""Free space ends this many standard deviations of depth, and this share of the category's median
diagonal, before the measured depth."""

_FREE_SD_SHARE = 0.01
"""Standard deviation of a surface's intrusion into free space, in median diagonals."""


@dataclass(frozen=True)
class EvidenceSampler:
    """Samples the points of instances. The same instance always gives the same sample.

    Attributes:
        surface_points: observed points per instance; small instances repeat theirs.
        seed: of the sample.
        device: of the tensors.
    """

    surface_points: int
    seed: int
    device: torch.device

    def __call__(
        self,
        instances: Sequence[Instance],
        categories: Sequence[Category],
        device: torch.device | None = None,
    ) -> Evidence:
        """Evidence of B instances.

        Args:
            instances: with at least one point each.
            categories: of each instance.
            device: of the tensors, in place of the sampler's.
        """
        device = device or self.device
        surface = [resample(x.points, self.surface_points, self.rng(x)) for x in instances]
        points = torch.from_numpy(np.stack(surface)).to(device)
        diagonals = torch.tensor([x.diagonal_m for x in categories], device=device)
        model_sd = _MODEL_SD_SHARE * diagonals.unsqueeze(1)
        return Evidence(
            points,
            (_depth_sd(points[..., 2]).square() + model_sd.square()).sqrt(),
            _free_space_map(instances, diagonals),
            support_planes(instances, device),
        )

    def rng(self, instance: Instance) -> np.random.Generator:
        """A generator for the sample of an instance, at the start of its sequence."""
        return np.random.default_rng([self.seed, instance.mask_id])


def _depth_sd(depth: Tensor) -> Tensor:
    """Standard deviation of measured depths, all in metres."""
    return _DEPTH_SD_M + _DEPTH_SD_PER_M * depth.square()


def _free_space_map(instances: Sequence[Instance], diagonals: Tensor) -> FreeSpaceMap:
    """Free space of B instances, with a margin for the noise of the depth behind it.

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


def support_planes(instances: Sequence[Instance], device: torch.device) -> Tensor:
    """Normals and offsets (B, 4) of the planes that instances stand on, zeros for none."""
    planes = np.zeros((len(instances), 4), dtype=np.float32)
    for row, instance in zip(planes, instances, strict=True):
        if instance.support is not None:
            row[:3], row[3] = instance.support.normal, instance.support.offset
    return torch.from_numpy(planes).to(device)


def resample(
    points: NDArray[np.float32], count: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """`count` points in random order. No point repeats before all others have appeared."""
    rounds = -(-count // len(points))
    order = np.concatenate([rng.permutation(len(points)) for _ in range(rounds)])
    return points[order[:count]]
