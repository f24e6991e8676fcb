"""Priors of code, size and rotation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sdfpose_core.refine.state import ShapePose

__all__ = ["Priors", "RotationPrior"]


@dataclass(frozen=True)
class RotationPrior:
    """Rotation priors of B hypotheses.

    Attributes:
        rotation: (B, 3, 3) mean, decoder frame to camera frame.
        precision: (B, 2), inverse variances per component of the differences of the y axis and of
            the x axis from those of `rotation`; 0 for no prior.
    """

    rotation: Tensor
    precision: Tensor

    def __getitem__(self, index: Tensor | slice | int) -> RotationPrior:
        return RotationPrior(self.rotation[index], self.precision[index])

    @classmethod
    def cat(cls, parts: Sequence[RotationPrior]) -> RotationPrior:
        """Concatenate priors."""
        return cls(torch.cat([x.rotation for x in parts]), torch.cat([x.precision for x in parts]))

    def cost(self, rotation: Tensor) -> Tensor:
        """Weighted squared axis differences (B,) of rotations (B, 3, 3) from the mean."""
        difference = (rotation - self.rotation).square().sum(dim=1)
        return self.precision[:, 0] * difference[:, 1] + self.precision[:, 1] * difference[:, 0]

    def add_to(self, rotation: Tensor, hessian: Tensor, gradient: Tensor) -> None:
        """Add the prior to Hessians (B, P, P) and gradients (B, P), in place.

        The axis a = R e moves by R (w x e), so J^T J = I - e e^T and the gradient of half the
        squared difference from a0 is (R^T a0) x e.
        """
        of_y, of_x = self.precision.unbind(-1)
        expected = self.rotation.transpose(-1, -2) @ rotation  # row c: R^T of its column c
        x, y = expected[:, 0], expected[:, 1]
        gradient[:, 0] -= of_y * y[:, 2]
        gradient[:, 1] += of_x * x[:, 2]
        gradient[:, 2] += of_y * y[:, 0] - of_x * x[:, 1]
        hessian[:, 0, 0] += of_y
        hessian[:, 1, 1] += of_x
        hessian[:, 2, 2] += of_y + of_x


@dataclass(frozen=True)
class Priors:
    """Gaussian priors of code and log size, and optionally of the rotation.

    Shared by all hypotheses, or with a leading dimension B if each has its own.

    Attributes:
        code_mean: (D,) or (B, D).
        code_precision: (D, D) or (B, D, D), inverse covariance.
        log_scale_mean: () or (B,), natural logarithm of metres.
        log_scale_sd: () or (B,).
        rotation: rotation prior, None for none.
    """

    code_mean: Tensor
    code_precision: Tensor
    log_scale_mean: Tensor
    log_scale_sd: Tensor
    rotation: RotationPrior | None = None

    def __getitem__(self, index: Tensor | slice | int) -> Priors:
        return Priors(
            self.code_mean[index] if self.code_mean.ndim == 2 else self.code_mean,
            self.code_precision[index] if self.code_precision.ndim == 3 else self.code_precision,
            self.log_scale_mean[index] if self.log_scale_mean.ndim == 1 else self.log_scale_mean,
            self.log_scale_sd[index] if self.log_scale_sd.ndim == 1 else self.log_scale_sd,
            None if self.rotation is None else self.rotation[index],
        )

    @classmethod
    def stack(cls, priors: Sequence[Priors]) -> Priors:
        """Stack one prior per hypothesis; rotation priors are dropped."""
        return cls(
            torch.stack([x.code_mean for x in priors]),
            torch.stack([x.code_precision for x in priors]),
            torch.stack([x.log_scale_mean for x in priors]),
            torch.stack([x.log_scale_sd for x in priors]),
        )

    def expand(self, count: int) -> Priors:
        """Expand shared priors to `count` hypotheses."""
        length = self.code_mean.shape[-1]
        return replace(
            self,
            code_mean=self.code_mean.expand(count, -1),
            code_precision=self.code_precision.expand(count, length, length),
            log_scale_mean=self.log_scale_mean.expand(count),
            log_scale_sd=self.log_scale_sd.expand(count),
        )

    @classmethod
    def cat(cls, parts: Sequence[Priors]) -> Priors:
        """Concatenate per-hypothesis priors; rotation priors are kept if all parts have one."""
        rotations = [x.rotation for x in parts if x.rotation is not None]
        joined = len(rotations) == len(parts)
        return cls(
            torch.cat([x.code_mean for x in parts]),
            torch.cat([x.code_precision for x in parts]),
            torch.cat([x.log_scale_mean for x in parts]),
            torch.cat([x.log_scale_sd for x in parts]),
            RotationPrior.cat(rotations) if joined else None,
        )

    def to(self, device: torch.device) -> Priors:
        """Copy the priors of code and size to another device."""
        return Priors(
            self.code_mean.to(device),
            self.code_precision.to(device),
            self.log_scale_mean.to(device),
            self.log_scale_sd.to(device),
        )

    def shared(self, views: int) -> Priors:
        """Divide the priors among several views of one object."""
        return replace(
            self,
            code_precision=self.code_precision / views,
            log_scale_sd=math.sqrt(views) * self.log_scale_sd,
        )

    def cost(self, state: ShapePose) -> Tensor:
        """Squared Mahalanobis distances (B,) of code, log size and rotation."""
        d = state.codes - self.code_mean
        e = (state.similarity.scale.log() - self.log_scale_mean) / self.log_scale_sd
        cost = (_times(d, self.code_precision) * d).sum(-1) + e.square()
        if self.rotation is not None:
            cost = cost + self.rotation.cost(state.similarity.rotation)
        return cost

    def add_to(self, state: ShapePose, hessian: Tensor, gradient: Tensor) -> None:
        """Add the priors to Hessians (B, P, P) and gradients (B, P), in place."""
        hessian[:, 7:, 7:] += self.code_precision
        gradient[:, 7:] += _times(state.codes - self.code_mean, self.code_precision)
        weight = 1.0 / self.log_scale_sd**2
        hessian[:, 6, 6] += weight
        gradient[:, 6] += (state.similarity.scale.log() - self.log_scale_mean) * weight
        if self.rotation is not None:
            self.rotation.add_to(state.similarity.rotation, hessian, gradient)


def _times(vectors: Tensor, matrices: Tensor) -> Tensor:
    """Multiply vectors (B, D) by a symmetric matrix (D, D), or by one matrix each (B, D, D)."""
    return (vectors.unsqueeze(1) @ matrices).squeeze(1)
