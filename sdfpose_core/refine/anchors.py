"""Points of decoded surfaces, which free space is tested at."""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache

import torch
from torch import Tensor

from sdfpose_core.sdf.shape_decoder import ShapeDecoder, newton_direction

__all__ = ["AnchorMemory", "surface_anchors"]

_BALL_RADIUS = 0.51
"""Object units: this ball holds every shape."""

_CANDIDATES_PER_ANCHOR = 8

_REMEMBERED = 64


def surface_anchors(decoder: ShapeDecoder, codes: Tensor, count: int) -> Tensor:
    """Points (B, count, 3), object units, on or near the decoded surfaces of codes (B, D).

    Evenly spread: those of a lattice with the least |f| fill a shell about the surface, and are
    carried onto it.
    """
    lattice = _lattice(_CANDIDATES_PER_ANCHOR * count).to(codes).expand(len(codes), -1, -1)
    chosen = decoder(lattice, codes).abs().topk(count, dim=1, largest=False).indices
    points = lattice.gather(1, chosen.unsqueeze(-1).expand(-1, -1, 3))
    f, d_q = decoder.value_and_gradient(points, codes)
    return points - f.unsqueeze(-1) * newton_direction(d_q)


class AnchorMemory:
    """Remembers the anchors of the last codes: a tracked object keeps its code.

    Args:
        decoder: the category's decoder.
        count: of the anchors of each code.
    """

    def __init__(self, decoder: ShapeDecoder, count: int) -> None:
        self._decoder = decoder
        self._count = count
        self._known: OrderedDict[bytes, Tensor] = OrderedDict()

    def __call__(self, codes: Tensor) -> Tensor:
        """Anchors (B, count, 3), object units, of codes (B, D)."""
        return torch.cat([self._of(code) for code in codes])

    def _of(self, code: Tensor) -> Tensor:
        key = code.cpu().numpy().tobytes()
        if key not in self._known:
            self._known[key] = surface_anchors(self._decoder, code.unsqueeze(0), self._count)
        self._known.move_to_end(key)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return self._known[key]


@lru_cache(maxsize=8)
def _lattice(count: int) -> Tensor:
    """Quasi-random points (1, N, 3) in the ball that holds every shape."""
    cube = torch.quasirandom.SobolEngine(3).draw(2 * count) - 0.5
    points = 2.0 * _BALL_RADIUS * cube
    return points[points.norm(dim=-1) < _BALL_RADIUS][:count].unsqueeze(0)
