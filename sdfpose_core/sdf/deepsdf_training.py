"""Train DeepSDF's decoder as published, with the code length of SSC-6D.

Loss, optimiser and settings are those of Park et al., "DeepSDF" (CVPR 2019, section 4.2) and of its
published examples (github.com/facebookresearch/DeepSDF, ``examples/sofas/specs.json``): with f and
s the decoded and the true distance, clamped to d,

    mean |f - s|  +  w min(1, epoch / 100) mean |z|,

Adam with learning rates that are halved every 500 of 2,000 epochs, 64 shapes a step with 16,384
samples each, weight normalisation (Salimans and Kingma, NeurIPS 2016) and dropout in all hidden
layers, and codes within the unit ball. SSC-6D (Peng et al., AAAI 2022) trains this network with a
code length of 16 and publishes the network of epoch 2,000, but no settings.

Differences from the published training:

- The code term is |z|, as in the published program; the paper writes |z|^2.
- Samples are those of `sample_sdf`. They are drawn at random, not half of them inside: `sample_sdf`
  already places samples within each wall, however thin it is.
- Each step draws its shapes at random; the published program goes through a shuffled list and
  drops its incomplete last batch. The number of steps of an epoch is the same.
- The random numbers of the dropout depend on seed, step and shape only, so that an interrupted run
  and several processes end with the same network.
- Shapes have a bounding box with a diagonal of 1 (2 in the network's unit). The published program
  fits them into a ball; SSC-6D uses the diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.parametrizations import weight_norm

from sdfpose_core.errors import ConfigurationError
from sdfpose_core.sdf.auto_decoder import AutoDecoderConfig, AutoDecoderTraining
from sdfpose_core.sdf.deepsdf import DeepSdf, DeepSdfConfig
from sdfpose_core.storage.configuration import check_at_least_one

__all__ = ["DeepSdfTraining", "DeepSdfTrainingConfig"]

_CODE_RAMP_EPOCHS = 100
"""The weight of the code term increases linearly to its final value over these epochs."""


@dataclass(frozen=True)
class DeepSdfTrainingConfig(AutoDecoderConfig):
    """Configuration of the training, as published; see `AutoDecoderConfig` for the other keys.

    Attributes:
        epochs: passes over the training shapes.
        learning_rate: initial learning rate of the network.
        code_learning_rate: initial learning rate of the codes.
        halve_every: epochs after which both learning rates are halved.
        code_weight: weight of the mean norm of the codes.
        code_bound: largest norm of a code.
        dropout: share of each hidden layer's activations that a step leaves out.
        weight_norm: whether direction and length of the hidden layers' weights are trained apart.
        points_at_once: samples evaluated at once. Fewer take less memory; the gradients of a step
            are added up, so the result does not change.
        decoder: architecture.
    """

    shapes_per_step: int = 64
    points_per_shape: int = 16_384
    epochs: int = 2000
    learning_rate: float = 5e-4
    code_learning_rate: float = 1e-3
    halve_every: int = 500
    code_weight: float = 1e-4
    code_bound: float = 1.0
    dropout: float = 0.2
    weight_norm: bool = True
    points_at_once: int = 65_536
    decoder: DeepSdfConfig = field(default_factory=DeepSdfConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_one(self, "epochs", "halve_every", "points_at_once")
        if not 0.0 <= self.dropout < 1.0:
            raise ConfigurationError(f"dropout is {self.dropout}: expected a share from 0 to 1")
        if not self.code_bound > 0.0:
            raise ConfigurationError(f"code_bound is {self.code_bound}: expected more than 0")


class DeepSdfTraining(AutoDecoderTraining[DeepSdf]):
    """Training of a `DeepSdf`, see `AutoDecoderTraining`."""

    config: DeepSdfTrainingConfig

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole training."""
        return self.config.epochs * self._epoch_steps

    @property
    def _epoch_steps(self) -> int:
        return max(1, len(self.codes) // self.config.shapes_per_step)

    @property
    def _epoch(self) -> int:
        """Number of the present epoch, from 1."""
        return 1 + self.step // self._epoch_steps

    def _initial(self, shapes: int) -> tuple[DeepSdf, Tensor]:
        config = self.config.decoder
        decoder = DeepSdf(config)
        if self.config.weight_norm:
            for layer in decoder.layers:
                weight_norm(layer)
        return decoder, torch.randn(shapes, config.code_length) / config.code_length**0.5

    def _optimisers(self) -> list[torch.optim.Optimizer]:
        network = {"params": list(self.decoder.parameters()), "peak": self.config.learning_rate}
        codes = {"params": [self.codes], "peak": self.config.code_learning_rate}
        return [torch.optim.Adam([network, codes])]

    def _rate(self) -> float:
        return float(0.5 ** (self._epoch // self.config.halve_every))

    @torch.no_grad()
    def _before_step(self, shapes: Tensor) -> None:
        self.codes[shapes] = _within(self.codes[shapes], self.config.code_bound)

    def _backward(self, shapes: Tensor, picks: Tensor) -> dict[str, float]:
        config = self.config
        unit, reach = config.decoder.unit, self.decoder.reach
        code_weight = config.code_weight * min(1.0, self._epoch / _CODE_RAMP_EPOCHS)
        losses = {"sdf": 0.0, "code": 0.0}
        at_once = max(1, config.points_at_once // config.points_per_shape)
        for some, their_picks in zip(shapes.split(at_once), picks.split(at_once), strict=True):
            points, target = self._samples(some, their_picks)
            codes = self.codes[some.to(self.device)]
            dropout = _Dropout(config.dropout, [(config.seed, self.step, int(x)) for x in some])
            value = self.decoder.noisy_values(points, codes, dropout)
            error = (value.clamp(-reach, reach) - target.clamp(-reach, reach)).abs() / unit
            share = len(some) / len(shapes)
            sdf_loss, code_loss = share * error.mean(), share * codes.norm(dim=-1).mean()
            (sdf_loss + code_weight * code_loss).backward()
            losses["sdf"] += float(sdf_loss.detach())
            losses["code"] += float(code_loss.detach())
        return losses

    def _used_codes(self) -> Tensor:
        return _within(self.codes.detach(), self.config.code_bound)

    @torch.no_grad()
    def _finished(self) -> DeepSdf:
        """Return a network without weight normalisation, which has the same values."""
        self.codes.copy_(self._used_codes())
        with torch.random.fork_rng():
            decoder = DeepSdf(self.config.decoder).to(self.device)
        state = {k: x for k, x in self.decoder.state_dict().items() if "parametrizations" not in k}
        weights = {f"layers.{i}.weight": x.weight for i, x in enumerate(self.decoder.layers)}
        decoder.load_state_dict(state | weights)
        return decoder.eval()


class _Dropout:
    """Dropout of the activations (B, N, width), with a generator for each of the B shapes.

    Args:
        share: share of the activations that are set to zero.
        seeds: of each shape's generator.
    """

    def __init__(self, share: float, seeds: list[tuple[int, int, int]]) -> None:
        self._share = share
        self._seeds = [int(np.random.SeedSequence(x).generate_state(1)[0]) for x in seeds]
        self._generators: list[torch.Generator] = []

    def __call__(self, activations: Tensor) -> Tensor:
        if self._share == 0.0:
            return activations
        if not self._generators:
            device = activations.device
            self._generators = [torch.Generator(device).manual_seed(x) for x in self._seeds]
        kept = torch.empty_like(activations)
        for shape, generator in zip(kept, self._generators, strict=True):
            shape.bernoulli_(1.0 - self._share, generator=generator)
        return activations * kept / (1.0 - self._share)


def _within(codes: Tensor, bound: float) -> Tensor:
    """Shorten codes (S, D) that are longer than the bound."""
    return codes * (bound / codes.norm(dim=-1, keepdim=True).clamp(min=bound))
