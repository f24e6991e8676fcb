"""Training of the mask network on simulated views."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sdfpose_core.encoder.view_training import ViewTraining
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.mask_training.augmentation import MaskAugmentation, augmented, batch_of
from sdfpose_core.mask_training.losses import MaskLossConfig, mask_losses
from sdfpose_core.masks.network import MaskNetwork, MaskNetworkConfig
from sdfpose_core.storage.configuration import check_at_least_one
from sdfpose_core.storage.record_files import Records

__all__ = ["MaskTraining", "MaskTrainingConfig"]


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

    steps: int = 4000
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


class MaskTraining(ViewTraining[MaskNetwork]):
    """Training run of a mask network; an interrupted run resumes with the same random draws.

    Args:
        views: views with true ids.
        network: architecture.
        config: settings.
        device: device to train on.
        start: network of the same architecture to go on with, instead of random weights.

    Raises:
        ConfigurationError: there are no views.
    """

    WARM_UP = 300

    def __init__(
        self,
        views: Records,
        network: MaskNetworkConfig,
        config: MaskTrainingConfig,
        device: torch.device,
        start: MaskNetwork | None = None,
    ) -> None:
        if len(views) == 0:
            raise ConfigurationError("there are no training views: expected at least one")
        super().__init__(views, config)
        self.views = views
        self.config = config
        self.device = device
        self.random = torch.Generator().manual_seed(config.seed)
        torch.manual_seed(config.seed)
        self.network = MaskNetwork(network).to(device)
        self._start = 0
        if start is not None:
            state = start.state_dict()
            self.network.load_state_dict(state)
            self._start = zlib.crc32(b"".join(x.cpu().numpy().tobytes() for x in state.values()))
        self.network.mixed_precision = config.mixed_precision
        everything = {"params": list(self.network.parameters()), "share": 1.0}
        self.optimiser = torch.optim.AdamW(
            [everything], config.learning_rate, weight_decay=config.weight_decay
        )

    def _all_settings(self) -> str:
        return f"{super()._all_settings()}, start {self._start:08x}"

    def _losses(self, chosen: NDArray[np.int64]) -> tuple[Tensor, dict[str, Tensor]]:
        config = self.config
        batch = augmented(
            batch_of(self.views[chosen], self.device), config.augmentation, self.random
        )
        maps = self.network(batch.colour, batch.depth, batch.focal)
        losses = mask_losses(maps, batch.ids, config.losses, self.random)
        return config.losses.weigh(losses), losses
