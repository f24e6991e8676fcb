"""Training of the colour network on labelled views."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sdfpose_core.cues.network import ColourCues, ColourCuesConfig
from sdfpose_core.cues.views import NO_CATEGORY, CueViews
from sdfpose_core.encoder.view_training import ViewTraining
from sdfpose_core.geometry.similarity import so3_exp
from sdfpose_core.storage.configuration import check_at_least_one

__all__ = [
    "HALF_TURNS",
    "ColourTraining",
    "ColourTrainingConfig",
    "CueAugmentation",
    "augmented",
    "rival_rotations",
    "view_tensors",
]

HALF_TURNS = torch.diag_embed(
    torch.tensor([[1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])
)
"""Half turns (3, 3, 3) about the object's x, y and z axis."""

_FLIPS = 4
"""Number of `rival_rotations` that are the truth or its half turns."""

_TRUTH_SD = math.radians(5.0)
"""Hypotheses of the true mode differ from the truth by about this about each axis."""

_TILT_SD = math.radians(10.0)
_LEAST_YAW = math.radians(25.0)
"""Rivals with another yaw differ at least by this."""


@dataclass(frozen=True)
class CueAugmentation:
    """Random changes of the training views.

    Attributes:
        roll_deg: largest rotation of the view about the optical axis.
        zoom: largest relative change of the crop's side.
        shift: largest shift of colour against depth, shares of the crop, in a tenth of the views.
        grey: share of grey views.
        tint: share of strongly tinted views.
        blind: share of views with black or noise for colour.
        flat: share of views without depth.
        occluded: share of views with a rectangle of another colour in front.
    """

    roll_deg: float = 15.0
    zoom: float = 0.12
    shift: float = 0.06
    grey: float = 0.1
    tint: float = 0.1
    blind: float = 0.05
    flat: float = 0.3
    occluded: float = 0.15


@dataclass(frozen=True)
class ColourTrainingConfig:
    """Settings of the training.

    Attributes:
        steps: optimiser steps.
        batch: views per step.
        learning_rate: peak learning rate (AdamW); rises during a warm-up, then decays to zero
            along a cosine.
        pretrained_rate: learning rate of pretrained weights, a share of that of the others.
        weight_decay: weight decay.
        flip_weight: weight of the cross entropy among the truth and its half turns; that among all
            rotations has weight 1.
        category_weight: weight of the category's cross entropy.
        known_weight: weight of the cross entropy of whether an object is of any category.
        rivals: number of random rotations that compete with the true one, besides the flips.
        mixed_precision: whether the convolutions compute in bfloat16.
        checkpoint_every: steps between checkpoints.
        seed: seed of initialisation, order and augmentation.
        augmentation: random changes of the views.
    """

    steps: int = 2000
    batch: int = 64
    learning_rate: float = 2e-3
    pretrained_rate: float = 0.33
    weight_decay: float = 0.02
    flip_weight: float = 1.0
    category_weight: float = 0.5
    known_weight: float = 0.5
    rivals: int = 32
    mixed_precision: bool = True
    checkpoint_every: int = 250
    seed: int = 0
    augmentation: CueAugmentation = field(default_factory=CueAugmentation)

    def __post_init__(self) -> None:
        check_at_least_one(self, "steps", "batch", "checkpoint_every")


class ColourTraining(ViewTraining[ColourCues]):
    """Training run of a colour network; an interrupted run resumes with the same random draws.

    Args:
        views: labelled views of all categories.
        network: architecture.
        config: settings.
        device: device to train on.
        pretrained: weights of the trunk's stages to start from (`read_pretrained`); by default,
            everything is learned from nothing.
    """

    WARM_UP = 200

    def __init__(
        self,
        views: CueViews,
        network: ColourCuesConfig,
        config: ColourTrainingConfig,
        device: torch.device,
        pretrained: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__(views, config)
        self.views = views
        self.config = config
        self.device = device
        self.random = torch.Generator().manual_seed(config.seed)
        torch.manual_seed(config.seed)
        self.network = ColourCues(network).to(device)
        self.network.mixed_precision = config.mixed_precision
        self.optimiser = torch.optim.AdamW(
            self._parameter_groups(pretrained),
            config.learning_rate,
            weight_decay=config.weight_decay,
        )

    def _parameter_groups(self, pretrained: Mapping[str, Tensor] | None) -> list[dict[str, Any]]:
        """Start from pretrained weights; parameters with their share of the learning rate."""
        if pretrained is None:
            return [{"params": list(self.network.parameters()), "share": 1.0}]
        stages = self.network.trunk.stages
        stages.load_state_dict(dict(pretrained))
        known = set(stages.parameters())
        others = [x for x in self.network.parameters() if x not in known]
        return [
            {"params": list(stages.parameters()), "share": self.config.pretrained_rate},
            {"params": others, "share": 1.0},
        ]

    def _losses(self, chosen: NDArray[np.int64]) -> tuple[Tensor, dict[str, Tensor]]:
        config = self.config
        colour, depth, rotation, category = view_tensors(self.views, chosen, self.device)
        colour, depth, rotation = augmented(
            colour, depth, rotation, config.augmentation, self.random
        )
        features = self.network(colour, depth)
        known = category != NO_CATEGORY
        losses = {"known": _known_loss(self.network.known_head(features)[:, 0], known)}
        total = config.known_weight * losses["known"]
        if known.any():
            total = total + self._pose_loss(
                features[known], rotation[known], category[known], losses
            )
        return total, losses

    def _pose_loss(
        self, features: Tensor, rotation: Tensor, category: Tensor, losses: dict[str, Tensor]
    ) -> Tensor:
        """Loss of views of the categories; its parts are added to `losses`."""
        config = self.config
        rivals = rival_rotations(rotation, config.rivals, self.random)
        counts = _distinct(rivals.shape[1], self.network.yaw_counts[category])
        scores = self.network.scores(features, category, rivals)
        scores = scores.masked_fill(~counts, -math.inf)
        losses["rotation"] = -scores.log_softmax(dim=1)[:, 0].mean()
        losses["flips"] = -scores[:, :_FLIPS].log_softmax(dim=1)[:, 0].mean()
        losses["category"] = nn.functional.cross_entropy(
            self.network.category_head(features), category
        )
        total = losses["rotation"] + config.flip_weight * losses["flips"]
        return total + config.category_weight * losses["category"]


def _known_loss(logit: Tensor, known: Tensor) -> Tensor:
    """Cross entropy in which both kinds weigh the same, whatever their numbers."""
    share = known.float().mean()
    weight = torch.where(known, 0.5 / share.clamp(min=1e-3), 0.5 / (1.0 - share).clamp(min=1e-3))
    entropy = nn.functional.binary_cross_entropy_with_logits(logit, known.float(), reduction="none")
    return (weight * entropy).mean()


def view_tensors(
    views: CueViews, index: NDArray[np.int64], device: torch.device
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Colour (B, S, S, 3), depth (B, 2, G, G), rotations and categories of some views."""
    colour = torch.from_numpy(views.colour[index]).to(device)
    depth = torch.from_numpy(views.depth[index].astype(np.float32)).to(device)
    rotation = torch.from_numpy(views.rotation[index]).to(device)
    return colour, depth, rotation, torch.from_numpy(views.category[index]).to(device)


def augmented(
    colour: Tensor, depth: Tensor, rotation: Tensor, amount: CueAugmentation, rng: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Change views at random: roll, zoom, light, missing colour or depth, an occluder.

    Args:
        colour: (B, S, S, 3) uint8.
        depth: (B, 2, G, G).
        rotation: (B, 3, 3), object to view frame.
        amount: kinds and extent of the changes.
        rng: source of all random draws.
    """
    count, device = len(colour), colour.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=rng).to(device)

    def signed(*shape: int) -> Tensor:
        return 2.0 * uniform(*shape) - 1.0

    angle = math.radians(amount.roll_deg) * signed()
    zoom = 1.0 + amount.zoom * signed()
    shift = 0.08 * signed(2)
    apart = amount.shift * 2.0 * signed(2) * (uniform(1) < 0.1)
    image = colour.permute(0, 3, 1, 2).float() / 255.0
    image = _resampled(image, angle, zoom, shift + apart, "bilinear")
    depth = _resampled(depth, angle, zoom, shift, "nearest")
    turn = torch.zeros_like(rotation[..., 0])
    turn[:, 2] = angle
    rotation = so3_exp(turn) @ rotation
    grey = (uniform() < amount.grey)[:, None, None, None]
    image = torch.where(grey, image.mean(dim=1, keepdim=True), image)
    strength = torch.where(uniform(1) < amount.tint, 0.5, 0.08)
    gain = (strength * signed(3) + 0.25 * signed(1)).exp()[..., None, None]
    light = 0.1 * signed(1)[..., None, None]
    image = (image * gain + light).clamp(0.0, 1.0)
    image = _occluded(image, uniform() < amount.occluded, uniform(7))
    noise = torch.rand(image.shape, generator=rng).to(device)
    image = image + 0.06 * uniform(1)[..., None, None] * (noise - 0.5)
    blind = uniform()[:, None, None, None]
    image = torch.where(blind < amount.blind, noise * (blind < 0.5 * amount.blind), image)
    depth = torch.where((uniform() < amount.flat)[:, None, None, None], 0.0, depth)
    return (image.clamp(0.0, 1.0) * 255.0).permute(0, 2, 3, 1), depth, rotation


def _resampled(image: Tensor, angle: Tensor, zoom: Tensor, shift: Tensor, mode: str) -> Tensor:
    """Rotate images (B, C, H, W) clockwise by angles (B,), radians, zoom and shift them."""
    c, s = angle.cos() / zoom, angle.sin() / zoom
    motion = torch.stack(
        [torch.stack([c, s, shift[:, 0]], dim=1), torch.stack([-s, c, shift[:, 1]], dim=1)], dim=1
    )
    grid = nn.functional.affine_grid(motion, list(image.shape), align_corners=False)
    return nn.functional.grid_sample(image, grid, mode=mode, align_corners=False)


def _occluded(image: Tensor, chosen: Tensor, draws: Tensor) -> Tensor:
    """Put rectangles of random colour (draws 4 to 6) and place (0 to 3) over chosen images."""
    side = image.shape[-1]
    at = torch.arange(side, device=image.device) / side
    size = 0.15 + 0.3 * draws[:, 2:4]
    low = draws[:, :2] * 1.1 - 0.5 * size
    inside = [(at > low[:, k : k + 1]) & (at < (low + size)[:, k : k + 1]) for k in range(2)]
    cover = chosen[:, None, None] & inside[0][:, :, None] & inside[1][:, None, :]
    return torch.where(cover[:, None], draws[:, 4:7, None, None], image)


def rival_rotations(rotation: Tensor, rivals: int, rng: torch.Generator) -> Tensor:
    """Rotations (B, 6 + rivals, 3, 3): the true one first, then those that are confused with it.

    After the truth follow its half turns about x, y and z and its quarter turns about y. A third of
    the others is near the truth's up axis with another yaw, a third near its half turn about x with
    any yaw, and the rest is uniform. Truth and flips together are slightly disturbed. A rival is as
    likely to be drawn from the truth as the truth from the rival, so that the scores converge to
    log densities under equal priors.

    Args:
        rotation: (B, 3, 3), object to view frame.
        rivals: number of random rotations.
        rng: source of all random draws.
    """
    count, device = len(rotation), rotation.device

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng).to(device)

    def about_y(angle: Tensor) -> Tensor:
        turn = angle.new_zeros(*angle.shape, 3)
        turn[..., 1] = angle
        return so3_exp(turn)

    true = rotation @ so3_exp(_TRUTH_SD * normal(count, 3))
    flips = true[:, None] @ HALF_TURNS.to(true)
    quarters = true[:, None] @ about_y(true.new_tensor([0.5 * math.pi, -0.5 * math.pi]))
    near, over = rivals // 3, rivals // 3
    draw = torch.rand(count, near + over, generator=rng).to(device)
    yaw = _LEAST_YAW + draw * (2.0 * math.pi - 2.0 * _LEAST_YAW)
    turned = about_y(yaw) @ so3_exp(_TILT_SD * normal(count, near + over, 3))
    base = torch.cat(
        [true[:, None].expand(-1, near, -1, -1), flips[:, :1].expand(-1, over, -1, -1)], 1
    )
    uniform = _random_rotations(normal(count, rivals - near - over, 4))
    return torch.cat([true[:, None], flips, quarters, base @ turned, uniform], dim=1)


def _random_rotations(q: Tensor) -> Tensor:
    """Uniform rotations (..., 3, 3) from normally distributed vectors (..., 4)."""
    q = nn.functional.normalize(q, dim=-1)
    angle = 2.0 * torch.atan2(q[..., 1:].norm(dim=-1), q[..., 0])
    axis = nn.functional.normalize(q[..., 1:], dim=-1)
    return so3_exp(angle[..., None] * axis)


def _distinct(count: int, yaw_counts: Tensor) -> Tensor:
    """Which (B, count) of `rival_rotations` differ from the truth where only the up axis counts."""
    near = (count - 6) // 3
    differs = torch.ones(count, dtype=torch.bool, device=yaw_counts.device)
    differs[2] = differs[4:6] = False  # about y
    differs[3] = False  # about z: the same up axis as about x
    differs[6 : 6 + near] = False
    return differs | (yaw_counts[:, None] > 0.0)
