"""Common interface of all signed distance decoders."""

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
    "in_chunks",
    "newton_direction",
]

_CHUNK_POINTS, _CHUNK_POINTS_PER_THREAD = 2048, 1536
"""Points evaluated at once on a CPU: at least, and per thread. Their activations fit into the
second-level cache."""

_MIN_SLOPE_SQ = 0.25
"""Lower limit of a squared gradient norm used as a divisor."""


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
        """Distance from the surface, object units, up to which values are true distances.

        Farther away, values have the right sign and are nowhere nearer to 0 than the reach.
        """

    @property
    def device(self) -> torch.device:
        """Device of the weights."""

    def __call__(self, points: Tensor, codes: Tensor) -> Tensor:
        """Compute f (B, N)."""

    def value_and_gradient(self, points: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Compute f (B, N) and df/dpoints (B, N, 3)."""

    def value_and_jacobian(self, points: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute f (B, N), df/dpoints (B, N, 3) and df/dcodes (B, N, D)."""


def check_arguments(points: Tensor, codes: Tensor, code_length: int) -> None:
    """Check that points are (B, N, 3) and codes (B, D).

    Raises:
        ShapeError: an argument has the wrong shape.
    """
    if points.ndim != 3 or points.shape[-1] != 3:
        raise ShapeError(f"points has shape {tuple(points.shape)}: expected (B, N, 3)")
    expected = (points.shape[0], code_length)
    if codes.shape != expected:
        raise ShapeError(f"codes has shape {tuple(codes.shape)}: expected {expected}")


def in_chunks(
    function: Callable[[Tensor, Tensor], tuple[Tensor, ...]], points: Tensor, codes: Tensor
) -> tuple[Tensor, ...]:
    """Apply a function of points (B, N, 3) and codes (B, D) in chunks that fit the CPU cache.

    On a GPU, or if gradients are recorded, the function is applied at once.
    """
    batch, count = points.shape[:2]
    limit = max(_CHUNK_POINTS, _CHUNK_POINTS_PER_THREAD * torch.get_num_threads())
    if points.device.type != "cpu" or torch.is_grad_enabled() or batch * count <= limit:
        return function(points, codes)
    if batch == 1:
        pieces = [function(part, codes) for part in points.split(limit, dim=1)]
        return tuple(torch.cat(parts, dim=1) for parts in zip(*pieces, strict=True))
    size = max(1, limit // count)
    pieces = [function(p, z) for p, z in zip(points.split(size), codes.split(size), strict=True)]
    return tuple(torch.cat(parts) for parts in zip(*pieces, strict=True))


def newton_direction(gradient: Tensor) -> Tensor:
    """Newton direction d = grad f / |grad f|^2 of gradients (..., 3).

    The point q - f d is nearly on the surface.
    """
    return gradient / gradient.square().sum(-1, keepdim=True).clamp(min=_MIN_SLOPE_SQ)


def code_statistics(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Compute mean (D,) and covariance (D, D) of the codes (S, D) of training shapes."""
    covariance = torch.cov(codes.T)
    # With fewer shapes than twice the code length, shrink towards an isotropic covariance.
    count, length = codes.shape
    share = max(0.0, 1.0 - count / (2.0 * length))
    isotropic = covariance.diagonal().mean() * torch.eye(length, device=codes.device)
    return codes.mean(0), torch.lerp(covariance, isotropic, share)
