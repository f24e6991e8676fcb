"""Mask network: RGB-D image -> per pixel, whether it belongs to an object, and to which one.

A small U-Net (Ronneberger et al., MICCAI 2015) reads colour and what depth tells
(`depth_channels`). As in Neven et al. ("Instance Segmentation by Jointly Optimizing Spatial
Embeddings and Clustering Bandwidth", CVPR 2019), every pixel votes for a place that all pixels of
its object agree on, and says how close these votes are to each other. The place is a point in
space, as in UOIS-Net (Xie et al., "Unseen Object Instance Segmentation for Robotic Environments",
T-RO 2021): what is at different depths is apart from the start. Further coordinates, free of any
meaning, part what is close in space.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sdfpose_core.errors import ShapeError
from sdfpose_core.masks.depth_channels import CHANNELS, depth_channels
from sdfpose_core.weights.network import StoredNetwork

__all__ = ["UNIT_PX", "MaskMaps", "MaskNetwork", "MaskNetworkConfig"]

UNIT_PX = 64.0
"""Unit of the votes, in pixels or footprints."""

_SPACE = 3
"""Coordinates of a vote that are a point in space."""

_COLOUR_MEAN, _COLOUR_SD = 118.0, 64.0

_RARE = -2.0
"""Logit of foreground and seeds before the training."""

_USUAL_PRECISION = 1.4
"""Log precision of the votes before the training: objects are some 60 pixels wide."""

_PRECISION = (-4.0, 7.0)
"""Range of log precisions."""


@dataclass(frozen=True)
class MaskNetworkConfig:
    """Architecture of a `MaskNetwork`.

    Attributes:
        widths: channels at 1/2, 1/4, 1/8, ... of the image's resolution.
        blocks: number of blocks of the encoder at each.
        free: number of free coordinates of the votes, beside a point in space.
    """

    widths: tuple[int, ...] = (32, 48, 96, 176, 240)
    blocks: tuple[int, ...] = (1, 2, 3, 4, 2)
    free: int = 3

    def __post_init__(self) -> None:
        for name in ("widths", "blocks"):
            object.__setattr__(self, name, tuple(getattr(self, name)))


class MaskMaps(NamedTuple):
    """What the network says of each pixel of an image.

    Attributes:
        foreground: (B, 1, H, W), logit that the pixel belongs to an object.
        seed: (B, 1, H, W), logit of how near its vote is to its object's.
        votes: (B, D, H, W): where its object is, in units of `UNIT_PX` pixels: column, row, the
            distance f log(z), and free coordinates.
        log_precision: (B, 2, H, W): log of the squared inverse radius of its object's votes, in
            space and along the free coordinates.
    """

    foreground: Tensor
    seed: Tensor
    votes: Tensor
    log_precision: Tensor


class MaskNetwork(StoredNetwork):
    """Class-agnostic instance segmentation.

    Attributes:
        mixed_precision: whether the convolutions compute in bfloat16.
    """

    KIND = "mask network"
    CONFIG = MaskNetworkConfig
    DTYPE = torch.float16
    REMEDY = "train it again with this version (training/train_masks.py)"

    config: MaskNetworkConfig
    mixed_precision = False

    def __init__(self, config: MaskNetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config = MaskNetworkConfig() if config is None else config
        widths = config.widths
        stages, before = [], 3 + CHANNELS
        for i, (width, count) in enumerate(zip(widths, config.blocks, strict=True)):
            blocks = (_Block(width, 3 if i == 0 else 5) for _ in range(count))
            stages.append(nn.Sequential(*_reduction(before, width), *blocks))
            before = width
        self.stages = nn.ModuleList(stages)
        self.mixers = nn.ModuleList(
            _Mixer(low, width) for low, width in zip(widths[1:], widths[:-1], strict=True)
        )
        self._sizes = (1, 1, _SPACE + config.free, 2)
        self.head = nn.Conv2d(widths[0], 4 * sum(self._sizes), 1)
        self._start_head()

    def _start_head(self) -> None:
        """Let votes start at the pixels themselves, and nothing be an object."""
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            bias = torch.zeros(sum(self._sizes))
            bias[:2] = _RARE
            bias[-2] = _USUAL_PRECISION
            self.head.bias.copy_(bias.repeat_interleave(4))  # type: ignore[union-attr]

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.head.weight.device

    def forward(self, colour: Tensor, depth: Tensor, focal: Tensor) -> MaskMaps:
        """Compute the maps of B images; H and W are even.

        Args:
            colour: (B, 3, H, W), RGB, 0 to 255; black if there is none.
            depth: (B, 1, H, W), metres, registered to colour, 0 = missing.
            focal: (B,), focal length, pixels.

        Raises:
            ShapeError: the arguments have other shapes.
        """
        _check(colour, depth, focal)
        channels, distance = depth_channels(depth.float(), focal.float())
        image = torch.cat([(colour.float() - _COLOUR_MEAN) / _COLOUR_SD, channels], dim=1)
        image = image.contiguous(memory_format=torch.channels_last)
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.mixed_precision):
            features = self._features(image)
        # Votes in bfloat16 would be off by a good part of a pixel.
        maps = nn.functional.pixel_shuffle(self.head(features.float()), 2)
        foreground, seed, offsets, log_precision = maps.split(self._sizes, dim=1)
        votes = offsets + self._places(distance / UNIT_PX)
        return MaskMaps(foreground, seed, votes, log_precision.clamp(*_PRECISION))

    def _features(self, image: Tensor) -> Tensor:
        """Features (B, C, H/2, W/2)."""
        levels = []
        x = image
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        for mixer, skip in zip(reversed(self.mixers), reversed(levels[:-1]), strict=True):
            x = mixer(x, skip)
        return x

    def _places(self, distance: Tensor) -> Tensor:
        """Where the pixels themselves are (B, D, H, W), at a distance (B, 1, H, W)."""
        count, _, height, width = distance.shape
        v = torch.arange(height, device=distance.device, dtype=distance.dtype) / UNIT_PX
        u = torch.arange(width, device=distance.device, dtype=distance.dtype) / UNIT_PX
        columns = u.view(1, 1, 1, -1).expand(count, 1, height, -1)
        rows = v.view(1, 1, -1, 1).expand(count, 1, -1, width)
        free = distance.new_zeros(1, 1, 1, 1).expand(count, self.config.free, height, width)
        return torch.cat([columns, rows, distance, free], dim=1)


def _check(colour: Tensor, depth: Tensor, focal: Tensor) -> None:
    count, _, height, width = colour.shape if colour.ndim == 4 else (0, 0, 0, 0)
    expected = (count, 3, height, width), (count, 1, height, width), (count,)
    if (colour.shape, depth.shape, focal.shape) != expected or height % 2 or width % 2:
        raise ShapeError(
            f"colour, depth and focal have shapes {tuple(colour.shape)}, {tuple(depth.shape)} and "
            f"{tuple(focal.shape)}: expected (B, 3, H, W), (B, 1, H, W) and (B,) with even H and W"
        )


def _reduction(n_in: int, n_out: int) -> tuple[nn.Module, ...]:
    """Layers that halve the resolution."""
    return nn.Conv2d(n_in, n_out, 3, 2, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()


class _Block(nn.Module):
    """Depthwise convolution and two pointwise ones, beside a shortcut."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(
            width, width, kernel, padding=kernel // 2, groups=width, bias=False
        )
        self.norm = nn.BatchNorm2d(width)
        self.mix = nn.Sequential(
            nn.Conv2d(width, 2 * width, 1), nn.ReLU(), nn.Conv2d(2 * width, width, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.mix(self.norm(self.spatial(x)))
        return x + mixed


class _Mixer(nn.Module):
    """Features of twice the resolution, from coarse ones and those of the encoder."""

    def __init__(self, low: int, width: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(low, width, 1)
        self.blocks = nn.Sequential(_Block(width, 3), _Block(width, 3))

    def forward(self, low: Tensor, skip: Tensor) -> Tensor:
        coarse = nn.functional.interpolate(
            self.narrow(low), size=skip.shape[-2:], mode="bilinear", align_corners=False
        )
        mixed: Tensor = self.blocks(skip + coarse)
        return mixed
