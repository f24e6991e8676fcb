"""Joint decoder for shapes of several categories in one batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sdfpose_core.sdf.shape_decoder import ShapeDecoder

__all__ = ["JointDecoder", "of_rows", "repeats"]


class JointDecoder:
    """Evaluate B rows, each with the decoder of its own category.

    Args:
        decoders: decoders with equal code length.
        of_row: (B,) integer, ascending: index of each row's decoder.
    """

    def __init__(self, decoders: Sequence[ShapeDecoder], of_row: Tensor) -> None:
        self._decoders = decoders
        self.of_row = of_row
        self._counts = torch.bincount(of_row, minlength=len(decoders)).tolist()

    def __getitem__(self, index: Tensor) -> JointDecoder:
        """Select rows by ascending indices or by a mask (B,)."""
        return JointDecoder(self._decoders, self.of_row[index])

    def __call__(self, points: Tensor, codes: Tensor) -> Tensor:
        """Compute f for points (B, N, 3) and codes (B, D), see `ShapeDecoder`."""
        return self._evaluate(lambda decoder, *x: (decoder(*x),), points, codes)[0]

    def value_and_gradient(self, points: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Compute f and df/dpoints for points (B, N, 3) and codes (B, D), see `ShapeDecoder`."""
        value, d_point = self._evaluate(lambda x, *y: x.value_and_gradient(*y), points, codes)
        return value, d_point

    def value_and_jacobian(self, points: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute f and both derivatives for points (B, N, 3) and codes (B, D)."""
        value, d_point, d_code = self._evaluate(
            lambda x, *y: x.value_and_jacobian(*y), points, codes
        )
        return value, d_point, d_code

    def _evaluate(
        self,
        function: Callable[[ShapeDecoder, Tensor, Tensor], tuple[Tensor, ...]],
        points: Tensor,
        codes: Tensor,
    ) -> tuple[Tensor, ...]:
        """Apply `function` to each decoder and its rows, and concatenate the results."""
        parts = [
            function(decoder, p, z)
            for decoder, p, z in zip(
                self._decoders, points.split(self._counts), codes.split(self._counts), strict=True
            )
            if len(p) > 0
        ]
        return parts[0] if len(parts) == 1 else tuple(map(torch.cat, zip(*parts, strict=True)))


def of_rows(decoder: ShapeDecoder | JointDecoder, index: Tensor) -> ShapeDecoder | JointDecoder:
    """Return the decoder of some rows, given by ascending indices or by a mask (B,)."""
    return decoder[index] if isinstance(decoder, JointDecoder) else decoder


def repeats(decoder: ShapeDecoder | JointDecoder, codes: Tensor) -> Tensor:
    """Whether each row (B,) has the same shape as the previous row, given all codes (B, D)."""
    same = torch.zeros(len(codes), dtype=torch.bool, device=codes.device)
    same[1:] = (codes[1:] == codes[:-1]).all(dim=1)
    if isinstance(decoder, JointDecoder):
        same[1:] &= decoder.of_row[1:] == decoder.of_row[:-1]
    return same
