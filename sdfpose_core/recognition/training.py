"""Training of the recognition network on labelled views."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sdfpose_core.encoder.view_training import ViewTraining
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.recognition.network import RecognitionConfig, RecognitionNetwork
from sdfpose_core.recognition.views import NO_CATEGORY
from sdfpose_core.storage.configuration import check_at_least_one
from sdfpose_core.storage.record_files import Records

__all__ = ["CropAugmentation", "RecognitionTraining", "RecognitionTrainingConfig", "augmented"]


_BORDER_CELLS = 9
"""Width of the square around each of an object's cells that belongs to its border."""


@dataclass(frozen=True)
class CropAugmentation:
    """Extent of the random changes of crops.

    Attributes:
        flip: share of mirrored crops.
        size: largest relative change of all lengths.
        noise: largest standard deviation of places, in units of 0.1 m.
        unsupported: share of crops whose support plane is forgotten.
        alone: share of crops without depth beyond the object.
        holes: share of crops that lose a rectangle of depth.
        grey: share of crops without hue.
        black: share of crops without colour.
        narrow: share of crops without colour beyond the object and its border.
        light: largest relative change of brightness; each channel changes by up to a third of it,
            the exponent of gamma by up to a half.
    """

    flip: float = 0.5
    size: float = 0.06
    noise: float = 0.02
    unsupported: float = 0.15
    alone: float = 0.05
    holes: float = 0.2
    grey: float = 0.15
    black: float = 0.15
    narrow: float = 0.1
    light: float = 0.4


@dataclass(frozen=True)
class RecognitionTrainingConfig:
    """Settings of the training.

    Attributes:
        steps: optimiser steps.
        batch: views per step, at least 2: features are normalised over them.
        learning_rate: peak learning rate (AdamW); rises during a warm-up, then decays to zero
            along a cosine.
        weight_decay: weight decay.
        category_weight: weight of the category's cross entropy; that of being known has weight 1.
        checkpoint_every: steps between checkpoints.
        seed: seed of initialisation, order and augmentation.
        augmentation: random changes of the views.

    Raises:
        ConfigurationError: a number is too small.
    """

    steps: int = 8000
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    category_weight: float = 0.5
    checkpoint_every: int = 500
    seed: int = 0
    augmentation: CropAugmentation = field(default_factory=CropAugmentation)

    def __post_init__(self) -> None:
        check_at_least_one(self, "steps", "checkpoint_every")
        if self.batch < 2:
            raise ConfigurationError(f"batch is {self.batch}: expected at least 2")


class RecognitionTraining(ViewTraining[RecognitionNetwork]):
    """Training run of a recognition network; an interrupted run resumes with the same draws.

    Args:
        views: labelled views.
        network: architecture.
        config: settings.
        device: device to train on.

    Raises:
        ConfigurationError: there are no views.
    """

    WARM_UP = 200

    def __init__(
        self,
        views: Records,
        network: RecognitionConfig,
        config: RecognitionTrainingConfig,
        device: torch.device,
    ) -> None:
        if len(views) == 0:
            raise ConfigurationError("there are no training views: expected at least one")
        super().__init__(views, config)
        self.views = views
        self.config = config
        self.device = device
        self.random = torch.Generator().manual_seed(config.seed)
        torch.manual_seed(config.seed)
        self.network = RecognitionNetwork(network).to(device)
        everything = {"params": list(self.network.parameters()), "share": 1.0}
        self.optimiser = torch.optim.AdamW(
            [everything], config.learning_rate, weight_decay=config.weight_decay
        )
        # Both kinds weigh the same, whatever their numbers.
        share = float(np.mean(views.field("category") != NO_CATEGORY))
        self._weights = 0.5 / max(1.0 - share, 1e-3), 0.5 / max(share, 1e-3)

    def _losses(self, chosen: NDArray[np.int64]) -> tuple[Tensor, dict[str, Tensor]]:
        config = self.config
        records = self.views[chosen]
        crops = torch.from_numpy(records["crop"].astype(np.float32))
        crops = augmented(crops, config.augmentation, self.random).to(self.device)
        category = torch.from_numpy(records["category"].astype(np.int64)).to(self.device)
        logit, logits = self.network(crops)
        known = category != NO_CATEGORY
        none, ours = self._weights
        weight = torch.where(known, ours, none)
        entropy = nn.functional.binary_cross_entropy_with_logits(
            logit, known.float(), reduction="none"
        )
        losses = {"known": (weight * entropy).mean()}
        if known.any():
            losses["category"] = nn.functional.cross_entropy(logits[known], category[known])
        total = losses["known"] + config.category_weight * losses.get("category", 0.0)
        return torch.as_tensor(total), losses


def augmented(crops: Tensor, amount: CropAugmentation, rng: torch.Generator) -> Tensor:
    """Change crops (B, C, S, S) at random.

    Args:
        crops: see `recognition_crop`.
        amount: kinds and extent of the changes.
        rng: source of all random draws.
    """
    count, _, side, _ = crops.shape

    def chance(share: float) -> Tensor:
        return (torch.rand(count, generator=rng) < share)[:, None, None]

    crops = crops.clone()
    mirrored = crops.flip(3)
    mirrored[:, (0, 5)] *= -1.0
    crops = torch.where(chance(amount.flip)[..., None], mirrored, crops)
    size = 1.0 + amount.size * (2.0 * torch.rand(count, 1, 1, 1, generator=rng) - 1.0)
    crops[:, (0, 1, 2, 8)] *= size
    strength = amount.noise * torch.rand(count, 1, 1, generator=rng)
    crops[:, 2] += strength * crops[:, 3] * torch.randn(count, side, side, generator=rng)
    forgotten = chance(amount.unsupported)
    crops[:, 8:10] = torch.where(forgotten[:, None], 0.0, crops[:, 8:10])
    hidden = chance(amount.alone) & (crops[:, 4] == 0.0)
    hidden |= chance(amount.holes) & _rectangles(count, side, rng)
    lost = hidden[:, None].expand(-1, 4, -1, -1)
    crops[:, :4] = torch.where(lost, 0.0, crops[:, :4])
    crops[:, 5:9] = torch.where(lost, 0.0, crops[:, 5:9])
    crops[:, 10:] = _recoloured(crops[:, 10:], crops[:, 4], amount, rng)
    return crops


def _recoloured(
    colour: Tensor, own: Tensor, amount: CropAugmentation, rng: torch.Generator
) -> Tensor:
    """Change the light of colour (B, 4, S, S), or lose some of it."""
    count = len(colour)

    def chance(share: float) -> Tensor:
        return (torch.rand(count, generator=rng) < share)[:, None, None, None]

    def signed(channels: int) -> Tensor:
        return 2.0 * torch.rand(count, channels, 1, 1, generator=rng) - 1.0

    rgb, known = 0.5 * (colour[:, :3] + 1.0), colour[:, 3:]
    grey = chance(amount.grey)
    gain = (amount.light * (signed(1) + signed(3) / 3.0)).exp()
    rgb = (rgb * gain).clamp(0.0, 1.0) ** (0.5 * amount.light * signed(1)).exp()
    # After the light, which may be coloured: the channels of a grey image are equal.
    rgb = torch.where(grey, rgb.mean(dim=1, keepdim=True), rgb)
    around = nn.functional.max_pool2d(own[:, None], _BORDER_CELLS, 1, _BORDER_CELLS // 2)
    seen = torch.where(chance(amount.narrow), around, 1.0) * ~chance(amount.black) * known
    return torch.cat([(2.0 * rgb - 1.0) * seen, seen], dim=1)


def _rectangles(count: int, side: int, rng: torch.Generator) -> Tensor:
    """Random rectangles (B, S, S) bool, up to half as wide and high as the crop."""
    place = torch.arange(side) / side
    size = 0.1 + 0.4 * torch.rand(count, 2, generator=rng)
    low = torch.rand(count, 2, generator=rng) * (1.0 - size)
    inside = (place >= low[..., None]) & (place < (low + size)[..., None])
    return inside[:, 0, :, None] & inside[:, 1, None, :]
