"""DeepSDF decoder: signed distance as a function of a point and a shape's latent code.

Follows Park et al., "DeepSDF" (CVPR 2019), with three changes so that a narrow network suffices:

- The code enters every layer as a bias. It is the same for all points of an object, so this costs
  nothing per point.
- The distance from the y axis is a fourth coordinate, because most household objects are nearly
  surfaces of revolution.
- The activation is smooth, and therefore the normals are too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from sdfpose_core.sdf.shape_decoder import check_arguments, in_chunks
from sdfpose_core.weights.network import StoredNetwork

__all__ = ["DecoderConfig", "Layer", "SdfDecoder", "SdfLayers"]

_AXIS_SOFTENING = 1e-3
"""Object units; keeps the derivative of the distance from the y axis finite on the axis."""

_INPUT_GAIN = 5.0
"""Scales coordinates of at most 0.5 to the nonlinear range of the first layer's activations."""


@dataclass(frozen=True)
class DecoderConfig:
    """Architecture of an `SdfDecoder`.

    Attributes:
        code_length: length D of the latent code.
        width: units per hidden layer.
        hidden_layers: number of hidden layers.
    """

    code_length: int = 32
    width: int = 96
    hidden_layers: int = 5


class Layer(NamedTuple):
    """Weights of one layer, shared or separate for each of B objects.

    Attributes:
        point: (m, n) or (B, m, n), weights of the previous layer's output.
        bias: (m,) or (B, m).
        code: (m, D) or (B, m, D), weights of the code.
    """

    point: Tensor
    bias: Tensor
    code: Tensor


class SdfLayers(NamedTuple):
    """Weights of a decoder, shared or separate for each of B objects.

    Attributes:
        hidden: hidden layers.
        output: (width,) or (B, width), weights of the output.
        bias: (1,) or (B, 1), bias of the output.
    """

    hidden: list[Layer]
    output: Tensor
    bias: Tensor

    def values(self, points: Tensor, codes: Tensor) -> tuple[Tensor, ...]:
        """Compute signed distances (B, N)."""
        h = _coordinates(points)
        for layer in self.hidden:
            a = _affine(h, layer, codes)
            h = nn.functional.silu(a, inplace=not torch.is_grad_enabled())
        return (self._last(h),)

    def values_and_gradients(self, points: Tensor, codes: Tensor) -> tuple[Tensor, ...]:
        """Compute f (B, N) and df/dpoints (B, N, 3)."""
        value, slopes = self._value_and_slopes(points, codes)
        gradient = slopes[-1] * self.output.unsqueeze(-2)
        for i in range(len(slopes) - 1, 0, -1):
            gradient = (gradient @ self.hidden[i].point) * slopes[i - 1]
        return value, self._point_derivative(points, gradient)

    def values_and_jacobians(self, points: Tensor, codes: Tensor) -> tuple[Tensor, ...]:
        """Compute f (B, N), df/dpoints (B, N, 3) and df/dcodes (B, N, D)."""
        value, slopes = self._value_and_slopes(points, codes)
        gradient = slopes[-1] * self.output.unsqueeze(-2)
        d_code = gradient @ self.hidden[-1].code
        for i in range(len(slopes) - 1, 0, -1):
            gradient = (gradient @ self.hidden[i].point) * slopes[i - 1]
            d_code = d_code + gradient @ self.hidden[i - 1].code
        return value, self._point_derivative(points, gradient), d_code

    def _value_and_slopes(self, points: Tensor, codes: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Compute f (B, N) and the activation's derivative (B, N, width) per layer."""
        h = _coordinates(points)
        one = h.new_ones(())
        slopes = []
        for layer in self.hidden:
            a = _affine(h, layer, codes)
            s = torch.sigmoid(a)
            h = a * s
            slopes.append(torch.lerp(s, one, h))  # s + h (1 - s)
        return self._last(h), slopes

    def _last(self, h: Tensor) -> Tensor:
        return (h @ self.output.unsqueeze(-1)).squeeze(-1) + self.bias

    def _point_derivative(self, points: Tensor, gradient: Tensor) -> Tensor:
        """df/dpoints (B, N, 3) from df/da (B, N, width) of the first layer's activations a."""
        d = _INPUT_GAIN * (gradient @ self.hidden[0].point)
        # r = sqrt(x^2 + z^2 + e^2): dr/dx = x / r, dr/dz = z / r.
        d_axis = d[..., 3:] / _axis_distance(points)
        return torch.cat(
            [
                d[..., 0:1] + d_axis * points[..., 0:1],
                d[..., 1:2],
                d[..., 2:3] + d_axis * points[..., 2:3],
            ],
            dim=-1,
        )


class SdfDecoder(StoredNetwork):
    """Signed distance f(q; z), normalised object units, negative inside.

    Attributes:
        code_mean: (D,) mean of the training shapes' codes.
        code_covariance: (D, D) their covariance. Mean and covariance are the prior of the code in
            later optimisation.
    """

    KIND = "decoder"
    CONFIG = DecoderConfig

    config: DecoderConfig

    code_mean: Tensor
    code_covariance: Tensor

    def __init__(self, config: DecoderConfig = DecoderConfig()) -> None:
        super().__init__()
        self.config = config
        sizes = [4] + [config.width] * config.hidden_layers
        point_layers = [nn.Linear(n_in, n_out) for n_in, n_out in pairwise(sizes)]
        code_layers = [nn.Linear(config.code_length, n_out, bias=False) for n_out in sizes[1:]]
        self.point_layers = nn.ModuleList(point_layers)
        self.code_layers = nn.ModuleList(code_layers)
        self.output = nn.Linear(config.width, 1)
        for layer in point_layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        for layer in code_layers:
            nn.init.normal_(layer.weight, std=config.code_length**-0.5)
        self.register_buffer("code_mean", torch.zeros(config.code_length))
        self.register_buffer("code_covariance", torch.eye(config.code_length))

    @property
    def reach(self) -> float:
        """Distance from the surface up to which values are true distances: infinite."""
        return math.inf

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.output.weight.device

    def forward(self, points: Tensor, codes: Tensor) -> Tensor:
        """Compute signed distances.

        Args:
            points: (B, N, 3), normalised object units.
            codes: (B, D) latent codes.

        Returns:
            (B, N), normalised object units, negative inside.

        Raises:
            ShapeError: an argument has the wrong shape.
        """
        check_arguments(points, codes, self.config.code_length)
        return in_chunks(self.layers().values, points, codes)[0]

    def value_and_gradient(self, points: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Compute f and df/dpoints, like `value_and_jacobian` without the code derivative."""
        check_arguments(points, codes, self.config.code_length)
        value, d_point = in_chunks(self.layers().values_and_gradients, points, codes)
        return value, d_point

    def value_and_jacobian(self, points: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute signed distances and their derivatives with an explicit backward pass.

        The operations are differentiable, so losses on the derivatives can be trained.

        Args:
            points: (B, N, 3), normalised object units.
            codes: (B, D) latent codes.

        Returns:
            f (B, N), df/dpoints (B, N, 3) and df/dcodes (B, N, D).

        Raises:
            ShapeError: an argument has the wrong shape.
        """
        check_arguments(points, codes, self.config.code_length)
        value, d_point, d_code = in_chunks(self.layers().values_and_jacobians, points, codes)
        return value, d_point, d_code

    def layers(self) -> SdfLayers:
        """Return the weights without copying them."""
        hidden = [
            Layer(*(cast(Tensor, x) for x in (point.weight, point.bias, code.weight)))
            for point, code in zip(self.point_layers, self.code_layers, strict=True)
        ]
        return SdfLayers(hidden, self.output.weight[0], self.output.bias)


def _affine(h: Tensor, layer: Layer, codes: Tensor) -> Tensor:
    """Apply a layer to activations (B, N, n) and codes (B, D): (B, N, m)."""
    if layer.point.ndim == 3:
        shift = torch.baddbmm(layer.bias.unsqueeze(-1), layer.code, codes.unsqueeze(-1))
        return torch.baddbmm(shift.transpose(1, 2), h, layer.point.transpose(1, 2))
    shift = nn.functional.linear(codes, layer.code, layer.bias)
    if len(shift) == 1:
        return nn.functional.linear(h, layer.point, shift[0])  # saves one pass over memory
    return nn.functional.linear(h, layer.point) + shift.unsqueeze(1)


def _axis_distance(points: Tensor) -> Tensor:
    """Softened distance (..., 1) of points (..., 3) from the y axis, object units."""
    return (points[..., 0:1] ** 2 + points[..., 2:3] ** 2 + _AXIS_SOFTENING**2).sqrt()


def _coordinates(points: Tensor) -> Tensor:
    """Network input (..., 4): x, y, z and softened axis distance, times `_INPUT_GAIN`."""
    return _INPUT_GAIN * torch.cat([points, _axis_distance(points)], dim=-1)
