"""Encoder `ssc6d`: instance colour and points -> pose, size and latent code.

The pose network of SSC-6D (Peng et al., "Self-Supervised Category-Level 6D Object Pose Estimation
with Deep Implicit Shape Representation", AAAI 2022). PSPNet computes pixel features. At each
measured point they are fused with position features (Wang et al., "DenseFusion", CVPR 2019) and
with the mean over all points. Max pooling over the points feeds four heads. Names, sizes and the
crop follow the published implementation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sdfpose_core.encoder.encoding import Encoding
from sdfpose_core.encoder.pspnet import PspNet
from sdfpose_core.errors import ConfigurationError, FrameError, ShapeError
from sdfpose_core.geometry.similarity import Similarity, hat
from sdfpose_core.observation.colour_crop import ColourCrop, crop_window, square_crop
from sdfpose_core.observation.frame import Instance
from sdfpose_core.storage.configuration import check_at_least_one
from sdfpose_core.weights.network import StoredNetwork

__all__ = ["ColourView", "Ssc6dConfig", "Ssc6dEncoder", "colour_view"]

_COLOUR_MEAN = (0.485, 0.456, 0.406)
_COLOUR_SD = (0.229, 0.224, 0.225)
"""ImageNet statistics, RGB, 0 to 1."""

_MIN_SCALE_M = 1e-3
"""Keeps the logarithm of the size finite."""


@dataclass(frozen=True)
class Ssc6dConfig:
    """Architecture of a `Ssc6dEncoder`; the defaults are the paper's.

    Attributes:
        code_length: length D of the decoder's latent code.
        points: number N of input points.
        image_size: side S of the input crop, pixels, a multiple of 8.
        width: channels of the first layers; all others scale with it.
        code_bound: largest norm of predicted codes; longer ones are scaled down, as in the
            evaluation of the published implementation. 0: no limit.
    """

    code_length: int = 16
    points: int = 1024
    image_size: int = 192
    width: int = 64
    code_bound: float = 0.0

    def __post_init__(self) -> None:
        check_at_least_one(self, "code_length", "points", "image_size", "width")
        if self.image_size % 8:
            raise ConfigurationError(f"image_size is {self.image_size}: expected a multiple of 8")


@dataclass(frozen=True)
class ColourView:
    """Network input for one instance.

    Attributes:
        colour: (S, S, 3) uint8, RGB: the crop around the instance.
        points: (N, 3) float32, metres, camera frame.
        index: (N,) int64, row-major pixel index of each point in the crop.
    """

    colour: NDArray[np.uint8]
    points: NDArray[np.float32]
    index: NDArray[np.int64]


class Ssc6dEncoder(StoredNetwork):
    """Encoder network of one category.

    Attributes:
        mixed_precision: whether the colour network's layers compute in bfloat16.
    """

    KIND = "ssc6d encoder"
    CONFIG = Ssc6dConfig
    DTYPE = torch.float16
    REMEDY = "train or import it again with this version"

    config: Ssc6dConfig

    mixed_precision = False
    colour_mean: Tensor
    colour_sd: Tensor

    def __init__(self, config: Ssc6dConfig = Ssc6dConfig()) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.colour = PspNet(width)
        self.fusion = _PointFusion(width)
        self.summary = nn.ModuleList(
            [nn.Conv1d(22 * width, 16 * width, 1), nn.Conv1d(16 * width, 8 * width, 1)]
        )
        outputs = {"rotation": 4, "translation": 3, "scale": 1, "code": config.code_length}
        self.heads = nn.ModuleDict({x: _head(8 * width, n) for x, n in outputs.items()})
        for name, value in (("colour_mean", _COLOUR_MEAN), ("colour_sd", _COLOUR_SD)):
            self.register_buffer(name, 255.0 * torch.tensor(value).view(3, 1, 1), persistent=False)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.colour_mean.device

    def forward(self, colour: Tensor, points: Tensor, index: Tensor) -> Encoding:
        """Predict one hypothesis for each of B instances.

        Args:
            colour: (B, S, S, 3), RGB, 0 to 255, crops around the instances.
            points: (B, N, 3), metres, camera frame.
            index: (B, N) integer, row-major pixel index of each point in the crop.

        Raises:
            ShapeError: the arguments have other shapes.
        """
        self._check(colour, points, index)
        image = (colour.float().permute(0, 3, 1, 2) - self.colour_mean) / self.colour_sd
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.mixed_precision):
            pixels = self.colour(image)
        pixels = pixels.float().flatten(2)
        pixels = pixels.gather(2, index.unsqueeze(1).expand(-1, pixels.shape[1], -1))
        centre = points.mean(dim=1)
        x = self.fusion((points - centre.unsqueeze(1)).transpose(1, 2), pixels)
        for layer in self.summary:
            x = torch.relu(layer(x))
        x = x.amax(dim=2)
        codes: Tensor = self.heads["code"](x)
        if self.config.code_bound > 0.0:
            length = codes.norm(dim=-1, keepdim=True)
            codes = codes * (self.config.code_bound / length.clamp(min=self.config.code_bound))
        similarity = Similarity(
            _rotation(self.heads["rotation"](x)).unsqueeze(1),
            (centre + self.heads["translation"](x)).unsqueeze(1),
            self.heads["scale"](x).abs().clamp(min=_MIN_SCALE_M),
        )
        logits = torch.zeros_like(similarity.scale)
        return Encoding(similarity, logits, logits.new_zeros(*logits.shape, 3), codes)

    @torch.no_grad()
    def encode(
        self, instances: Sequence[Instance], rngs: Sequence[np.random.Generator]
    ) -> Encoding:
        """Predict one hypothesis for each of B instances.

        Args:
            instances: instances with colour and at least one point each.
            rngs: select the points, one generator per instance.

        Raises:
            FrameError: an instance has no colour image.
        """
        config = self.config
        views = [
            colour_view(x, config.image_size, config.points, rng)
            for x, rng in zip(instances, rngs, strict=True)
        ]
        encoding: Encoding = self(
            torch.from_numpy(np.stack([x.colour for x in views])).to(self.device),
            torch.from_numpy(np.stack([x.points for x in views])).to(self.device),
            torch.from_numpy(np.stack([x.index for x in views])).to(self.device),
        )
        return encoding

    def _check(self, colour: Tensor, points: Tensor, index: Tensor) -> None:
        size, count = self.config.image_size, self.config.points
        if colour.ndim != 4 or colour.shape[1:] != (size, size, 3):
            raise ShapeError(
                f"colour has shape {tuple(colour.shape)}: expected (B, {size}, {size}, 3)"
            )
        batch = len(colour)
        if points.shape != (batch, count, 3) or index.shape != (batch, count):
            raise ShapeError(
                f"points and index have shapes {tuple(points.shape)} and {tuple(index.shape)}: "
                f"expected ({batch}, {count}, 3) and ({batch}, {count})"
            )


class _PointFusion(nn.Module):
    """Fuse positions (B, 3, N) and pixel features (B, w/2, N) to features (B, 22 w, N)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.point = nn.ModuleList([nn.Conv1d(3, width, 1), nn.Conv1d(width, 2 * width, 1)])
        self.pixel = nn.ModuleList(
            [nn.Conv1d(width // 2, width, 1), nn.Conv1d(width, 2 * width, 1)]
        )
        self.joint = nn.ModuleList(
            [nn.Conv1d(4 * width, 8 * width, 1), nn.Conv1d(8 * width, 16 * width, 1)]
        )

    def forward(self, points: Tensor, pixels: Tensor) -> Tensor:
        fused = []
        for point_layer, pixel_layer in zip(self.point, self.pixel, strict=True):
            points, pixels = torch.relu(point_layer(points)), torch.relu(pixel_layer(pixels))
            fused.append(torch.cat([points, pixels], dim=1))
        x = fused[-1]
        for layer in self.joint:
            x = torch.relu(layer(x))
        global_feature = x.mean(dim=2, keepdim=True).expand(-1, -1, points.shape[2])
        return torch.cat([*fused, global_feature], dim=1)


def _head(n_in: int, n_out: int) -> nn.Sequential:
    """Output head with two hidden layers: (B, n_in) -> (B, n_out)."""
    half, quarter = n_in // 2, n_in // 4
    return nn.Sequential(
        nn.Linear(n_in, half),
        nn.LeakyReLU(),
        nn.Linear(half, quarter),
        nn.LeakyReLU(),
        nn.Linear(quarter, n_out),
    )


def _rotation(quaternion: Tensor) -> Tensor:
    """Convert quaternions (..., 4), real part first, any norm, to matrices (..., 3, 3)."""
    q = nn.functional.normalize(quaternion, dim=-1)
    k = hat(q[..., 1:])
    eye = torch.eye(3, dtype=q.dtype, device=q.device)
    return eye + 2.0 * q[..., :1, None] * k + 2.0 * (k @ k)


def colour_view(instance: Instance, size: int, count: int, rng: np.random.Generator) -> ColourView:
    """Extract the crop, points and pixel indices of an instance.

    Args:
        instance: an instance with colour and at least one point.
        size: side of the resized crop, pixels.
        count: number of random points; points of small instances are repeated.
        rng: selects the points.

    Raises:
        FrameError: the instance has no colour, or its stored crop is damaged.
    """
    if instance.colour is None:
        raise FrameError(
            f"mask id {instance.mask_id} ({instance.category}) has no colour: expected an (H, W, "
            "3) uint8 image, which the encoder 'ssc6d' needs (the encoder 'fast' does not)"
        )
    if isinstance(instance.colour, ColourCrop):
        left, top, side = instance.colour.left, instance.colour.top, instance.colour.side
        crop = instance.colour.decode()
    else:
        left, top, side = crop_window(instance.pixels, instance.colour.shape)
        crop = square_crop(instance.colour, left, top, side)
    resized = cv2.resize(crop, (size, size), interpolation=cv2.INTER_LINEAR)
    rounds = -(-count // len(instance.points))
    order = [rng.permutation(len(instance.points)) for _ in range(rounds)]
    chosen = np.concatenate(order)[:count]
    at = (instance.pixels[chosen].astype(np.int64) - (left, top)) * size // side
    return ColourView(
        np.asarray(resized, dtype=np.uint8),
        instance.points[chosen],
        at[:, 1] * size + at[:, 0],
    )
