"""Training of the mask network on simulated views."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sdfpose_core.encoder.training_run import Progress, TrainingRun
from sdfpose_core.errors import ConfigurationError, WeightsError
from sdfpose_core.mask_training.augmentation import MaskAugmentation, augmented, batch_of
from sdfpose_core.mask_training.losses import MaskLossConfig, mask_losses
from sdfpose_core.mask_training.views import MaskViews
from sdfpose_core.masks.network import MaskNetwork, MaskNetworkConfig
from sdfpose_core.storage.checkpoint import load_checkpoint, save_checkpoint
from sdfpose_core.storage.configuration import check_at_least_one

__all__ = ["MaskTraining", "MaskTrainingConfig"]

_MOST_WARM_UP = 300
"""Steps in which the learning rate rises, at most a tenth of all."""

_MAX_GRADIENT = 5.0
"""Limit of the gradient's norm."""


@dataclass(frozen=True)
class MaskTrainingConfig:
    """Settings of the training.

    Attributes:
        steps: optimiser steps.
        batch: views per step.
        learning_rate: peak learning rate (AdamW); rises during a warm-up, then decays to zero
            along a cosine.
        weight_decay: weight decay.
        mixed_precision: whether the convolutions compute in bfloat16.
        checkpoint_every: steps between checkpoints.
        seed: seed of initialisation, order and augmentation.
        losses: weights of the losses.
        augmentation: random changes of the views.
    """

    steps: int = 16000
    batch: int = 8
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    mixed_precision: bool = True
    checkpoint_every: int = 250
    seed: int = 0
    losses: MaskLossConfig = field(default_factory=MaskLossConfig)
    augmentation: MaskAugmentation = field(default_factory=MaskAugmentation)

    def __post_init__(self) -> None:
        check_at_least_one(self, "steps", "batch", "checkpoint_every")


class MaskTraining(TrainingRun):
    """Training run of a mask network; an interrupted run resumes with the same random draws.

    Args:
        views: views with true ids.
        network: architecture.
        config: settings.
        device: device to train on.

    Raises:
        ConfigurationError: there are no views.
    """

    def __init__(
        self,
        views: MaskViews,
        network: MaskNetworkConfig,
        config: MaskTrainingConfig,
        device: torch.device,
    ) -> None:
        if len(views) == 0:
            raise ConfigurationError("there are no training views: expected at least one")
        self.views = views
        self.config = config
        self.device = device
        self.random = torch.Generator().manual_seed(config.seed)
        torch.manual_seed(config.seed)
        self.network = MaskNetwork(network).to(device)
        self.network.mixed_precision = config.mixed_precision
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), config.learning_rate, weight_decay=config.weight_decay
        )
        self._order = np.zeros(0, dtype=np.int64)

    def run(self, checkpoint: Path | None = None, progress: Progress | None = None) -> MaskNetwork:
        """Take all remaining steps; return the network, in evaluation mode, without gradients.

        Args:
            checkpoint: file to write, and to resume from if it exists.
            progress: called with the losses of every 50th step and of the last one.

        Raises:
            WeightsError: the checkpoint is damaged or of other settings.
        """
        self.network.train()
        self._run_to(self.config.steps, self.config.checkpoint_every, checkpoint, progress)
        self.network.requires_grad_(False)
        return self.network.eval()

    def _train_step(self) -> dict[str, Tensor]:
        config = self.config
        warm = min(1.0, (self.step + 1) / min(_MOST_WARM_UP, max(config.steps // 10, 1)))
        rate = warm * 0.5 * (1.0 + math.cos(math.pi * self.step / config.steps))
        for group in self.optimiser.param_groups:
            group["lr"] = rate * config.learning_rate
        batch = augmented(
            batch_of(self.views[self._next()], self.device), config.augmentation, self.random
        )
        maps = self.network(batch.colour, batch.depth, batch.focal)
        losses = mask_losses(maps, batch.ids, config.losses, self.random)
        self.optimiser.zero_grad(set_to_none=True)
        config.losses.weigh(losses).backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), _MAX_GRADIENT)
        self.optimiser.step()
        return {k: v.detach() for k, v in losses.items()}

    def _next(self) -> NDArray[np.int64]:
        """Numbers of the next views; every view comes once per round."""
        while len(self._order) < self.config.batch:
            order = torch.randperm(len(self.views), generator=self.random).numpy()
            self._order = np.concatenate([self._order, order])
        chosen, self._order = np.split(self._order, [self.config.batch])
        return chosen

    def _settings(self) -> str:
        return repr((asdict(self.network.config), self.config))

    def _save(self, path: Path) -> None:
        state = {
            "config": self._settings(),
            "step": self.step,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "random": self.random.get_state(),
            "order": torch.from_numpy(self._order),
        }
        save_checkpoint(path, state)

    def _load(self, path: Path) -> None:
        state = load_checkpoint(path)
        if state.get("config") != self._settings():
            raise WeightsError(f"{path}: is of other settings: delete it to train from scratch")
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.random.set_state(state["random"])
        self._order = state["order"].numpy()
