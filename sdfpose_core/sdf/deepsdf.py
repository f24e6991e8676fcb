"""The decoder of the papers: DeepSDF's network of 8 layers of 512 units.

As in Park et al., "DeepSDF" (CVPR 2019, section 4 and supplement), with the code length of SSC-6D
(AAAI 2022): the code is an input like the point, both enter again before the fifth layer, the
activations are ReLU, the output a hyperbolic tangent. It is what `SdfDecoder` is measured against.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sdfpose_core.errors import ShapeError

__all__ = ["DeepSdf", "DeepSdfConfig"]


@dataclass(frozen=True)
class DeepSdfConfig:
    """Architecture of a `DeepSdf`.

    Attributes:
        code_length: length D of the latent code.
        width: units per hidden layer.
        hidden_layers: number of hidden layers.
        skip_at: the hidden layer (from 0) before which code and point enter again.
    """

    code_length: int = 16
    width: int = 512
    hidden_layers: int = 8
    skip_at: int = 4


class DeepSdf(nn.Module):
    """Signed distance f(q; z), in the unit of the shapes that it was trained on."""

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

    def forward(self, points: Tensor, codes: Tensor) -> Tensor:
        """Values (B, N) at points (B, N, 3) for codes (B, D).

        Raises:
            ShapeError: the shapes of the arguments do not fit.
        """
        batch = points.shape[0]
        if points.ndim != 3 or codes.shape != (batch, self.config.code_length):
            raise ShapeError(
                f"points and codes have shapes {tuple(points.shape)} and {tuple(codes.shape)}: "
                f"expected (B, N, 3) and (B, {self.config.code_length})"
            )
        x = torch.cat([codes.unsqueeze(1).expand(-1, points.shape[1], -1), points], dim=-1)
        h = x
        for i, layer in enumerate(self.layers):
            if i == self.config.skip_at:
                h = torch.cat([h, x], dim=-1)
            h = torch.relu(layer(h))
        return torch.tanh(self.output(h)).squeeze(-1)
