"""Recognition network: window around an instance -> is it of any category, and of which.

Size, shape, colour, and how surface and colour go on beyond the mask tell an object of the
categories from other things and from parts of larger ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from sdfpose_core.errors import ShapeError
from sdfpose_core.observation.frame import Instance
from sdfpose_core.recognition.crop import CHANNELS, SIDE, recognition_crop
from sdfpose_core.weights.network import StoredNetwork

__all__ = ["RecognitionConfig", "RecognitionNetwork"]

_OWN = 4
"""Channel of the object's own pixels."""


@dataclass(frozen=True)
class RecognitionConfig:
    """Architecture of a `RecognitionNetwork`.

    Attributes:
        categories: names of the categories it knows.
        widths: channels at 1/2, 1/4, 1/8, ... of the crop's resolution.
        features: width of the last hidden layer.
    """

    categories: tuple[str, ...]
    widths: tuple[int, ...] = (32, 64, 128)
    features: int = 128

    def __post_init__(self) -> None:
        for name in ("categories", "widths"):
            object.__setattr__(self, name, tuple(getattr(self, name)))


class RecognitionNetwork(StoredNetwork):
    """Recognition of the objects of all categories by shape and colour in their surroundings."""

    KIND = "recognition network"
    CONFIG = RecognitionConfig
    DTYPE = torch.float16
    REMEDY = "train it again with this version (training/train_recognition.py)"

    config: RecognitionConfig

    def __init__(self, config: RecognitionConfig) -> None:
        super().__init__()
        self.config = config
        stages: list[nn.Module] = []
        before = CHANNELS
        for width in config.widths:
            stages += [*_convolution(before, width, 2), *_convolution(width, width, 1)]
            before = width
        self.trunk = nn.Sequential(*stages)
        self.summary = nn.Sequential(
            nn.Linear(3 * before, config.features), nn.BatchNorm1d(config.features), nn.SiLU()
        )
        self.known_head = nn.Linear(config.features, 1)
        self.category_head = nn.Linear(config.features, len(config.categories))

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.known_head.weight.device

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits (B,) of being of any category, and those (B, K) of the categories.

        Args:
            crops: (B, C, S, S), see `recognition_crop`.

        Raises:
            ShapeError: the crops have another shape.
        """
        if crops.shape[1:] != (CHANNELS, SIDE, SIDE):
            raise ShapeError(
                f"crops have shape {tuple(crops.shape)}: expected (B, {CHANNELS}, {SIDE}, {SIDE})"
            )
        x = self.trunk(crops.contiguous(memory_format=torch.channels_last))
        own = nn.functional.adaptive_avg_pool2d(crops[:, _OWN : _OWN + 1], x.shape[-2:])
        inside = (own * x).sum(dim=(2, 3)) / own.sum(dim=(2, 3)).clamp(min=1e-3)
        summary = self.summary(torch.cat([x.mean(dim=(2, 3)), inside, x.amax(dim=(2, 3))], dim=1))
        return self.known_head(summary)[:, 0], self.category_head(summary)

    @torch.no_grad()
    def told_known(self, instances: Sequence[Instance], *, colour: bool = True) -> list[Instance]:
        """The instances with the log odds that they are of any category, by shape and colour.

        Those with the same mask id are one object. Nothing is said of a category that the network
        does not know, nor of an instance without points.

        Args:
            instances: instances of one image.
            colour: whether to look at their colour; shape alone counts if not.

        Raises:
            FrameError: a stored colour crop is damaged.
        """
        seen = {
            x.mask_id: x if colour else replace(x, colour=None)
            for x in reversed(instances)
            if len(x.points)
        }
        log_odds: dict[int, float] = {}
        if seen:
            crops = torch.from_numpy(np.stack([recognition_crop(x) for x in seen.values()]))
            known, _ = self(crops.to(self.device))
            log_odds = dict(zip(seen, known.tolist(), strict=True))
        names = self.config.categories
        return [
            replace(x, shape_log_odds=log_odds.get(x.mask_id, 0.0)) if x.category in names else x
            for x in instances
        ]


def _convolution(n_in: int, n_out: int, stride: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()
