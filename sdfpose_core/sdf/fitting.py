"""Fit latent codes to known shapes by Gauss-Newton on signed distances."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sdfpose_core.errors import ShapeError
from sdfpose_core.sdf.shape_decoder import ShapeDecoder

__all__ = ["Distances", "fit_codes"]

_EFFECTIVE_POINTS = 200.0
"""Number of independent measurements that all points of one kind (values or bounds) count as."""

_INITIAL_WIDTH = 16.0
"""Kernel width at the first iteration, relative to the final width."""


@dataclass(frozen=True)
class Distances:
    """Known signed distances of B shapes.

    Attributes:
        points: (B, N, 3), normalised object units.
        sdf: (B, N), normalised object units; 0 for points on a surface.
        bound: (B, N) bool, True where `sdf` is only a bound: a lower one, e.g. 0 for points in
            free space, or an upper one if it is negative; None if there are no bounds.
    """

    points: Tensor
    sdf: Tensor
    bound: Tensor | None = None

    def __post_init__(self) -> None:
        batch = self.points.shape[:-1]
        if self.points.shape[-1] != 3 or self.sdf.shape != batch:
            raise ShapeError(
                f"points and sdf have shapes {tuple(self.points.shape)} and "
                f"{tuple(self.sdf.shape)}: expected (B, N, 3) and (B, N)"
            )
        if self.bound is not None and self.bound.shape != batch:
            raise ShapeError(f"bound has shape {tuple(self.bound.shape)}: expected {tuple(batch)}")

    def within(self, reach: float) -> Distances:
        """Replace distances beyond a decoder's reach by bounds, at the reach.

        The decoder's values there are true in sign only. For an infinite reach, nothing changes.
        """
        if math.isinf(reach):
            return self
        beyond = self.sdf.abs() > reach
        bound = beyond if self.bound is None else beyond | self.bound
        return Distances(self.points, self.sdf.clamp(-reach, reach), bound)

    def residual(self, value: Tensor) -> Tensor:
        """Residuals (B, N) of decoded values (B, N); 0 where a bound is satisfied."""
        difference = value - self.sdf
        if self.bound is None:
            return difference
        one_sided = torch.where(
            self.sdf < 0.0, difference.clamp(min=0.0), difference.clamp(max=0.0)
        )
        return torch.where(self.bound, one_sided, difference)

    def weight(self) -> Tensor:
        """Weights (B, N); values and bounds have the same total weight."""
        if self.bound is None:
            return torch.full_like(self.sdf, _EFFECTIVE_POINTS / self.sdf.shape[1])
        bound = self.bound.to(self.sdf)
        share = bound / bound.sum(-1, keepdim=True).clamp(min=1.0)
        share = share + (1.0 - bound) / (1.0 - bound).sum(-1, keepdim=True).clamp(min=1.0)
        return _EFFECTIVE_POINTS * share


@torch.no_grad()
def fit_codes(
    decoder: ShapeDecoder,
    known: Distances,
    *,
    iterations: int = 20,
    noise: float = 0.004,
) -> Tensor:
    """Fit latent codes to signed distances under the prior of the training codes.

    Minimises the weighted sum over points of log(1 + (r / noise)^2), r = f(q; z) - sdf, plus the
    squared Mahalanobis distance of z from the prior, by damped Gauss-Newton (Cauchy kernel). The
    kernel starts wide and narrows during the first half of the iterations (graduated
    non-convexity, Blake and Zisserman 1987). Otherwise parts far from the mean shape, such as a
    foot or a handle, would count as outliers.

    Args:
        decoder: decoder of the category.
        known: signed distances of B shapes.
        iterations: Gauss-Newton steps.
        noise: object units; standard deviation of the residuals.

    Returns:
        (B, D) codes.
    """
    known = known.within(decoder.reach)
    weight = known.weight()
    precision = torch.linalg.inv(decoder.code_covariance)
    mean = decoder.code_mean
    codes = mean.expand(len(weight), -1).clone()
    damping = codes.new_full((len(weight), 1, 1), 1e-3)
    eye = torch.eye(codes.shape[-1], dtype=codes.dtype, device=codes.device)

    def cost(residual: Tensor, z: Tensor) -> Tensor:
        data = (weight * torch.log1p(residual.square())).sum(-1)
        return data + ((z - mean) @ precision * (z - mean)).sum(-1)

    value, _, jacobian = decoder.value_and_jacobian(known.points, codes)
    for k in range(iterations):
        width = noise * _INITIAL_WIDTH ** max(0.0, 1.0 - 2.0 * k / iterations)
        residual = known.residual(value) / width
        robust = weight / (1.0 + residual.square())
        if known.bound is not None:
            robust = robust * (~known.bound | (residual != 0.0))
        j = jacobian / width
        jt_w = j.transpose(1, 2) * robust.unsqueeze(1)
        gradient = (jt_w @ residual.unsqueeze(-1)).squeeze(-1) + (codes - mean) @ precision
        hessian = jt_w @ j + precision
        scale = hessian.diagonal(dim1=1, dim2=2).mean(-1)[:, None, None]
        trial = codes - torch.linalg.solve(hessian + damping * scale * eye, gradient)
        new_value, _, new_jacobian = decoder.value_and_jacobian(known.points, trial)
        better = cost(known.residual(new_value) / width, trial) < cost(residual, codes)
        codes = torch.where(better[:, None], trial, codes)
        value = torch.where(better[:, None], new_value, value)
        jacobian = torch.where(better[:, None, None], new_jacobian, jacobian)
        damping = torch.where(better[:, None, None], damping * 0.3, damping * 10.0)
    return codes
