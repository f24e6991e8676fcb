"""Original DeepSDF decoder with 8 layers of 512 units.

Follows Park et al., "DeepSDF" (CVPR 2019, section 4 and supplement), with the code length of SSC-6D
(AAAI 2022). Code and point are inputs and enter again before the fifth layer. Activations are ReLU,
the output is a hyperbolic tangent. This network is the baseline for `SdfDecoder`, and SSC-6D
published weights for it: `sdfpose import-ssc6d` imports them. `DeepSdfTraining` trains it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from sdfpose_core.errors import ConfigurationError
from sdfpose_core.sdf.shape_decoder import check_arguments, in_chunks
from sdfpose_core.storage.configuration import check_at_least_one
from sdfpose_core.weights.network import StoredNetwork

__all__ = ["DeepSdf", "DeepSdfConfig"]


@dataclass(frozen=True)
class DeepSdfConfig:
    """Architecture of a `DeepSdf`.

    Attributes:
        code_length: length D of the latent code.
        width: units per hidden layer.
        hidden_layers: number of hidden layers.
        skip_at: index (from 0) of the hidden layer before which code and point enter again.
        unit: object units per network unit of coordinates and distances. Shapes fill the ball of
            radius 1 in the papers, and of radius 0.5 here.
        clamp: network units; training clamped distances to this value (DeepSDF, equation 4).
    """

    code_length: int = 16
    width: int = 512
    hidden_layers: int = 8
    skip_at: int = 4
    unit: float = 0.5
    clamp: float = 0.1

    def __post_init__(self) -> None:
        check_at_least_one(self, "code_length", "width", "hidden_layers")
        for name in ("unit", "clamp"):
            if not getattr(self, name) > 0.0:
                raise ConfigurationError(f"{name} is {getattr(self, name)}: expected more than 0")
        check_at_least_one(self, "skip_at")
        inputs = self.code_length + 3
        if self.skip_at < self.hidden_layers and self.width <= inputs:
            raise ConfigurationError(
                f"width is {self.width}: expected more than {inputs}, the length of the code and "
                "of a point, which enter again"
            )


class DeepSdf(StoredNetwork):
    """Signed distance f(q; z), normalised object units, negative inside: a `ShapeDecoder`.

    Attributes:
        code_mean: (D,) mean of the training shapes' codes; 0 if unknown.
        code_covariance: (D, D) their covariance. If unknown, it is isotropic with variance 1 / D,
            as for the initial codes of DeepSDF's training (`CodeInitStdDev` 1 in its settings).
            Such codes fill the unit ball to which SSC-6D restricts codes.
    """

    KIND = "deepsdf decoder"
    CONFIG = DeepSdfConfig
    REMEDY = "import it again with this version (sdfpose import-ssc6d), or retrain it"

    config: DeepSdfConfig

    code_mean: Tensor
    code_covariance: Tensor

    def __init__(self, config: DeepSdfConfig = DeepSdfConfig()) -> None:
        super().__init__()
        self.config = config
        inputs = config.code_length + 3
        layers = []
        size = inputs
        for i in range(config.hidden_layers):
            out = config.width - inputs if i + 1 == config.skip_at else config.width
            layers.append(nn.Linear(size, out))
            size = config.width
        self.layers = nn.ModuleList(layers)
        self.output = nn.Linear(size, 1)
        self.register_buffer("code_mean", torch.zeros(config.code_length))
        self.register_buffer("code_covariance", torch.eye(config.code_length) / config.code_length)

    @property
    def reach(self) -> float:
        """Distance from the surface, object units, up to which values are true distances."""
        return self.config.unit * self.config.clamp

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.output.weight.device

    def forward(self, points: Tensor, codes: Tensor) -> Tensor:
        """Compute signed distances (B, N), object units, at points (B, N, 3) for codes (B, D).

        Raises:
            ShapeError: an argument has the wrong shape.
        """
        check_arguments(points, codes, self.config.code_length)
        return in_chunks(self._values, points, codes)[0]

    def value_and_gradient(self, points: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Compute f and df/dpoints, like `value_and_jacobian` without the code derivative."""
        return self.value_and_jacobian(points, codes)[:2]

    def value_and_jacobian(self, points: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute signed distances and their derivatives with an explicit backward pass.

        Args:
            points: (B, N, 3), normalised object units.
            codes: (B, D) latent codes.

        Returns:
            f (B, N), df/dpoints (B, N, 3) and df/dcodes (B, N, D).

        Raises:
            ShapeError: an argument has the wrong shape.
        """
        check_arguments(points, codes, self.config.code_length)
        value, d_point, d_code = in_chunks(self._values_and_jacobians, points, codes)
        return value, d_point, d_code

    def noisy_values(
        self, points: Tensor, codes: Tensor, disturb: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Compute signed distances like `forward`, with disturbed hidden layers, for training.

        Args:
            points: (B, N, 3), normalised object units.
            codes: (B, D) latent codes.
            disturb: replaces the activations (B, N, width) of each hidden layer, e.g. by dropout.
        """
        check_arguments(points, codes, self.config.code_length)
        return self.config.unit * self._run(points, codes, disturb)[0]

    def _values(self, points: Tensor, codes: Tensor) -> tuple[Tensor, ...]:
        return (self.config.unit * self._run(points, codes)[0],)

    def _values_and_jacobians(self, points: Tensor, codes: Tensor) -> tuple[Tensor, ...]:
        value, active = self._run(points, codes)
        d_input = torch.zeros_like(points[..., :1]).expand(-1, -1, self.config.code_length + 3)
        gradient = (1.0 - value.square()).unsqueeze(-1) * self.output.weight[0]
        for i in range(len(self.layers) - 1, -1, -1):
            gradient = (gradient * active[i]) @ cast(Tensor, self.layers[i].weight)
            if i == self.config.skip_at:
                width = gradient.shape[-1] - d_input.shape[-1]
                d_input = d_input + gradient[..., width:]
                gradient = gradient[..., :width]
        d_input = d_input + gradient
        d_code, d_point = d_input.split([self.config.code_length, 3], dim=-1)
        # f(q) = unit g(q / unit): the unit cancels in the derivative with respect to the point.
        return self.config.unit * value, d_point, self.config.unit * d_code

    def _run(
        self,
        points: Tensor,
        codes: Tensor,
        disturb: Callable[[Tensor], Tensor] = lambda activations: activations,
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the network's output (B, N) and each layer's active units (B, N, width)."""
        q = points / self.config.unit
        x = torch.cat([codes.unsqueeze(1).expand(-1, points.shape[1], -1), q], dim=-1)
        h = x
        active = []
        for i, layer in enumerate(self.layers):
            if i == self.config.skip_at:
                h = torch.cat([h, x], dim=-1)
            h = torch.relu(layer(h))
            active.append(h > 0.0)
            h = disturb(h)
        return torch.tanh(self.output(h)).squeeze(-1), active
