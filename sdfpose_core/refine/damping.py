"""Levenberg-Marquardt damping for a batch of independent problems."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["MarquardtDamping"]


@dataclass(frozen=True)
class MarquardtDamping:
    """Damping proportional to the Hessian's diagonal; rises on rejection, falls on success.

    Attributes:
        initial: lambda of the first step.
        fall: factor on lambda after an accepted step.
        rise: factor on lambda after a rejected step.
        floor, ceiling: bounds of lambda.
    """

    initial: float = 1e-2
    fall: float = 0.25
    rise: float = 8.0
    floor: float = 1e-6
    ceiling: float = 1e6

    def start(self, like: Tensor) -> Tensor:
        """Initial lambda (B,) for costs `like` (B,)."""
        return torch.full_like(like, self.initial)

    def apply(self, hessian: Tensor, damping: Tensor) -> Tensor:
        """Add lambda (B,) times the diagonal to Hessians (B, P, P)."""
        diagonal = hessian.diagonal(dim1=-2, dim2=-1)
        return hessian + torch.diag_embed(damping.unsqueeze(-1) * diagonal)

    def update(self, damping: Tensor, accepted: Tensor) -> Tensor:
        """Next lambda (B,) after steps that were accepted or rejected, `accepted` (B,)."""
        return torch.where(accepted, damping * self.fall, damping * self.rise).clamp(
            self.floor, self.ceiling
        )
