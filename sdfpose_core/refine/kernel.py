"""Robust losses of normalised residuals, for iteratively reweighted least squares."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["GemanMcClureKernel"]


@dataclass(frozen=True)
class GemanMcClureKernel:
    """rho(r) = r^2 / (1 + (r / c)^2), after Geman and McClure (1987).

    The loss is bounded by c^2: background that leaks into a mask costs a hypothesis the same
    whatever its distance, so no shape is inflated to reach it.

    Attributes:
        width: c, in standard deviations.
    """

    width: float = 3.0

    def loss(self, squared: Tensor) -> Tensor:
        """Rho of squared normalised residuals, of the same shape."""
        return squared / (1.0 + squared / self.width**2)

    def weight(self, squared: Tensor) -> Tensor:
        """The derivative d rho / d r^2: weight of residual and Jacobian in the equations."""
        return (1.0 + squared / self.width**2).square().reciprocal()
