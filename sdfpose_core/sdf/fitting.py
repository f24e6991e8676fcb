"""Latent codes of known shapes: Gauss-Newton on signed distances."""

from __future__ import annotations

import torch
from torch import Tensor

from sdfpose_core.sdf.decoder import SdfDecoder

__all__ = ["fit_codes"]


@torch.no_grad()
def fit_codes(
    decoder: SdfDecoder,
    points: Tensor,
    sdf: Tensor,
    *,
    iterations: int = 20,
    noise: float = 0.004,
) -> Tensor:
    """Codes that explain signed distances best under the prior of the training codes.

    Minimises sum over points of rho((f(q; z) - sdf) / noise)^2 / N * 200 plus the squared
    Mahalanobis distance of z from the prior, by damped Gauss-Newton with Cauchy weights.

    Args:
        decoder: the category's decoder.
        points: (B, N, 3), normalised object units.
        sdf: (B, N), normalised object units; 0 for points on a surface.
        iterations: Gauss-Newton steps.
        noise: object units; standard deviation that a residual is measured by.

    Returns:
        (B, D) codes.
    """
    effective_points = 200.0
    precision = torch.linalg.inv(decoder.code_covariance)
    mean = decoder.code_mean
    codes = mean.expand(points.shape[0], -1).clone()
    damping = torch.full((points.shape[0], 1, 1), 1e-3, dtype=points.dtype, device=points.device)
    eye = torch.eye(codes.shape[-1], dtype=points.dtype, device=points.device)

    def cost(value: Tensor, z: Tensor) -> Tensor:
        data = torch.log1p(((value - sdf) / noise) ** 2).mean(-1) * effective_points
        return data + ((z - mean) @ precision * (z - mean)).sum(-1)

    value, _, jacobian = decoder.value_and_jacobian(points, codes)
    current = cost(value, codes)
    for _ in range(iterations):
        residual = (value - sdf) / noise
        weight = 1.0 / (1.0 + residual**2) * (effective_points / points.shape[1])
        j = jacobian / noise
        jt_w = j.transpose(1, 2) * weight.unsqueeze(1)
        hessian = jt_w @ j + precision
        gradient = (jt_w @ residual.unsqueeze(-1)).squeeze(-1) + (codes - mean) @ precision
        scale = hessian.diagonal(dim1=1, dim2=2).mean(-1)[:, None, None]
        step = torch.linalg.solve(hessian + damping * scale * eye, gradient)
        trial = codes - step
        trial_value, _, trial_jacobian = decoder.value_and_jacobian(points, trial)
        trial_cost = cost(trial_value, trial)
        better = trial_cost < current
        codes = torch.where(better[:, None], trial, codes)
        value = torch.where(better[:, None], trial_value, value)
        jacobian = torch.where(better[:, None, None], trial_jacobian, jacobian)
        current = torch.where(better, trial_cost, current)
        damping = torch.where(better[:, None, None], damping * 0.3, damping * 10.0)
    return codes
