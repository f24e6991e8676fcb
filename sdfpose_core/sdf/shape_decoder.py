"""What every decoder of signed distances offers, whatever its network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from sdfpose_core.errors import ShapeError

__all__ = [
    "ShapeDecoder",
    "check_arguments",
    "code_statistics",
    "in_pieces",
    "newton_direction",
]

_CHUNK_POINTS, _CHUNK_POINTS_PER_THREAD = 2048, 1536
"""Points evaluated at once on a CPU, at least, and for each thread: activations of so many stay in
the second-level cache."""

_LEAST_SLOPE_SQ = 0.25
"""Least squared norm of a gradient that is divided by."""


class ShapeDecoder(Protocol):
    """Signed distance f(q; z), normalised object units, negative inside.

    Points are (B, N, 3), normalised object units; codes (B, D). Arguments of other shapes raise a
    `ShapeError`.
    """

    code_mean: Tensor
    """(D,) mean of the training shapes' codes."""

    code_covariance: Tensor
    """(D, D) their covariance."""

    @property
    def reach(self) -> float:
        """Object units: how far from the surface values are distances; beyond, they are larger."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""

    def __call__(self, points: Tensor, codes: Tensor) -> Tensor:
        """Signed distances (B, N)."""

    def value_and_gradient(self, points: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """F (B, N) and df/dpoints (B, N, 3)."""

    def value_and_jacobian(self, points: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """F (B, N), df/dpoints (B, N, 3) and df/dcodes (B, N, D)."""


def check_arguments(points: Tensor, codes: Tensor, code_length: int) -> None:
    """Refuse points that are not (B, N, 3) and codes that are not (B, D).

    Raises:
        ShapeError: they are not.
    """
    if points.ndim != 3 or points.shape[-1] != 3:
        raise ShapeError(f"points has shape {tuple(points.shape)}: expected (B, N, 3)")
    expected = (points.shape[0], code_length)
    if codes.shape != expected:
        raise ShapeError(f"codes has shape {tuple(codes.shape)}: expected {expected}")


def in_pieces(
    function: Callable[[Tensor, Tensor], tuple[Tensor, ...]], points: Tensor, codes: Tensor
) -> tuple[Tensor, ...]:
    """Apply a function of (B, N, 3) points and (B, D) codes in pieces that fit the cache.

    While gradients are recorded, and on a GPU, everything is done at once.
    """
    batch, count = points.shape[:2]
    most = max(_CHUNK_POINTS, _CHUNK_POINTS_PER_THREAD * torch.get_num_threads())
    if points.device.type != "cpu" or torch.is_grad_enabled() or batch * count <= most:
        return function(points, codes)
    if batch == 1:
        pieces = [function(part, codes) for part in points.split(most, dim=1)]
        return tuple(torch.cat(parts, dim=1) for parts in zip(*pieces, strict=True))
    size = max(1, most // count)
    pieces = [function(p, z) for p, z in zip(points.split(size), codes.split(size), strict=True)]
    return tuple(torch.cat(parts) for parts in zip(*pieces, strict=True))


def newton_direction(gradient: Tensor) -> Tensor:
    """Grad f / |grad f|^2 of gradients (..., 3): q - f times it is nearly on the surface."""
    return gradient / gradient.square().sum(-1, keepdim=True).clamp(min=_LEAST_SLOPE_SQ)


def code_statistics(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) and covariance (D, D) of the codes (S, D) of training shapes."""
    covariance = torch.cov(codes.T)
    # Fewer shapes than twice the code's length: what they do not tell is taken for isotropic.
    count, length = codes.shape
    share = max(0.0, 1.0 - count / (2.0 * length))
    isotropic = covariance.diagonal().mean() * torch.eye(length, device=codes.device)
    return codes.mean(0), torch.lerp(covariance, isotropic, share)
