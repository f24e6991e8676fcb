"""Losses of the mask network: what is an object, and which pixels belong together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sdfpose_core.masks.network import MaskMaps

__all__ = ["MaskLossConfig", "border_pixels", "mask_losses"]

_SHARPNESS = 5.0
"""Logit that a pixel belongs to an object whose centre its vote hits."""

_SPACE = 3
"""Coordinates of the votes that are a point in space."""

_SOME_BACKGROUND = 0.02
"""Weight of pixels that nobody takes for an object, of 1 for those that everybody does."""

_EPS = 1e-6


@dataclass(frozen=True)
class MaskLossConfig:
    """Weights and limits of the losses.

    Attributes:
        foreground, overlap, seed, grouping, spread: weights of the losses, see `mask_losses`.
        border_weight: weight of pixels at the border of an object, in weights of the others.
        pixels: number of pixels of objects per view whose votes are compared with all objects.
        background: number of such pixels of the background, which belong to none of them.
        min_pixels: smaller objects are ignored by the grouping, pixels of the view.
    """

    foreground: float = 1.0
    overlap: float = 0.5
    seed: float = 2.0
    grouping: float = 1.0
    spread: float = 0.1
    border_weight: float = 4.0
    pixels: int = 4096
    background: int = 0
    min_pixels: int = 24

    def weigh(self, losses: dict[str, Tensor]) -> Tensor:
        """Sum of the losses of `mask_losses`."""
        total = torch.stack([getattr(self, name) * value for name, value in losses.items()])
        return total.sum()


def mask_losses(
    maps: MaskMaps, ids: Tensor, config: MaskLossConfig, rng: torch.Generator
) -> dict[str, Tensor]:
    """Compute the losses of B views.

    - ``foreground``: binary cross entropy of the foreground.
    - ``overlap``: one minus the Dice coefficient of the foreground.
    - ``seed``: squared error of the seeds. At an object they are to be exp(-d^2), with the distance
      d of the vote from the object's centre in radii (Neven et al., CVPR 2019, section 3.3),
      elsewhere 0.
    - ``grouping``: cross entropy of whether a pixel belongs to each of the view's objects. Its
      logit falls with the distance d. Centre and radius are means over the object. Pixels of the
      background are drawn where they are taken for objects, or border on one.
    - ``spread``: variance of the radii that an object's pixels say.

    Args:
        maps: outputs of the network.
        ids: (B, H, W) int64, number of the object, 0 = background, -1 = ignored.
        config: weights and limits.
        rng: source of the random choice of pixels, on the CPU.
    """
    border, asked = border_pixels(ids), (ids >= 0).float()
    ids = ids.clamp(min=0)
    weight = asked * (1.0 + (config.border_weight - 1.0) * border.float())
    inside = (ids > 0).float()
    logit = maps.foreground[:, 0]
    entropy = nn.functional.binary_cross_entropy_with_logits(logit, inside, reduction="none")
    p = asked * logit.sigmoid()
    common, total = (p * inside).sum(dim=(1, 2)), (p + inside).sum(dim=(1, 2))
    objects = _Objects.of(maps, ids, config.min_pixels)
    return {
        "foreground": (weight * entropy).sum() / weight.sum().clamp(min=1.0),
        "overlap": (1.0 - (2.0 * common + 1.0) / (total + 1.0)).mean(),
        "seed": _seed_loss(maps, ids, asked, objects),
        "grouping": _grouping_loss(maps, ids, asked, border, objects, config, rng),
        "spread": _spread_loss(maps, ids, objects),
    }


def border_pixels(ids: Tensor) -> Tensor:
    """Pixels (B, H, W) of which one of the 24 nearest has another id (B, H, W)."""
    padded = nn.functional.pad(ids[:, None].float(), (2, 2, 2, 2), mode="replicate")
    most = nn.functional.max_pool2d(padded, 5, 1)
    least = -nn.functional.max_pool2d(-padded, 5, 1)
    return (most != least)[:, 0]


@dataclass(frozen=True)
class _Objects:
    """Objects 1 to K of B views; those that are not there, or small, are not valid.

    Attributes:
        centre: (B, K, D).
        log_precision: (B, K, 2).
        area: (B, K), pixels.
        valid: (B, K) bool.
    """

    centre: Tensor
    log_precision: Tensor
    area: Tensor
    valid: Tensor

    @classmethod
    def of(cls, maps: MaskMaps, ids: Tensor, min_pixels: int) -> _Objects:
        """Mean votes and radii of the objects."""
        count = max(int(ids.max()), 1)
        values = torch.cat([maps.votes, maps.log_precision], dim=1).flatten(2)
        number = ids.flatten(1)
        sums = values.new_zeros(len(ids), values.shape[1], count + 1)
        sums = sums.scatter_add(2, number[:, None].expand_as(values), values)
        area = values.new_zeros(len(ids), count + 1)
        area = area.scatter_add(1, number, torch.ones_like(number, dtype=values.dtype))[:, 1:]
        means = (sums[:, :, 1:] / area[:, None].clamp(min=1.0)).transpose(1, 2)
        dimension = maps.votes.shape[1]
        return cls(means[..., :dimension], means[..., dimension:], area, area >= min_pixels)

    def distances(self, votes: Tensor) -> Tensor:
        """Squared distances (B, P, K) of votes (B, P, D) from the centres, in radii."""
        square = (votes[:, :, None] - self.centre[:, None]).square()
        precision = self.log_precision.exp()[:, None]
        space, free = square[..., :_SPACE].sum(-1), square[..., _SPACE:].sum(-1)
        return precision[..., 0] * space + precision[..., 1] * free


def _at_own(values: Tensor, ids: Tensor) -> Tensor:
    """Values (B, C, H, W) that pixels' objects have, of objects' values (B, K, C); 0 elsewhere."""
    padded = nn.functional.pad(values, (0, 0, 1, 0)).transpose(1, 2)
    number = ids.flatten(1)[:, None].expand(-1, padded.shape[1], -1)
    return padded.gather(2, number).unflatten(2, ids.shape[1:])


def _seed_loss(maps: MaskMaps, ids: Tensor, asked: Tensor, objects: _Objects) -> Tensor:
    seed = maps.seed[:, 0].sigmoid()
    with torch.no_grad():
        square = (maps.votes - _at_own(objects.centre, ids)).square()
        precision = _at_own(objects.log_precision, ids).exp()
        distance = precision[:, 0] * square[:, :_SPACE].sum(1)
        distance = distance + precision[:, 1] * square[:, _SPACE:].sum(1)
        target = torch.where(ids > 0, (-distance).exp(), 0.0)
        # All objects of a view weigh the same, and together as much as the background.
        share = objects.valid / (objects.area.clamp(min=1.0) * objects.valid.sum(1, keepdim=True))
        own = _at_own(share.nan_to_num(0.0)[..., None], ids)[:, 0]
        around = asked * (ids == 0)
        around = around / around.sum(dim=(1, 2), keepdim=True).clamp(min=1.0)
    return ((seed - target).square() * (own + around)).sum(dim=(1, 2)).mean()


def _grouping_loss(
    maps: MaskMaps,
    ids: Tensor,
    asked: Tensor,
    border: Tensor,
    objects: _Objects,
    config: MaskLossConfig,
    rng: torch.Generator,
) -> Tensor:
    # Small objects and borders would hardly count if all pixels were as likely to be drawn.
    chance = objects.valid / objects.area.clamp(min=1.0).sqrt()
    weight = _at_own(chance[..., None], ids)[:, 0] * (1.0 + (config.border_weight - 1.0) * border)
    some = weight.sum(dim=(1, 2)) > 0.0
    if not some.any():
        return maps.votes.sum() * 0.0
    at = _drawn(weight[some], config.pixels, rng)
    if config.background:
        mistaken = maps.foreground.detach()[:, 0].sigmoid() + _SOME_BACKGROUND + 0.2 * border
        around = (asked * (ids == 0) * mistaken)[some]
        at = torch.cat([at, _drawn(around, config.background, rng)], dim=1)
    votes = maps.votes[some].flatten(2).transpose(1, 2)
    drawn = votes.gather(1, at[..., None].expand(-1, -1, votes.shape[2]))
    present = _Objects(*(getattr(objects, x)[some] for x in _Objects.__dataclass_fields__))
    own = ids[some].flatten(1).gather(1, at)[..., None]
    numbers = torch.arange(1, present.area.shape[1] + 1, device=ids.device)
    logit = _SHARPNESS * (1.0 - (present.distances(drawn) + _EPS).sqrt())
    entropy = nn.functional.softplus(torch.where(own == numbers, -logit, logit))
    return (entropy * present.valid[:, None]).sum(dim=2).mean()


def _drawn(weight: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """Numbers (B, count) of pixels, drawn with a weight (B, H, W); of any if all weights are 0."""
    flat = weight.flatten(1).cpu()
    flat = torch.where(flat.sum(dim=1, keepdim=True) > 0.0, flat, 1.0)
    return torch.multinomial(flat, count, replacement=True, generator=rng).to(weight.device)


def _spread_loss(maps: MaskMaps, ids: Tensor, objects: _Objects) -> Tensor:
    square = (maps.log_precision - _at_own(objects.log_precision, ids).detach()).square()
    inside = (ids > 0).float()
    return (square.sum(1) * inside).sum() / inside.sum().clamp(min=1.0)
