"""Levenberg-Marquardt damping of many independent problems at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["MarquardtDamping"]


@dataclass(frozen=True)
class MarquardtDamping:
    """Damping in proportion to the Hessian's diagonal; rises on rejection, falls on success.

    Attributes:
        initial: lambda of the first step.
        fall: factor after an accepted step.
        rise: factor after a rejected one.
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
        """Hessians (B, P, P) with lambda (B,) times their diagonals added."""
        diagonal = hessian.diagonal(dim1=-2, dim2=-1)
        return hessian + torch.diag_embed(damping.unsqueeze(-1) * diagonal)

    def update(self, damping: Tensor, accepted: Tensor) -> Tensor:
        """Next lambda (B,) after steps that were `accepted` (B,) or not."""
        return torch.where(accepted, damping * self.fall, damping * self.rise).clamp(
            self.floor, self.ceiling
        )
