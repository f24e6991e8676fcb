"""Colour network: crop of an instance -> whether it is known, category, density of the rotation.

A small convolutional network reads the crop, and at a quarter of its resolution the depth grid. Its
features feed three heads. One says whether the object is of any category at all, one gives the
category. The third is an implicit density over rotations
(Murphy et al., "Implicit-PDF: Non-Parametric Representation of Probability Distributions on the
Rotation Manifold", ICML 2021): it scores any given rotation, relative to the viewing ray, for any
category. It tells apart what fits the depth equally well: which end is up, where the front is.

The network is trained on objects that stand upright and upside down equally often. Its scores are
therefore evidence in addition to what is usual.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from sdfpose_core.cues.crop import CROP_SIDE, GRID_SIDE, colour_crop_of
from sdfpose_core.cues.efficientnet import ImageTrunk
from sdfpose_core.encoder.fast import view_frame
from sdfpose_core.errors import ShapeError
from sdfpose_core.observation.frame import Instance
from sdfpose_core.weights.network import StoredNetwork

__all__ = ["ColourCues", "ColourCuesConfig", "ColourFeatures"]

_REFERENCES = 256
"""Rotations that stand for the uniform density."""

_TERMS = 27
"""Terms of first and second degree in the six coordinates of two axes."""

_WAVES = 2
"""Octaves of the rotation's positional encoding."""


@dataclass(frozen=True)
class ColourCuesConfig:
    """Architecture of a `ColourCues`.

    Attributes:
        categories: names of the categories it knows.
        symmetric: names of those whose yaw it ignores.
        width: factor of the trunk's channels (see `ImageTrunk`).
        channels: channels of the pixel features, at a sixteenth of the crop's resolution.
        features: length F of the features.
        hidden: width of the heads.
    """

    categories: tuple[str, ...]
    symmetric: tuple[str, ...] = ()
    width: float = 1.0
    channels: int = 192
    features: int = 256
    hidden: int = 128

    def __post_init__(self) -> None:
        for name in ("categories", "symmetric"):
            object.__setattr__(self, name, tuple(getattr(self, name)))


@dataclass(frozen=True)
class ColourFeatures:
    """What the network saw of B instances.

    Attributes:
        values: (B, F).
        seen: (B,) bool: whether there was colour to look at.
    """

    values: Tensor
    seen: Tensor

    def __getitem__(self, index: Tensor | slice) -> ColourFeatures:
        return ColourFeatures(self.values[index], self.seen[index])


class ColourCues(StoredNetwork):
    """Colour network of all categories.

    Attributes:
        mixed_precision: whether the convolutions compute in bfloat16.
        known_temperature: (), divides the logit that an object is of any category.
        category_temperature: (), divides the category's logits.
        rotation_temperature: (C,), divides the scores of rotations.
    """

    KIND = "colour network"
    CONFIG = ColourCuesConfig
    DTYPE = torch.float16
    REMEDY = "train it again with this version (training/train_colour.py)"

    config: ColourCuesConfig

    mixed_precision = False
    known_temperature: Tensor
    category_temperature: Tensor
    rotation_temperature: Tensor
    yaw_counts: Tensor

    def __init__(self, config: ColourCuesConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = ImageTrunk(config.channels, config.width)
        self.summary = nn.Sequential(
            nn.Linear(2 * config.channels, config.features),
            nn.BatchNorm1d(config.features),
            nn.SiLU(),
        )
        self.known_head = nn.Linear(config.features, 1)
        self.category_head = nn.Linear(config.features, len(config.categories))
        self.rotation_head = _RotationHead(config)
        self.register_buffer("known_temperature", torch.ones(()))
        self.register_buffer("category_temperature", torch.ones(()))
        self.register_buffer("rotation_temperature", torch.ones(len(config.categories)))
        counts = torch.tensor([float(x not in config.symmetric) for x in config.categories])
        self.register_buffer("yaw_counts", counts, persistent=False)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.category_temperature.device

    def forward(self, colour: Tensor, depth: Tensor) -> Tensor:
        """Compute the features (B, F) of B instances.

        Args:
            colour: (B, S, S, 3), RGB, 0 to 255.
            depth: (B, 2, G, G), as in `CueCrop`.

        Raises:
            ShapeError: the arguments have other shapes.
        """
        count = len(colour)
        expected = (count, CROP_SIDE, CROP_SIDE, 3), (count, 2, GRID_SIDE, GRID_SIDE)
        if (colour.shape, depth.shape) != expected:
            raise ShapeError(
                f"colour and depth have shapes {tuple(colour.shape)} and {tuple(depth.shape)}: "
                f"expected {expected[0]} and {expected[1]}"
            )
        image = colour.permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.mixed_precision):
            x = self.trunk(image, depth.to(image))
        x = x.float().flatten(2)
        features: Tensor = self.summary(torch.cat([x.mean(dim=2), x.amax(dim=2)], dim=1))
        return features

    def scores(self, features: Tensor, category: Tensor, rotations: Tensor) -> Tensor:
        """Score rotations (B, K) of instances, before the temperature.

        Args:
            features: (B, F).
            category: (B,) integer, number of the category.
            rotations: (B, K, 3, 3), object frame to view frame (see `view_frame`).
        """
        scores: Tensor = self.rotation_head(
            features, category, rotations, self.yaw_counts[category]
        )
        return scores

    @torch.no_grad()
    def encode(self, instances: Sequence[Instance]) -> ColourFeatures:
        """Look at B instances; those without colour or points are not seen."""
        seen = [x.colour is not None and len(x.points) > 0 for x in instances]
        values = torch.zeros(len(instances), self.config.features, device=self.device)
        crops = [colour_crop_of(x) for x, usable in zip(instances, seen, strict=True) if usable]
        there = torch.tensor(seen, dtype=torch.bool, device=self.device)
        if crops:
            values[there] = self(
                torch.from_numpy(np.stack([x.colour for x in crops])).to(self.device),
                torch.from_numpy(np.stack([x.depth for x in crops])).to(self.device),
            )
        return ColourFeatures(values, there)

    @torch.no_grad()
    def known_log_odds(self, features: ColourFeatures) -> Tensor:
        """Log odds (B,) that the object is of any of the categories, if half of all objects are.

        They are zero (no evidence) of instances that were not seen.
        """
        logit = self.known_head(features.values)[:, 0] / self.known_temperature
        return torch.where(features.seen, logit, 0.0)

    @torch.no_grad()
    def category_log_probabilities(
        self, features: ColourFeatures, categories: Sequence[str] | None = None
    ) -> Tensor:
        """Log probabilities (B, C) of categories, if all are equally frequent.

        Those of the categories that the network knows are probabilities among these. They are zero
        (no evidence) of categories that it does not know, and of instances that were not seen.

        Args:
            features: what the network saw.
            categories: the candidates; by default all that the network knows.
        """
        names = self.config.categories if categories is None else tuple(categories)
        columns = [i for i, x in enumerate(names) if x in self.config.categories]
        index = [self.config.categories.index(names[i]) for i in columns]
        logits = self.category_head(features.values)[:, index] / self.category_temperature
        found = logits.new_zeros(len(logits), len(names))
        found[:, columns] = torch.where(features.seen[:, None], logits.log_softmax(dim=1), 0.0)
        return found

    @torch.no_grad()
    def log_scores(
        self,
        features: ColourFeatures,
        categories: Sequence[str],
        rotations: Tensor,
        centres: Tensor,
    ) -> Tensor:
        """Log densities (B, K) of poses, relative to the uniform density of rotations.

        They are zero (no evidence) of instances that were not seen and of unknown categories.

        Args:
            features: what the network saw.
            categories: (B) name of each instance's category.
            rotations: (B, K, 3, 3), object to camera frame.
            centres: (B, K, 3), metres, camera frame: centres of the objects.
        """
        known = [x in self.config.categories for x in categories]
        index = torch.tensor(
            [self.config.categories.index(x) if x in self.config.categories else 0
             for x in categories], device=self.device, dtype=torch.long
        )  # fmt: skip
        local = view_frame(centres).transpose(-1, -2) @ rotations
        reference = _uniform_rotations(_REFERENCES).to(features.values).expand(len(index), -1, 3, 3)
        compared = torch.cat([local.to(features.values), reference], dim=1)
        scores = self.scores(features.values, index, compared)
        scores = scores / self.rotation_temperature[index][:, None]
        scores, uniform = scores.split([rotations.shape[1], _REFERENCES], dim=1)
        scores = scores - (uniform.logsumexp(dim=1, keepdim=True) - math.log(_REFERENCES))
        usable = features.seen & torch.tensor(known, dtype=torch.bool, device=self.device)
        return torch.where(usable[:, None], scores, 0.0)


@lru_cache(maxsize=1)
def _uniform_rotations(count: int) -> Tensor:
    """Rotations (1, count, 3, 3) that are evenly spread, from quasi-random quaternions.

    See Shoemake, "Uniform Random Rotations", Graphics Gems III, 1992.
    """
    u = torch.quasirandom.SobolEngine(3).draw(count)
    a, b = (1.0 - u[:, 0]).sqrt(), u[:, 0].sqrt()
    first, second = 2.0 * math.pi * u[:, 1], 2.0 * math.pi * u[:, 2]
    x, y, z, w = a * first.sin(), a * first.cos(), b * second.sin(), b * second.cos()
    rows = [
        1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - z * w), 2.0 * (x * z + y * w),
        2.0 * (x * y + z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - x * w),
        2.0 * (x * z - y * w), 2.0 * (y * z + x * w), 1.0 - 2.0 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=-1).view(1, count, 3, 3)


class _RotationHead(nn.Module):
    """Scores of rotations, given the features and the category.

    Terms of first and second degree in the axes, with coefficients linear in the features, are
    learned fast; they can prefer one rotation or two opposite ones. A network adds the rest.
    """

    def __init__(self, config: ColourCuesConfig) -> None:
        super().__init__()
        encoded = 6 * (1 + 2 * _WAVES)
        self.feature = nn.Linear(config.features, config.hidden)
        self.category = nn.Embedding(len(config.categories), config.hidden)
        self.gate = nn.Embedding(len(config.categories), config.hidden)
        self.rotation = nn.Linear(encoded, config.hidden, bias=False)
        self.layers = nn.Sequential(
            nn.SiLU(),
            nn.Linear(config.hidden, config.hidden),
            nn.SiLU(),
            nn.Linear(config.hidden, config.hidden),
            nn.SiLU(),
            nn.Linear(config.hidden, 1),
        )
        self.coefficients = nn.Linear(config.features, len(config.categories) * _TERMS)
        nn.init.normal_(self.category.weight, std=0.1)
        nn.init.zeros_(self.gate.weight)

    def forward(
        self, features: Tensor, category: Tensor, rotations: Tensor, yaw_counts: Tensor
    ) -> Tensor:
        axes = torch.cat(
            [rotations[..., :, 1], rotations[..., :, 0] * yaw_counts[:, None, None]], dim=-1
        )
        waves = [axes]
        for octave in range(_WAVES):
            angle = torch.pi * 2.0**octave * axes
            waves += [angle.sin(), angle.cos()]
        context = self.feature(features) * (1.0 + self.gate(category)) + self.category(category)
        hidden = context.unsqueeze(1) + self.rotation(torch.cat(waves, dim=-1))
        coefficients = self.coefficients(features).unflatten(1, (-1, _TERMS))
        chosen = coefficients[torch.arange(len(features), device=features.device), category]
        scores: Tensor = self.layers(hidden).squeeze(-1)
        return scores + (_terms(axes) @ chosen.unsqueeze(-1)).squeeze(-1)


def _terms(axes: Tensor) -> Tensor:
    """Axes (..., 6) and their products (..., 21): terms of first and second degree."""
    row, column = torch.triu_indices(6, 6, device=axes.device)
    return torch.cat([axes, axes[..., row] * axes[..., column]], dim=-1)
