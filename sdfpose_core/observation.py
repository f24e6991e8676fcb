"""What the refinement is given of an instance: a choice of its points and rays, and their noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sdfpose_core.categories import Category
from sdfpose_core.frame import Instance
from sdfpose_core.refine.residuals import Evidence

__all__ = ["observe", "resample", "supports"]

_DEPTH_SD_M, _DEPTH_SD_PER_M = 0.001, 0.0015
"""Noise of a structured-light or stereo camera at depth z: 1 mm + 1.5 mm (z / m)^2."""

_MODEL_SD_SHARE = 0.006
"""Of the category's median diagonal: what decoded shapes fall short of real ones by."""


def observe(
    instances: Sequence[Instance],
    category: Category,
    *,
    surface_points: int,
    beyond_points: int,
    rngs: Sequence[np.random.Generator],
    device: torch.device,
) -> Evidence:
    """Evidence of B instances of one category.

    Args:
        instances: with at least one point each.
        category: theirs.
        surface_points: observed points to take of each; small instances repeat theirs.
        beyond_points: rays past its silhouette to take of each.
        rngs: of the choice, one for each instance.
        device: of the tensors.
    """
    surface, beyond, weight = [], [], []
    for instance, rng in zip(instances, rngs, strict=True):
        surface.append(resample(instance.points, surface_points, rng))
        seen = len(instance.beyond) > 0
        beyond.append(resample(instance.beyond if seen else instance.points, beyond_points, rng))
        weight.append(np.full(beyond_points, float(seen), dtype=np.float32))
    points = torch.from_numpy(np.stack(surface)).to(device)
    depth_sd = _DEPTH_SD_M + _DEPTH_SD_PER_M * points[..., 2].square()
    model_sd = _MODEL_SD_SHARE * category.diagonal_m
    return Evidence(
        points,
        (depth_sd.square() + model_sd**2).sqrt(),
        torch.from_numpy(np.stack(beyond)).to(device),
        torch.from_numpy(np.stack(weight)).to(device),
        supports(instances, device),
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
