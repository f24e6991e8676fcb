"""Points of decoded surfaces, which free space is tested at."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from sdfpose_core.sdf.joint_decoder import JointDecoder, of_rows, repeats
from sdfpose_core.sdf.shape_decoder import ShapeDecoder, newton_direction

__all__ = ["carried", "surface_anchors"]

_BALL_RADIUS = 0.51
"""Object units: this ball holds every shape."""

_CANDIDATES_PER_ANCHOR = 8


def surface_anchors(decoder: ShapeDecoder | JointDecoder, codes: Tensor, count: int) -> Tensor:
    """Points (B, count, 3), object units, on or near the decoded surfaces of codes (B, D).

    Evenly spread, and so are the first of them: those of a lattice with the least |f| fill a shell
    about the surface, and are carried onto it. Equal codes in a row are decoded once.
    """
    new = ~repeats(decoder, codes)
    decoder, distinct = of_rows(decoder, new), codes[new]
    lattice = _lattice(_CANDIDATES_PER_ANCHOR * count).to(codes).expand(len(distinct), -1, -1)
    nearest = decoder(lattice, distinct).abs().topk(count, dim=1, largest=False, sorted=False)
    chosen = nearest.indices.sort(dim=1).values
    points = lattice.gather(1, chosen.unsqueeze(-1).expand(-1, -1, 3))
    return carried(decoder, distinct, points)[new.cumsum(0) - 1]


def carried(decoder: ShapeDecoder | JointDecoder, codes: Tensor, points: Tensor) -> Tensor:
    """Points (B, N, 3), object units, near the decoded surfaces of codes (B, D), taken onto them.

    By one step of Newton's; those of other surfaces than these stay near.
    """
    f, d_q = decoder.value_and_gradient(points, codes)
    return points - f.unsqueeze(-1) * newton_direction(d_q)


@lru_cache(maxsize=8)
def _lattice(count: int) -> Tensor:
    """Quasi-random points (1, N, 3) in the ball that holds every shape."""
    cube = torch.quasirandom.SobolEngine(3).draw(2 * count) - 0.5
    points = 2.0 * _BALL_RADIUS * cube
    return points[points.norm(dim=-1) < _BALL_RADIUS][:count].unsqueeze(0)
