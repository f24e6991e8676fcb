"""The decoder of the papers: DeepSDF's network of 8 layers of 512 units.

As in Park et al., "DeepSDF" (CVPR 2019, section 4 and supplement), with the code length of SSC-6D
(AAAI 2022): the code is an input like the point, both enter again before the fifth layer, the
activations are ReLU, the output a hyperbolic tangent. It is what `SdfDecoder` is measured against,
and what SSC-6D published weights of: `sdfpose import-ssc6d` reads them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from sdfpose_core.errors import WeightsError
from sdfpose_core.sdf.shape_decoder import check_arguments, in_pieces
from sdfpose_core.weights import read_weights, write_weights

__all__ = ["DEEPSDF_KIND", "DeepSdf", "DeepSdfConfig"]

DEEPSDF_KIND = "deepsdf decoder"
"""What a weights file of this network says that it is."""


@dataclass(frozen=True)
class DeepSdfConfig:
    """Architecture of a `DeepSdf`.

    Attributes:
        code_length: length D of the latent code.
        width: units per hidden layer.
        hidden_layers: number of hidden layers.
        skip_at: the hidden layer (from 0) before which code and point enter again.
        unit: object units per unit of the network's coordinates and distances. The papers' shapes
            fill the ball of radius 1, ours that of radius 0.5.
        clamp: network units; training took larger distances for this one (DeepSDF, equation 4).
    """

    code_length: int = 16
    width: int = 512
    hidden_layers: int = 8
    skip_at: int = 4
    unit: float = 0.5
    clamp: float = 0.1


class DeepSdf(nn.Module):
    """Signed distance f(q; z), normalised object units, negative inside: a `ShapeDecoder`.

    Attributes:
        code_mean: (D,) mean of the training shapes' codes; 0 where it is unknown.
        code_covariance: (D, D) their covariance; where it is unknown, the variance 1 / D of the
            codes that DeepSDF's training starts from (`CodeInitStdDev` 1 in its settings): they
            fill the unit ball in which SSC-6D keeps codes.
    """

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
        """Object units: how far from the surface values are distances; beyond, they are larger."""
        return self.config.unit * self.config.clamp

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.output.weight.device

    def forward(self, points: Tensor, codes: Tensor) -> Tensor:
        """Signed distances (B, N), object units, at points (B, N, 3) for codes (B, D).

        Raises:
            ShapeError: the shapes of the arguments do not fit.
        """
        check_arguments(points, codes, self.config.code_length)
        return in_pieces(self._values, points, codes)[0]

    def value_and_gradient(self, points: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """As `value_and_jacobian`, without the derivative by the code: f and df/dpoints."""
        return self.value_and_jacobian(points, codes)[:2]

    def value_and_jacobian(self, points: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Signed distances and their derivatives, by one backward pass written out.

        Args:
            points: (B, N, 3), normalised object units.
            codes: (B, D) latent codes.

        Returns:
            f (B, N), df/dpoints (B, N, 3) and df/dcodes (B, N, D).

        Raises:
            ShapeError: the shapes of the arguments do not fit.
        """
        check_arguments(points, codes, self.config.code_length)
        value, d_point, d_code = in_pieces(self._values_and_jacobians, points, codes)
        return value, d_point, d_code

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
        # f(q) = unit g(q / unit): the unit cancels in the derivative by the point.
        return self.config.unit * value, d_point, self.config.unit * d_code

    def _run(self, points: Tensor, codes: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The network's output (B, N) and which units (B, N, width) of each layer are active."""
        q = points / self.config.unit
        x = torch.cat([codes.unsqueeze(1).expand(-1, points.shape[1], -1), q], dim=-1)
        h = x
        active = []
        for i, layer in enumerate(self.layers):
            if i == self.config.skip_at:
                h = torch.cat([h, x], dim=-1)
            h = torch.relu(layer(h))
            active.append(h > 0.0)
        return torch.tanh(self.output(h)).squeeze(-1), active

    def save(self, path: Path | str, category: str) -> None:
        """Write weights, architecture and code statistics to a safetensors file."""
        write_weights(path, DEEPSDF_KIND, category, asdict(self.config), self.state_dict())

    @classmethod
    def load(cls, path: Path | str, device: torch.device | None = None) -> DeepSdf:
        """Decoder, in evaluation mode, from a file that `save` wrote.

        Raises:
            WeightsError: the file is missing, damaged or of another architecture.
        """
        settings, tensors = read_weights(path, DEEPSDF_KIND)
        try:
            decoder = cls(DeepSdfConfig(**settings))
            decoder.load_state_dict(tensors)
        except (TypeError, RuntimeError) as error:
            raise WeightsError(
                f"{path}: the tensors do not fit the decoder's architecture {settings}: {error}; "
                "import it anew with this version (sdfpose import-ssc6d)"
            ) from error
        decoder.requires_grad_(False)
        return decoder.eval().to(device or torch.device("cpu"))
