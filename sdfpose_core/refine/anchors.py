"""Points on decoded surfaces for the free space test."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from sdfpose_core.sdf.joint_decoder import JointDecoder, of_rows, repeats
from sdfpose_core.sdf.shape_decoder import ShapeDecoder, newton_direction

__all__ = ["project_to_surface", "surface_anchors"]

_BALL_RADIUS = 0.51
"""Object units: radius of a ball that contains every shape."""

_CANDIDATES_PER_ANCHOR = 8


def surface_anchors(decoder: ShapeDecoder | JointDecoder, codes: Tensor, count: int) -> Tensor:
    """Sample points (B, count, 3), object units, on or near the decoded surfaces of codes (B, D).

    The lattice points with the smallest |f| fill a shell around the surface and are projected onto
    it. They are evenly spread, and so is any leading part of them. Consecutive equal codes are
    decoded once.
    """
    new = ~repeats(decoder, codes)
    decoder, distinct = of_rows(decoder, new), codes[new]
    lattice = _lattice(_CANDIDATES_PER_ANCHOR * count).to(codes).expand(len(distinct), -1, -1)
    nearest = decoder(lattice, distinct).abs().topk(count, dim=1, largest=False, sorted=False)
    chosen = nearest.indices.sort(dim=1).values
    points = lattice.gather(1, chosen.unsqueeze(-1).expand(-1, -1, 3))
    return project_to_surface(decoder, distinct, points)[new.cumsum(0) - 1]


def project_to_surface(
    decoder: ShapeDecoder | JointDecoder, codes: Tensor, points: Tensor
) -> Tensor:
    """Project points (B, N, 3), object units, onto nearby decoded surfaces of codes (B, D).

    Takes one Newton step, so points farther away end near the surface, not on it.
    """
    f, d_q = decoder.value_and_gradient(points, codes)
    return points - f.unsqueeze(-1) * newton_direction(d_q)


@lru_cache(maxsize=8)
def _lattice(count: int) -> Tensor:
    """Quasi-random points (1, N, 3) in the ball that contains every shape."""
    cube = torch.quasirandom.SobolEngine(3).draw(2 * count) - 0.5
    points = 2.0 * _BALL_RADIUS * cube
    return points[points.norm(dim=-1) < _BALL_RADIUS][:count].unsqueeze(0)
