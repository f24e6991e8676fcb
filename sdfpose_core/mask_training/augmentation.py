"""Random changes of training views: geometry, light, missing colour and missing depth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sdfpose_core.mask_training.views import IGNORED

__all__ = ["MaskAugmentation", "MaskBatch", "augmented", "batch_of"]


@dataclass(frozen=True)
class MaskBatch:
    """Views as tensors.

    Attributes:
        colour: (B, 3, H, W), RGB, 0 to 255.
        depth: (B, 1, H, W), metres, 0 = missing.
        ids: (B, H, W) int64, number of the object, 0 = background, -1 = ignored.
        focal: (B,), pixels.
    """

    colour: Tensor
    depth: Tensor
    ids: Tensor
    focal: Tensor


@dataclass(frozen=True)
class MaskAugmentation:
    """Extent of the random changes.

    Attributes:
        zoom: largest factor by which views are enlarged or, at most by its root, reduced.
        shift: largest shift of views beyond their border, shares of their sides.
        roll_deg: largest rotation about the optical axis.
        flip: share of mirrored views.
        turned: share of views that are upside down.
        size: largest relative change of all lengths.
        grey: share of grey views.
        tint: share of strongly tinted views.
        black: share of views without colour.
        shift_px: largest shift of colour against depth, pixels, in a tenth of the views.
        flat: share of views without depth.
        holes: share of views with large holes in depth.
        depth_noise: largest standard deviation of smooth noise of depth at 1 m, metres; it grows
            with the square of depth.
    """

    zoom: float = 1.8
    shift: float = 0.05
    roll_deg: float = 12.0
    flip: float = 0.5
    turned: float = 0.05
    size: float = 0.15
    grey: float = 0.1
    tint: float = 0.25
    black: float = 0.1
    shift_px: float = 3.0
    flat: float = 0.03
    holes: float = 0.3
    depth_noise: float = 0.001


def batch_of(records: NDArray[np.void], device: torch.device) -> MaskBatch:
    """Convert records (see `MASK_VIEW`) to tensors."""
    colour = torch.from_numpy(np.ascontiguousarray(records["colour"])).to(device)
    depth = torch.from_numpy(records["depth"].astype(np.float32)).to(device) / 1000.0
    numbers = records["ids"].astype(np.int64)
    ids = torch.from_numpy(np.where(numbers == IGNORED, -1, numbers)).to(device)
    focal = torch.from_numpy(np.ascontiguousarray(records["focal"])).to(device)
    return MaskBatch(colour.permute(0, 3, 1, 2).float(), depth[:, None], ids, focal)


def augmented(batch: MaskBatch, amount: MaskAugmentation, rng: torch.Generator) -> MaskBatch:
    """Change views at random.

    Args:
        batch: the views.
        amount: kinds and extent of the changes.
        rng: source of all random draws, on the CPU.
    """
    draw = _Draws(len(batch.focal), rng, batch.focal.device)
    zoom = (draw.between(-0.5, 1.0) * math.log(amount.zoom)).exp()
    motion = _motion(batch, zoom, amount, draw)
    colour = _resampled(batch.colour, _shifted(motion, batch, amount, draw), "bilinear")
    depth = _resampled(batch.depth, motion, "nearest")
    ids = _resampled(batch.ids[:, None].float(), motion, "nearest")[:, 0].round().long()
    size = draw.between(1.0 - amount.size, 1.0 + amount.size).view(-1, 1, 1, 1)
    depth = size * _holed(_disturbed(depth, amount, draw), amount, draw)
    return MaskBatch(_lit(colour, amount, draw), depth, ids, batch.focal * zoom)


@dataclass(frozen=True)
class _Draws:
    """Random numbers for B views."""

    count: int
    rng: torch.Generator
    device: torch.device

    def between(self, low: float, high: float, *shape: int) -> Tensor:
        """Uniform numbers (B, *shape)."""
        drawn = torch.rand(self.count, *shape, generator=self.rng)
        return (low + (high - low) * drawn).to(self.device)

    def chance(self, share: float, *shape: int) -> Tensor:
        """True (B, *shape) with a probability."""
        return self.between(0.0, 1.0, *shape) < share

    def smooth(self, cells: int, like: Tensor) -> Tensor:
        """Smooth normal noise (B, 1, H, W) with about `cells` waves across."""
        coarse = torch.randn(self.count, 1, cells, cells, generator=self.rng).to(self.device)
        return nn.functional.interpolate(coarse, size=like.shape[-2:], mode="bilinear")


def _motion(batch: MaskBatch, zoom: Tensor, amount: MaskAugmentation, draw: _Draws) -> Tensor:
    """Affine maps (B, 2, 3) from changed to original views, in pixels from the middle."""
    height, width = batch.ids.shape[-2:]
    angle = math.radians(amount.roll_deg) * draw.between(-1.0, 1.0)
    angle = angle + math.pi * draw.chance(amount.turned)
    mirror = torch.where(draw.chance(amount.flip), -1.0, 1.0)
    c, s = angle.cos() / zoom, angle.sin() / zoom
    room = 0.5 * (1.0 - 1.0 / zoom).abs() + amount.shift
    shift = draw.between(-1.0, 1.0, 2) * room[:, None]
    rows = [mirror * c, mirror * s, shift[:, 0] * width, -s, c, shift[:, 1] * height]
    return torch.stack(rows, dim=1).view(-1, 2, 3)


def _shifted(motion: Tensor, batch: MaskBatch, amount: MaskAugmentation, draw: _Draws) -> Tensor:
    """Motion of colour: in some views it is shifted against depth."""
    some = draw.chance(0.1)[:, None]
    shift = torch.where(some, amount.shift_px * draw.between(-1.0, 1.0, 2), 0.0)
    return torch.cat([motion[:, :, :2], motion[:, :, 2:] + shift[:, :, None]], dim=2)


def _resampled(image: Tensor, motion: Tensor, mode: str) -> Tensor:
    """Move images (B, C, H, W); what comes in from outside is 0."""
    height, width = image.shape[-2:]
    half = torch.tensor([0.5 * width, 0.5 * height], device=image.device)
    scaled = torch.cat([motion[:, :, :2] * half, motion[:, :, 2:]], dim=2) / half[:, None]
    grid = nn.functional.affine_grid(scaled, list(image.shape), align_corners=False)
    return nn.functional.grid_sample(image, grid, mode=mode, align_corners=False)


def _disturbed(depth: Tensor, amount: MaskAugmentation, draw: _Draws) -> Tensor:
    """Add noise of several wavelengths."""
    strength = amount.depth_noise * draw.between(0.0, 1.0, 1, 1, 1)
    noise = sum(draw.smooth(x, depth) for x in (12, 80))
    return torch.where(depth > 0.0, (depth + depth * depth * strength * noise).clamp(min=0.05), 0.0)


def _holed(depth: Tensor, amount: MaskAugmentation, draw: _Draws) -> Tensor:
    """Lose depth: in large holes, or everywhere."""
    level = draw.between(0.8, 2.5, 1, 1, 1)
    ragged = draw.smooth(8, depth) + 0.5 * draw.smooth(40, depth)
    lost = (ragged > level) & draw.chance(amount.holes, 1, 1, 1)
    return torch.where(lost | draw.chance(amount.flat, 1, 1, 1), 0.0, depth)


def _lit(colour: Tensor, amount: MaskAugmentation, draw: _Draws) -> Tensor:
    """Change the light, and what the camera makes of it."""
    image = colour / 255.0
    grey = draw.chance(amount.grey, 1, 1, 1)
    image = torch.where(grey, image.mean(dim=1, keepdim=True), image)
    strength = torch.where(draw.chance(amount.tint, 1), 0.5, 0.08)
    gain = strength * draw.between(-1.0, 1.0, 3) + draw.between(-0.4, 0.4, 1)
    image = image * gain.exp()[..., None, None] + draw.between(-0.1, 0.1, 1, 1, 1)
    image = image.clamp(0.0, 1.0) ** draw.between(-0.4, 0.4, 1, 1, 1).exp()
    noise = torch.rand(image.shape, generator=draw.rng).to(image.device) - 0.5
    image = image + draw.between(0.0, 0.08, 1, 1, 1) * noise
    black = draw.chance(amount.black, 1, 1, 1)
    return torch.where(black, 0.0, 255.0 * image.clamp(0.0, 1.0))
