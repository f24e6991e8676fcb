"""Encoder predictions: pose hypotheses, size and latent code, each with its uncertainty.

The hypotheses are the modes of a mixture. Each mode has a weight and spreads, so the prediction
assigns a likelihood to every pose.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sdfpose_core.geometry.similarity import Similarity

__all__ = ["Encoding", "ShapeSpread"]


@dataclass(frozen=True)
class ShapeSpread:
    """Predicted uncertainty of the size and latent code of B instances.

    Attributes:
        code_axes: (D, D), orthonormal columns: directions along which code errors are independent.
        log_code: (B, D), natural logarithms of the standard deviations along these axes.
        log_size: (B,), natural logarithm of the Laplace spread of the log size.
    """

    code_axes: Tensor
    log_code: Tensor
    log_size: Tensor

    @property
    def code_precision(self) -> Tensor:
        """Inverse covariances of the codes, (B, D, D)."""
        return (self.code_axes * (-2.0 * self.log_code).exp().unsqueeze(1)) @ self.code_axes.T

    @property
    def log_size_sd(self) -> Tensor:
        """Standard deviations of the log sizes, (B,)."""
        return math.sqrt(2.0) * self.log_size.exp()


@dataclass(frozen=True)
class Encoding:
    """Network prediction for B instances.

    Attributes:
        similarity: (B, K) hypotheses, decoder frame to camera frame, metres.
        logits: (B, K) unnormalised log weights of the mixture.
        log_spread: (B, K, 3), natural logarithms of the spreads of the y axis, the x axis (lengths
            of differences of unit vectors) and the translation (in the network's unit).
        codes: (B, D) latent codes.
        shape_spread: uncertainty of size and code; None if the network does not predict it.
    """

    similarity: Similarity
    logits: Tensor
    log_spread: Tensor
    codes: Tensor
    shape_spread: ShapeSpread | None = None

    def __getitem__(self, index: slice | Tensor) -> Encoding:
        spread = self.shape_spread
        return Encoding(
            self.similarity[index],
            self.logits[index],
            self.log_spread[index],
            self.codes[index],
            None
            if spread is None
            else ShapeSpread(spread.code_axes, spread.log_code[index], spread.log_size[index]),
        )

    @property
    def most_likely(self) -> Similarity:
        """The hypotheses with the largest weight, (B,)."""
        rows = torch.arange(len(self.logits), device=self.logits.device)
        return self.similarity[rows, self.logits.argmax(dim=1)]

    def poses(self, device: torch.device) -> Encoding:
        """Copy to another device, without the uncertainty of size and code."""
        return Encoding(
            self.similarity.to(device),
            self.logits.to(device),
            self.log_spread.to(device),
            self.codes.to(device),
        )

    @classmethod
    def cat(cls, parts: Sequence[Encoding]) -> Encoding:
        """Concatenate predictions, without the uncertainty of size and code."""
        return cls(
            Similarity.cat([x.similarity for x in parts]),
            torch.cat([x.logits for x in parts]),
            torch.cat([x.log_spread for x in parts]),
            torch.cat([x.codes for x in parts]),
        )

    def log_density(self, rotation: Tensor, has_front: bool | Tensor) -> Tensor:
        """Log densities (B, M) of rotations under the mixture, up to a constant.

        A mixture of Laplace densities of the axis errors. Translations are ignored: the refinement
        determines them better.

        Args:
            rotation: (B, M, 3, 3), decoder frame to camera frame.
            has_front: whether the x axis counts; one value for all instances, or (B,).
        """
        return self._log_densities(rotation, has_front).logsumexp(dim=2)

    def most_likely_mode(self, rotation: Tensor, has_front: bool | Tensor) -> Tensor:
        """Index (B,) of the hypothesis that most likely generated each rotation.

        Args:
            rotation: (B, 3, 3), decoder frame to camera frame.
            has_front: whether the x axis counts; one value for all instances, or (B,).
        """
        return self._log_densities(rotation.unsqueeze(1), has_front).squeeze(1).argmax(dim=1)

    def _log_densities(self, rotation: Tensor, has_front: bool | Tensor) -> Tensor:
        """Weighted log densities (B, M, K) of rotations (B, M, 3, 3) under each hypothesis."""
        difference = rotation.unsqueeze(2) - self.similarity.rotation.unsqueeze(1)
        spread = self.log_spread.unsqueeze(1)
        exponent = _laplace(difference[..., :, 1].norm(dim=-1), spread[..., 0], 2.0)
        front = _laplace(difference[..., :, 0].norm(dim=-1), spread[..., 1], 1.0)
        counts = torch.as_tensor(has_front, dtype=front.dtype, device=front.device)
        exponent = exponent + counts.view(-1, 1, 1) * front
        return self.logits.log_softmax(dim=1).unsqueeze(1) - exponent

    @property
    def axis_variance(self) -> Tensor:
        """Variances (B, K, 2) per component of the y axis and of the x axis.

        A Laplace density with spread b has variance 3 b^2 in two dimensions and 2 b^2 in one.
        """
        return self.log_spread.new_tensor([3.0, 2.0]) * (2.0 * self.log_spread[..., :2]).exp()

    def negative_log_likelihood(
        self, y_error: Tensor, x_error: Tensor, t_error: Tensor, symmetric: Tensor
    ) -> Tensor:
        """Negative log likelihood (B,) of the true poses.

        Args:
            y_error: (B, K), lengths of the differences of the y axes.
            x_error: (B, K), the same for the x axes.
            t_error: (B, K), translation errors in the network's unit.
            symmetric: (B,) bool; ignore the x axis where true.
        """
        spread = self.log_spread
        exponent = _laplace(y_error, spread[..., 0], 2.0) + _laplace(t_error, spread[..., 2], 3.0)
        front = _laplace(x_error, spread[..., 1], 1.0)
        exponent = exponent + torch.where(symmetric.unsqueeze(1), 0.0, front)
        return -(self.logits.log_softmax(dim=1) - exponent).logsumexp(dim=1)


def _laplace(error: Tensor, log_spread: Tensor, dimensions: float) -> Tensor:
    """Minus the logarithm of exp(-error / b) / b^dimensions, with b = exp(log_spread)."""
    return error * (-log_spread).exp() + dimensions * log_spread
