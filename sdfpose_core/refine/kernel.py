"""Robust losses of normalised residuals, for iteratively reweighted least squares."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["GemanMcClureKernel"]


@dataclass(frozen=True)
class GemanMcClureKernel:
    """rho(r) = r^2 / (1 + (r / c)^2), after Geman and McClure (1987).

    The loss is bounded by c^2: the cost of background that leaks into a mask does not grow with its
    distance, so the shape is not inflated to reach it.

    Attributes:
        width: c, in standard deviations.
    """

    width: float = 3.0

    def loss(self, squared: Tensor) -> Tensor:
        """Evaluate rho for squared normalised residuals; same shape."""
        return squared / (1.0 + squared / self.width**2)

    def weight(self, squared: Tensor) -> Tensor:
        """Derivative d rho / d r^2: the weight in the normal equations."""
        return (1.0 + squared / self.width**2).square().reciprocal()
