"""Batched similarity transforms x_cam = s R x_obj + t and their tangent space.

A shape lies inside the ball of radius 0.5 of its normalised object frame. The scale s, the
diagonal of the bounding box in metres, and (R, t) map it to the camera frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Similarity", "hat", "orthonormal_frame", "so3_exp", "so3_log"]

_SMALL_ANGLE = 1e-4
"""Below this angle (radians), Taylor series replace the quotients of sin and cos."""


def hat(w: Tensor) -> Tensor:
    """Cross-product matrices (..., 3, 3) of vectors (..., 3): ``hat(w) @ x == cross(w, x)``."""
    x, y, z = w.unbind(-1)
    o = torch.zeros_like(x)
    return torch.stack([o, -z, y, z, o, -x, -y, x, o], dim=-1).reshape(*w.shape[:-1], 3, 3)


def so3_exp(w: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) of rotation vectors (..., 3), radians (Rodrigues)."""
    angle_sq = (w * w).sum(-1, keepdim=True).unsqueeze(-1)
    small = angle_sq < _SMALL_ANGLE**2
    safe_sq = torch.where(small, torch.ones_like(angle_sq), angle_sq)
    angle = safe_sq.sqrt()
    a = torch.where(small, 1.0 - angle_sq / 6.0, angle.sin() / angle)
    b = torch.where(small, 0.5 - angle_sq / 24.0, (1.0 - angle.cos()) / safe_sq)
    k = hat(w)
    eye = torch.eye(3, dtype=w.dtype, device=w.device)
    return eye + a * k + b * (k @ k)


def so3_log(rotation: Tensor) -> Tensor:
    """Rotation vectors (..., 3), radians, of rotation matrices (..., 3, 3).

    Computed via the unit quaternion with its largest component as the pivot (Shepperd, 1978), so
    that angles near pi are as exact as small ones.
    """
    m = rotation
    trace = m.diagonal(dim1=-2, dim2=-1).sum(-1)
    diag = m.diagonal(dim1=-2, dim2=-1)
    # Row i is the quaternion (x, y, z, w) times 4 q_i; the row with the largest q_i is the best.
    xx, yy, zz = diag.unbind(-1)
    ww = trace
    one = torch.ones_like(trace)
    xy, xz, yz = (
        m[..., 0, 1] + m[..., 1, 0],
        m[..., 0, 2] + m[..., 2, 0],
        m[..., 1, 2] + m[..., 2, 1],
    )
    wx, wy, wz = (
        m[..., 2, 1] - m[..., 1, 2],
        m[..., 0, 2] - m[..., 2, 0],
        m[..., 1, 0] - m[..., 0, 1],
    )
    rows = torch.stack(
        [
            torch.stack([one + 2 * xx - trace, xy, xz, wx], -1),
            torch.stack([xy, one + 2 * yy - trace, yz, wy], -1),
            torch.stack([xz, yz, one + 2 * zz - trace, wz], -1),
            torch.stack([wx, wy, wz, one + ww], -1),
        ],
        dim=-2,
    )
    pivot = rows.diagonal(dim1=-2, dim2=-1).argmax(-1)
    index = pivot[..., None, None].expand(*pivot.shape, 1, 4)
    q = rows.gather(-2, index).squeeze(-2)
    q = q / q.norm(dim=-1, keepdim=True)
    q = torch.where(q[..., 3:] < 0, -q, q)
    vector, w = q[..., :3], q[..., 3]
    sine = vector.norm(dim=-1)
    small = sine < _SMALL_ANGLE
    safe = torch.where(small, torch.ones_like(sine), sine)
    factor = torch.where(small, 2.0 / w, 2.0 * torch.atan2(sine, w) / safe)
    return vector * factor[..., None]


def orthonormal_frame(y_axis: Tensor, x_hint: Tensor) -> Tensor:
    """Rotations (..., 3, 3) whose y column is along `y_axis` and x column is nearest to `x_hint`.

    Both arguments (..., 3) may have any length; `x_hint` must not be parallel to `y_axis`.
    """
    y = torch.nn.functional.normalize(y_axis, dim=-1)
    x = x_hint - (x_hint * y).sum(-1, keepdim=True) * y
    x = torch.nn.functional.normalize(x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-1)


@dataclass(frozen=True)
class Similarity:
    """Batch of similarity transforms x_cam = s R x_obj + t.

    Attributes:
        rotation: R (..., 3, 3), object to camera frame.
        translation: t (..., 3), metres, camera frame.
        scale: s (...), metres per normalised object unit (the diagonal of the box).
    """

    rotation: Tensor
    translation: Tensor
    scale: Tensor

    @classmethod
    def cat(cls, parts: Sequence[Similarity]) -> Similarity:
        """Concatenate transforms along the first batch dimension."""
        return cls(
            torch.cat([x.rotation for x in parts]),
            torch.cat([x.translation for x in parts]),
            torch.cat([x.scale for x in parts]),
        )

    @property
    def batch_shape(self) -> torch.Size:
        """Shape of the batch, () for a single transform."""
        return self.scale.shape

    def transform(self, points: Tensor) -> Tensor:
        """Transform points (..., N, 3) from object frame, normalised, to camera frame, metres."""
        return self.scale[..., None, None] * (
            points @ self.rotation.transpose(-1, -2)
        ) + self.translation.unsqueeze(-2)

    def inverse_transform(self, points: Tensor) -> Tensor:
        """Transform points (..., N, 3) from camera frame, metres, to object frame, normalised."""
        return ((points - self.translation.unsqueeze(-2)) @ self.rotation) / self.scale[
            ..., None, None
        ]

    def inverse(self) -> Similarity:
        """Inverse transform."""
        rotation = self.rotation.transpose(-1, -2)
        scale = 1.0 / self.scale
        translation = -scale[..., None] * (rotation @ self.translation.unsqueeze(-1)).squeeze(-1)
        return Similarity(rotation, translation, scale)

    def compose(self, other: Similarity) -> Similarity:
        """Composition of two transforms that applies `other` first."""
        translation = (
            self.scale[..., None] * (self.rotation @ other.translation.unsqueeze(-1)).squeeze(-1)
            + self.translation
        )
        return Similarity(self.rotation @ other.rotation, translation, self.scale * other.scale)

    def retract(self, delta: Tensor) -> Similarity:
        """Apply a tangent vector.

        Args:
            delta: (..., 7): rotation vector in the object frame (radians, applied on the right),
                translation (metres, camera frame), change of log scale.
        """
        return Similarity(
            self.rotation @ so3_exp(delta[..., :3]),
            self.translation + delta[..., 3:6],
            self.scale * delta[..., 6].exp(),
        )

    def __getitem__(self, index: object) -> Similarity:
        return Similarity(self.rotation[index], self.translation[index], self.scale[index])  # type: ignore[index]

    def to(self, target: torch.device | torch.dtype) -> Similarity:
        """Move the transforms to another device or convert them to another precision."""
        return Similarity(
            self.rotation.to(target), self.translation.to(target), self.scale.to(target)
        )
