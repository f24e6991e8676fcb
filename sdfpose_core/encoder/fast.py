"""Encoder `fast`: instance points -> pose hypotheses, size and latent code.

Points are rotated so that the viewing ray through their centre becomes the z axis, and divided by
the category's median diagonal. The input then hardly depends on the object's place in the image.
Patches of neighbouring points become tokens of a small transformer (after Yu et al., "Point-BERT",
CVPR 2022). Its pooled output gives K rotation hypotheses as two axes each (after Chen et al.,
"FS-Net", CVPR 2021), the translation, the size and the code. The hypotheses are the modes of a
mixture with weights and spreads, so the network assigns a likelihood to every pose. Size and code
have spreads as well: an image of a laptop's lid says little about its base. The only context that
the network receives is the support plane.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sdfpose_core.encoder.encoding import Encoding, ShapeSpread
from sdfpose_core.errors import ShapeError
from sdfpose_core.geometry.similarity import Similarity, orthonormal_frame
from sdfpose_core.weights.network import StoredNetwork

__all__ = [
    "POSE_OUTPUTS",
    "EncoderView",
    "FastEncoder",
    "FastEncoderConfig",
    "patches",
    "support_features",
    "view_frame",
]

POSE_OUTPUTS = 13
"""Per hypothesis: y axis (3), x axis (3), translation (3), logit (1), log spreads (3)."""

_LOG_SPREADS = (-4.5, 1.5)
"""Bounds of the pose's log spreads: from 0.6 degrees to uninformative."""

_LOG_SHAPE_SPREADS = (-4.0, 1.0)
"""Bounds of the code's log spreads, relative to the spread over all shapes."""


@dataclass(frozen=True)
class FastEncoderConfig:
    """Architecture of a `FastEncoder`.

    Attributes:
        code_length: length D of the decoder's latent code.
        points: number N of input points.
        patches: number of patches.
        patch_points: points per patch.
        width: token length.
        layers: transformer layers.
        heads: attention heads.
        hypotheses: number K of pose hypotheses.
    """

    code_length: int = 32
    points: int = 512
    patches: int = 40
    patch_points: int = 16
    width: int = 128
    layers: int = 3
    heads: int = 4
    hypotheses: int = 4


class FastEncoder(StoredNetwork):
    """Encoder network of one category.

    Attributes:
        unit: (), metres: the length that points are divided by, the category's median diagonal.
        code_mean: (D,) mean of the decoder's codes.
        code_axes: (D, D), orthonormal columns: principal axes of the decoder's codes.
        code_sd: (D,) standard deviations of the codes along the principal axes.
        mixed_precision: whether to compute the layers in bfloat16 where that is safe; geometry
            and weights stay in single precision.
    """

    KIND = "encoder"
    CONFIG = FastEncoderConfig
    DTYPE = torch.float16

    config: FastEncoderConfig

    mixed_precision = False
    unit: Tensor
    code_mean: Tensor
    code_axes: Tensor
    code_sd: Tensor

    def __init__(self, config: FastEncoderConfig, unit_m: float) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("unit", torch.tensor(float(unit_m)))
        self.register_buffer("code_mean", torch.zeros(config.code_length))
        self.register_buffer("code_axes", torch.eye(config.code_length))
        self.register_buffer("code_sd", torch.ones(config.code_length))
        width = config.width
        self.patch = nn.Sequential(nn.Linear(8, 64), nn.SiLU(), nn.Linear(64, width))
        self.patch_mix = nn.Sequential(
            nn.SiLU(), nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.position = nn.Sequential(nn.Linear(5, 64), nn.SiLU(), nn.Linear(64, width))
        self.support = nn.Sequential(nn.Linear(5, 64), nn.SiLU(), nn.Linear(64, width))
        layer = nn.TransformerEncoderLayer(
            width,
            config.heads,
            dim_feedforward=2 * width,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.transformer = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.trunk = nn.Sequential(nn.Linear(2 * width, 256), nn.SiLU())
        self.pose_head = nn.Linear(256, config.hypotheses * POSE_OUTPUTS)
        # Code (D), its log spreads (D), log scale (1), its log spread (1).
        self.shape_head = nn.Linear(256, 2 * config.code_length + 2)

    def set_code_prior(self, mean: Tensor, covariance: Tensor) -> None:
        """Set the code distribution of an untrained network, which predicts offsets from the mean.

        Args:
            mean: (D,) mean of the decoder's codes.
            covariance: (D, D) covariance of the decoder's codes.
        """
        variance, axes = torch.linalg.eigh(covariance.to(self.code_axes))
        self.code_mean.copy_(mean)
        self.code_axes.copy_(axes)
        self.code_sd.copy_(variance.clamp(min=1e-8).sqrt())

    def forward(self, points: Tensor, support: Tensor) -> Encoding:
        """Predict hypotheses for B instances.

        Args:
            points: (B, N, 3), metres, camera frame; N as in the configuration.
            support: (B, 4), normal and offset (metres) of `SupportPlane`; zeros for none.

        Raises:
            ShapeError: the arguments have other shapes.
        """
        if points.ndim != 3 or points.shape[1:] != (self.config.points, 3):
            raise ShapeError(
                f"points has shape {tuple(points.shape)}: expected (B, {self.config.points}, 3)"
            )
        if support.shape != (len(points), 4):
            raise ShapeError(
                f"support has shape {tuple(support.shape)}: expected ({len(points)}, 4)"
            )
        return self.about(points.median(dim=1).values, points, support)

    def about(self, centre: Tensor, points: Tensor, support: Tensor) -> Encoding:
        """Same as `forward` with given point medians `centre` (B, 3); arguments are not checked."""
        view = EncoderView.of(centre, points, support, self.unit)
        with torch.autocast(points.device.type, torch.bfloat16, enabled=self.mixed_precision):
            pose, shape = self._network(view.local, view.plane)
        return self.encoding(view, pose.float(), shape.float())

    def encoding(self, view: EncoderView, pose: Tensor, shape: Tensor) -> Encoding:
        """Convert raw network outputs to a prediction.

        Args:
            view: input view of B instances.
            pose: (B, K, 13) raw pose outputs.
            shape: (B, 2 D + 2) raw outputs for size and code.
        """
        y_axis, x_axis, offset, logit, spread = pose.split([3, 3, 3, 1, 3], dim=-1)
        length = self.config.code_length
        along_axes, code_spread, log_scale, size_spread = shape.split([length, length, 1, 1], dim=1)
        rotation = view.frame.unsqueeze(1) @ orthonormal_frame(
            y_axis + y_axis.new_tensor([0.0, 1e-3, 0.0]),
            x_axis + x_axis.new_tensor([1e-3, 0.0, 0.0]),
        )
        towards = offset @ view.frame.transpose(-1, -2)
        translation = view.centre.unsqueeze(1) + self.unit * towards
        scale = self.unit * log_scale.clamp(-2.0, 2.0).exp().expand(logit.shape[:2])
        return Encoding(
            Similarity(rotation, translation, scale),
            logit.squeeze(-1),
            spread.clamp(*_LOG_SPREADS),
            self.code_mean + (along_axes * self.code_sd) @ self.code_axes.T,
            ShapeSpread(
                self.code_axes,
                code_spread.clamp(*_LOG_SHAPE_SPREADS) + self.code_sd.log(),
                size_spread.squeeze(1).clamp(*_LOG_SPREADS),
            ),
        )

    def _network(self, local: Tensor, plane: Tensor) -> tuple[Tensor, Tensor]:
        """Raw outputs for the poses (B, K, 13) and for size and code (B, 2 D + 2).

        Args:
            local: (B, N, 3) points in the view frame, in the network's unit.
            plane: (B, 4) support normal in the view frame and height of the points' centre above
                the support; the normal is zero if there is no support.
        """
        config = self.config
        centres, features = patches(local, plane, config.patches, config.patch_points)
        features = self.patch(features)
        pooled = torch.cat([features.amax(dim=2), features.mean(dim=2)], dim=-1)
        tokens = self.patch_mix(pooled) + self.position(centres)
        support = self.support(support_features(plane)).unsqueeze(1)
        tokens = self.norm(self.transformer(torch.cat([tokens, support], dim=1)))
        summary = self.trunk(torch.cat([tokens.amax(dim=1), tokens.mean(dim=1)], dim=-1))
        pose: Tensor = self.pose_head(summary)
        shape: Tensor = self.shape_head(summary)
        return pose.view(local.shape[0], config.hypotheses, POSE_OUTPUTS), shape

    def _settings(self) -> dict[str, Any]:
        return {**super()._settings(), "unit_m": float(self.unit)}

    @classmethod
    def _from_settings(cls, settings: dict[str, Any]) -> FastEncoder:
        architecture = {k: v for k, v in settings.items() if k != "unit_m"}
        return cls(FastEncoderConfig(**architecture), settings["unit_m"])

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        self.load_state_dict({**tensors, "unit": self.unit})  # files round it to half precision


@dataclass(frozen=True)
class EncoderView:
    """Network input for B instances.

    Attributes:
        centre: (B, 3), metres, camera frame: medians of the points.
        frame: (B, 3, 3) view frames, see `view_frame`.
        local: (B, N, 3) points in the view frame about the centre, in the network's unit.
        plane: (B, 4) support normal in the view frame and height of the centre above the support
            in the network's unit; the normal is zero if there is no support.
    """

    centre: Tensor
    frame: Tensor
    local: Tensor
    plane: Tensor

    @classmethod
    def of(cls, centre: Tensor, points: Tensor, support: Tensor, unit: Tensor) -> EncoderView:
        """Transform points and support to the view frame.

        Args:
            centre: (B, 3), metres, camera frame.
            points: (B, N, 3), metres, camera frame.
            support: (B, 4), as in `FastEncoder.forward`.
            unit: () or (B, 1, 1), metres.
        """
        frame = view_frame(centre)
        local = (points - centre.unsqueeze(1)) @ frame / unit
        # Background that leaks into the mask would dwarf the object: pull distant points in.
        distance = local.norm(dim=-1, keepdim=True)
        local = local * (distance.clamp(max=1.5) / distance.clamp(min=1e-6))
        normal = (support[:, None, :3] @ frame).squeeze(1)
        height = (support[:, :3] * centre).sum(-1, keepdim=True) - support[:, 3:]
        height = (height / unit.view(-1, 1)).clamp(-1.0, 3.0)
        return cls(centre, frame, local, torch.cat([normal, height], dim=-1))


def patches(local: Tensor, plane: Tensor, count: int, size: int) -> tuple[Tensor, Tensor]:
    """Group points into local patches.

    Args:
        local: (B, N, 3), as in `EncoderView`.
        plane: (B, 4), as in `EncoderView`.
        count: number P of patches.
        size: number S of points per patch.

    Returns:
        Patch centres (B, P, 5): x, y, z, height above the support, and whether that is known; and
        point features (B, P, S, 8): offset from the centre, followed by the same five values.
    """
    normal, centre_height = plane[:, :3], plane[:, 3]
    known = normal.square().sum(-1, keepdim=True).sqrt()
    height = (local @ normal.unsqueeze(-1)) + (known.squeeze(-1) * centre_height)[:, None, None]
    local = torch.cat([local, height, known.unsqueeze(1).expand_as(height)], dim=-1)
    # The points are in random order, so the first ones are random centres.
    centres = local[:, :count]
    nearest = (
        torch.cdist(centres[..., :3], local[..., :3]).topk(size, dim=-1, largest=False).indices
    )
    members = local.gather(1, nearest.flatten(1).unsqueeze(-1).expand(-1, -1, 5))
    members = members.view(local.shape[0], count, size, 5)
    relative = members[..., :3] - centres[..., :3].unsqueeze(2)
    return centres, torch.cat([4.0 * relative, members], dim=-1)


def support_features(plane: Tensor) -> Tensor:
    """Support features (B, 5) from planes (B, 4) as in `EncoderView`: the plane and a flag."""
    known = plane[:, :3].square().sum(-1, keepdim=True).sqrt()
    return torch.cat([plane * known, known], dim=-1)


def view_frame(centre: Tensor) -> Tensor:
    """Rotations (B, 3, 3) with the viewing ray to points (B, 3) as z column, a level x column."""
    z = nn.functional.normalize(centre, dim=-1)
    down = torch.zeros_like(z)
    down[..., 1] = 1.0
    x = nn.functional.normalize(torch.linalg.cross(down, z), dim=-1)
    return torch.stack([x, torch.linalg.cross(z, x), z], dim=-1)
