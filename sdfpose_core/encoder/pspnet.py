"""Per-pixel image features: PSPNet on a dilated ResNet-18.

Used in DenseFusion (Wang et al., CVPR 2019) and SSC-6D (Peng et al., AAAI 2022), after Zhao et al.,
"Pyramid Scene Parsing Network" (CVPR 2017). The last two ResNet stages are dilated instead of
strided. A pyramid of averages over ever smaller image parts gives each pixel its context, and three
upsampling steps restore the image size. There is no batch normalisation; pretrained weights with
batch normalisation are folded into the convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from sdfpose_core.errors import ShapeError, WeightsError
from sdfpose_core.learning.distributed import process_count, process_slice
from sdfpose_core.storage.checkpoint import load_third_party

__all__ = ["PspNet", "ResNet18"]

STRIDE = 8
"""Image pixels per ResNet feature; image sides must be multiples of it."""

_PYRAMID = (1, 2, 3, 6)
"""Grid sizes of the average pooling."""

_DROPOUT = (0.3, 0.15, 0.15)
"""Probability that a channel is dropped before each upsampling."""

_BATCH_NORM_EPSILON = 1e-5


class PspNet(nn.Module):
    """Per-pixel features: (B, 3, S, S) normalised colour -> (B, width / 2, S, S).

    Args:
        width: channels of the first ResNet stage (64 in the papers); others scale with it.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        deep = 8 * width
        self.resnet = ResNet18(width)
        self.pyramid = nn.ModuleList(nn.Conv2d(deep, deep, 1, bias=False) for _ in _PYRAMID)
        self.bottleneck = nn.Conv2d(deep * (1 + len(_PYRAMID)), 16 * width, 1)
        self.up = nn.ModuleList(
            [_Upsample(16 * width, 4 * width), _Upsample(4 * width, width), _Upsample(width, width)]
        )
        self.final = nn.Conv2d(width, width // 2, 1)
        self.dropout = nn.ModuleList(_ChannelDropout(x) for x in _DROPOUT)

    def forward(self, colour: Tensor) -> Tensor:
        """Compute features, log-softmax over the channels.

        Raises:
            ShapeError: the image does not have shape (B, 3, S, S) with S a multiple of 8.
        """
        if colour.ndim != 4 or colour.shape[1] != 3 or colour.shape[2] % STRIDE:
            raise ShapeError(
                f"colour has shape {tuple(colour.shape)}: expected (B, 3, S, S), S a multiple of "
                f"{STRIDE}"
            )
        deep = self.resnet(colour)
        parts = [
            nn.functional.interpolate(
                stage(nn.functional.adaptive_avg_pool2d(deep, count)),
                size=deep.shape[2:],
                mode="bilinear",
                align_corners=False,
            )
            for stage, count in zip(self.pyramid, _PYRAMID, strict=True)
        ]
        x = torch.relu(self.bottleneck(torch.cat([*parts, deep], dim=1)))
        for drop, up in zip(self.dropout, self.up, strict=True):
            x = up(drop(x))
        return nn.functional.log_softmax(self.final(x), dim=1)


class _ChannelDropout(nn.Module):
    """`nn.Dropout2d` whose choice does not depend on the number of processes.

    Each process draws the choice for the items of all processes and keeps its own share.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        total = len(x) * process_count()
        kept = torch.rand(total, x.shape[1], 1, 1, device=x.device) >= self.probability
        return x * kept[process_slice(total)] / (1.0 - self.probability)


class _Upsample(nn.Module):
    """Double the resolution, then convolve: (B, n_in, S, S) -> (B, n_out, 2 S, 2 S)."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.slope = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
        out: Tensor = self.slope(self.conv(x))
        return out


class ResNet18(nn.Module):
    """Residual network of 18 layers (He et al., CVPR 2016): (B, 3, S, S) -> (B, 8 w, S/8, S/8).

    Parameter names follow torchvision. There are no normalisation layers and no classifier.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3)
        self.layer1 = _stage(width, width)
        self.layer2 = _stage(width, 2 * width, stride=2)
        self.layer3 = _stage(2 * width, 4 * width, dilation=2)
        self.layer4 = _stage(4 * width, 8 * width, dilation=4)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                fan_out = layer.kernel_size[0] * layer.kernel_size[1] * layer.out_channels
                nn.init.normal_(layer.weight, std=math.sqrt(2.0 / fan_out))
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the features of the last stage."""
        x = torch.relu(self.conv1(x))
        x = nn.functional.max_pool2d(x, 3, stride=2, padding=1)
        x = self.layer2(self.layer1(x))
        out: Tensor = self.layer4(self.layer3(x))
        return out

    def load_torchvision(self, path: Path | str) -> None:
        """Load weights from a file with torchvision's ``resnet18().state_dict()``.

        Each batch normalisation, in evaluation mode, is folded into the preceding convolution.

        Raises:
            WeightsError: the file is missing, damaged, refused, or belongs to another network.
        """
        path = Path(path)
        state = load_third_party(path)
        folded: dict[str, Tensor] = {}
        for name, expected in self.state_dict().items():
            layer, _, kind = name.rpartition(".")
            if kind == "bias":
                continue
            weight = _tensor(state, name, tuple(expected.shape), path)
            norm = {
                key: _tensor(state, f"{_norm_of(layer)}.{key}", (len(weight),), path)
                for key in ("weight", "bias", "running_mean", "running_var")
            }
            gain = norm["weight"] / (norm["running_var"] + _BATCH_NORM_EPSILON).sqrt()
            folded[name] = weight * gain[:, None, None, None]
            folded[f"{layer}.bias"] = norm["bias"] - norm["running_mean"] * gain
        self.load_state_dict(folded)


class _Block(nn.Module):
    """Residual block: two 3x3 convolutions and a shortcut."""

    def __init__(self, n_in: int, n_out: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, padding=dilation, dilation=dilation)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=dilation, dilation=dilation)
        same = n_in == n_out and stride == 1
        # A sequence of one layer, to match torchvision's names.
        self.downsample = None if same else nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.relu(self.conv2(torch.relu(self.conv1(x))) + shortcut)


def _stage(n_in: int, n_out: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Stage of two blocks; as in the papers, the first block of a dilated stage is not dilated."""
    return nn.Sequential(_Block(n_in, n_out, stride), _Block(n_out, n_out, dilation=dilation))


def _norm_of(convolution: str) -> str:
    """Name of the batch normalisation after a convolution of torchvision's ResNet."""
    if convolution.endswith("downsample.0"):
        return convolution.removesuffix("0") + "1"
    return convolution.replace("conv", "bn")


def _tensor(state: Mapping[str, object], name: str, shape: tuple[int, ...], path: Path) -> Tensor:
    """Look up a tensor and check its shape."""
    found = state.get(name)
    if not isinstance(found, Tensor) or tuple(found.shape) != shape:
        what = f"has shape {tuple(found.shape)}" if isinstance(found, Tensor) else "is no tensor"
        raise WeightsError(
            f"{path}: {name} {what}: expected a tensor of shape {shape}, as in "
            "torchvision's resnet18().state_dict()"
        )
    return found.float()
