"""One pose in the world behind the poses in several views, from cameras whose poses are known.

An object that stands still has one pose X in the world. Its pose in view i is C_i^-1 X up to the
error of the camera pose C_i, which is small: normally distributed with a known variance. The views
keep their own poses, as in a refinement without camera poses, and are drawn toward the common one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sdfpose_core.geometry.similarity import Similarity, so3_log

__all__ = ["KnownCameras"]

_OUTLIER_COST = 30.0
"""Cost at which a view counts half in the common pose: its camera pose may be wrong."""

_MEAN_ITERATIONS = 3

_POSE = 6
"""Parameters of a pose: rotation vector in the object frame, translation; see
`Similarity.retract`."""


@dataclass(frozen=True)
class KnownCameras:
    """The cameras of K views of one object.

    Attributes:
        rotation: (K, 3, 3), camera to world frame.
        translation: (K, 3), metres, world frame.
        precision: (K, 6) inverse variances, 1 / rad^2 and 1 / m^2, of the object's pose in the
            world, given its pose in the camera frame; about the object's axes, and along the
            camera's. 0 for views with an unknown camera.
    """

    rotation: Tensor
    translation: Tensor
    precision: Tensor

    def to(self, device: torch.device) -> KnownCameras:
        """Copy to another device."""
        return KnownCameras(
            self.rotation.to(device), self.translation.to(device), self.precision.to(device)
        )

    def common_pose(self, poses: Similarity) -> Similarity:
        """The poses in the world that explain those in the views best.

        The mean is robust (iteratively reweighted least squares): a view that contradicts the
        others hardly counts.

        Args:
            poses: (H K,) in the camera frames, K consecutive ones for each of H hypotheses.

        Returns:
            (H,) object to world frame.
        """
        views = len(self.precision)
        seen = poses.rotation.view(-1, views, 3, 3)
        rotation = self.rotation @ seen
        translation = self._to_world(poses.translation.view(-1, views, 3))
        scale = poses.scale.view(-1, views)[:, 0]
        doubt = torch.ones_like(translation[..., 0])
        for _ in range(_MEAN_ITERATIONS):
            weight = self.precision[:, ::3] * doubt.unsqueeze(-1)
            weight = weight / weight.sum(1, keepdim=True)
            turn = _nearest_rotation((weight[..., 0, None, None] * rotation).sum(1))
            place = (weight[..., 1, None] * translation).sum(1)
            common = Similarity(turn, place, scale)
            cost = self._cost(self.residuals(poses, common)).view(-1, views)
            doubt = (1.0 + cost / _OUTLIER_COST).pow(-2)
        return common

    def residuals(self, poses: Similarity, common: Similarity) -> Tensor:
        """Tangent vectors (H K, 6) from the common poses (H,) to those of the views (H K,)."""
        expected = self.in_views(common)
        turn = so3_log(expected.rotation.transpose(1, 2) @ poses.rotation)
        offset = poses.translation - expected.translation
        return torch.cat([turn, offset], dim=1)

    def in_views(self, common: Similarity) -> Similarity:
        """The common poses (H,) in the camera frames (H K,)."""
        back = self.rotation.transpose(1, 2)
        offset = common.translation.unsqueeze(1) - self.translation
        return Similarity(
            (back @ common.rotation.unsqueeze(1)).flatten(0, 1),
            (back @ offset.unsqueeze(-1)).squeeze(-1).flatten(0, 1),
            common.scale.repeat_interleave(len(self.precision)),
        )

    def add_to(self, poses: Similarity, cost: Tensor, hessian: Tensor, gradient: Tensor) -> Tensor:
        """Add the terms of the views' poses (H K,), given the best common pose.

        Args:
            poses: in the camera frames.
            cost: (H K,).
            hessian: (H K, P, P) of half the cost; changed in place.
            gradient: (H K, P) of half the cost; changed in place.

        Returns:
            The cost with the terms.
        """
        residual = self.residuals(poses, self.common_pose(poses))
        precision = self._rows(len(residual))
        hessian.diagonal(dim1=1, dim2=2)[:, :_POSE] += precision
        gradient[:, :_POSE] += precision * residual
        return cost + self._cost(residual)

    def with_common_pose(self, hessian: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """The system with the common pose as six more parameters, after those of the view's pose.

        Args:
            hessian: (H K, P, P), with the terms of `add_to`.
            gradient: (H K, P). That of the common pose is 0: it is the best one.

        Returns:
            (H K, P + 6, P + 6) and (H K, P + 6).
        """
        rows, size = gradient.shape
        precision = self._rows(rows)
        motion = hessian.new_zeros(len(self.precision), _POSE, _POSE)
        motion[:, :3, :3] = torch.eye(3, device=hessian.device)
        motion[:, 3:, 3:] = self.rotation.transpose(1, 2)
        motion = motion.repeat(rows // len(motion), 1, 1)
        full = hessian.new_zeros(rows, size + _POSE, size + _POSE)
        full[:, :_POSE, :_POSE] = hessian[:, :_POSE, :_POSE]
        full[:, :_POSE, 2 * _POSE :] = hessian[:, :_POSE, _POSE:]
        full[:, 2 * _POSE :, :_POSE] = hessian[:, _POSE:, :_POSE]
        full[:, 2 * _POSE :, 2 * _POSE :] = hessian[:, _POSE:, _POSE:]
        across = -precision.unsqueeze(-1) * motion
        full[:, :_POSE, _POSE : 2 * _POSE] = across
        full[:, _POSE : 2 * _POSE, :_POSE] = across.transpose(1, 2)
        full[:, _POSE : 2 * _POSE, _POSE : 2 * _POSE] = -motion.transpose(1, 2) @ across
        zeros = gradient.new_zeros(rows, _POSE)
        return full, torch.cat([gradient[:, :_POSE], zeros, gradient[:, _POSE:]], dim=1)

    def _to_world(self, points: Tensor) -> Tensor:
        """Points (H, K, 3) of the camera frames, in the world."""
        return (self.rotation @ points.unsqueeze(-1)).squeeze(-1) + self.translation

    def _cost(self, residual: Tensor) -> Tensor:
        return (self._rows(len(residual)) * residual.square()).sum(1)

    def _rows(self, count: int) -> Tensor:
        return self.precision.repeat(count // len(self.precision), 1)


def _nearest_rotation(matrix: Tensor) -> Tensor:
    """The rotations (..., 3, 3) nearest to matrices (Kabsch, 1976)."""
    u, _, v = torch.linalg.svd(matrix)
    sign = torch.ones_like(matrix[..., 0])
    sign[..., 2] = torch.linalg.det(u @ v)
    return u @ (sign.unsqueeze(-1) * v)
