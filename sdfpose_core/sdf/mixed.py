"""Decoders of several categories in one batch: each object has its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sdfpose_core.errors import ShapeError
from sdfpose_core.sdf.decoder import Layer, SdfDecoder, SdfLayers
from sdfpose_core.sdf.shape_decoder import ShapeDecoder, check_arguments

__all__ = ["MixedDecoder", "mixable"]


def mixable(decoder: ShapeDecoder) -> object:
    """Decoders for which this is equal can be mixed; None for those that cannot at all."""
    return (decoder.config, decoder.device) if isinstance(decoder, SdfDecoder) else None


class MixedDecoder:
    """A `ShapeDecoder` whose b-th object is decoded by the b-th of B decoders.

    The weights stand side by side, so that one product of B small matrices takes the place of B
    calls: most of the time of a call with some hundred points is not arithmetic.

    Args:
        decoders: of one architecture, see `mixable`.

    Raises:
        ShapeError: they are not.

    Attributes:
        code_mean: (B, D), and
        code_covariance: (B, D, D), of the decoders' training shapes.
    """

    def __init__(self, decoders: Sequence[SdfDecoder]) -> None:
        if len({mixable(x) for x in decoders}) != 1:
            raise ShapeError(
                f"{len(decoders)} decoders of different architectures: expected one architecture "
                "and device"
            )
        self._code_length = decoders[0].config.code_length
        self.reach = decoders[0].reach
        self.device = decoders[0].device
        self.code_mean = torch.stack([x.code_mean for x in decoders])
        self.code_covariance = torch.stack([x.code_covariance for x in decoders])
        layers = [x.layers() for x in decoders]
        self._layers = SdfLayers(
            [
                Layer(*(torch.stack(list(x)) for x in zip(*same, strict=True)))
                for same in zip(*(x.hidden for x in layers), strict=True)
            ],
            torch.stack([x.output for x in layers]),
            torch.stack([x.bias for x in layers]),
        )

    def __call__(self, points: Tensor, codes: Tensor) -> Tensor:
        """Signed distances (B, N) of points (B, N, 3) with codes (B, D)."""
        self._check(points, codes)
        return self._layers.values(points, codes)[0]

    def value_and_gradient(self, points: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """F (B, N) and df/dpoints (B, N, 3)."""
        self._check(points, codes)
        value, d_point = self._layers.values_and_gradients(points, codes)
        return value, d_point

    def value_and_jacobian(self, points: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """F (B, N), df/dpoints (B, N, 3) and df/dcodes (B, N, D)."""
        self._check(points, codes)
        value, d_point, d_code = self._layers.values_and_jacobians(points, codes)
        return value, d_point, d_code

    def _check(self, points: Tensor, codes: Tensor) -> None:
        check_arguments(points, codes, self._code_length)
        if len(points) != len(self.code_mean):
            raise ShapeError(
                f"{len(points)} objects came for {len(self.code_mean)} decoders: expected one each"
            )
