"""Residuals of the refinement and their closed-form Jacobians.

Columns of a Jacobian: rotation vector in the object frame (3), translation (3, metres, camera
frame), log scale (1), latent code (D), in the order of `ShapePose.retract`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from sdfpose_core.refine.evidence import Evidence
from sdfpose_core.refine.state import ShapePose
from sdfpose_core.sdf.joint_decoder import JointDecoder
from sdfpose_core.sdf.shape_decoder import ShapeDecoder, newton_direction

__all__ = [
    "DecodedPoints",
    "free_space_residuals",
    "support_disc",
    "support_points",
    "support_residuals",
    "surface_points",
    "surface_residuals",
]

_DISC_RINGS = ((0.1, 4), (0.25, 8))
"""Radii, object units, and numbers of points of the rings on the support."""


@dataclass(frozen=True)
class DecodedPoints:
    """Points with decoded values and derivatives.

    Attributes:
        points: (B, N, 3), object units.
        value: f (B, N), object units.
        d_point: df/dpoints (B, N, 3).
        d_code: df/dcodes (B, N, D).
    """

    points: Tensor
    value: Tensor
    d_point: Tensor
    d_code: Tensor

    @classmethod
    def of(
        cls, decoder: ShapeDecoder | JointDecoder, points: Tensor, codes: Tensor
    ) -> DecodedPoints:
        """Decode points (B, N, 3), object units, for shapes with codes (B, D)."""
        return cls(points, *decoder.value_and_jacobian(points, codes))

    def split(self, *counts: int) -> list[DecodedPoints]:
        """Split into consecutive parts with the given numbers of points."""
        parts = [x.split(counts, dim=1) for x in vars(self).values()]
        return [DecodedPoints(*x) for x in zip(*parts, strict=True)]


def surface_points(state: ShapePose, evidence: Evidence) -> Tensor:
    """The observed points (B, N, 3), object units."""
    return state.similarity.inverse_transform(evidence.surface)


def surface_residuals(
    decoded: DecodedPoints, state: ShapePose, evidence: Evidence
) -> tuple[Tensor, Tensor]:
    """Distances of observed points from the decoded surface, in standard deviations.

    Args:
        decoded: the decoded `surface_points`.
        state: B hypotheses.
        evidence: the measurements.

    Returns:
        Residuals (B, N) and Jacobians (B, N, P).
    """
    return _distance_rows(decoded, state, 1.0 / evidence.surface_sigma)


def free_space_residuals(
    decoded: DecodedPoints, state: ShapePose, evidence: Evidence
) -> tuple[Tensor, Tensor]:
    """Depths of decoded surface points inside free space, in standard deviations.

    Args:
        decoded: anchors near the surface, see `surface_anchors`. Each represents the surface point
            one Newton step along its gradient: q = a - f grad f / |grad f|^2.
        state: B hypotheses.
        evidence: the measurements.

    Returns:
        Residuals (B, M), zero outside free space, and Jacobians (B, M, P).
    """
    step = newton_direction(decoded.d_point)
    q = decoded.points - decoded.value.unsqueeze(-1) * step
    similarity = state.similarity
    depth, toward = evidence.free.intrusion(similarity.transform(q))
    inverse_sigma = 1.0 / evidence.free.sigma.unsqueeze(-1)
    # p = s R q + t: R' = R exp(w) moves it by s R (w x q), s' = s exp(l) by s R q l, and the code
    # moves the surface along its normal.
    local = toward @ similarity.rotation * (similarity.scale[:, None] * inverse_sigma).unsqueeze(-1)
    columns = [
        torch.linalg.cross(q, local),
        toward * inverse_sigma.unsqueeze(-1),
        (local * q).sum(-1, keepdim=True),
        -(local * step).sum(-1, keepdim=True) * decoded.d_code,
    ]
    return depth * inverse_sigma, torch.cat(columns, dim=-1)


def support_points(state: ShapePose, evidence: Evidence) -> Tensor:
    """Points (B, S, 3), object units, on the support: a disc below the object's centre."""
    similarity = state.similarity
    normal, offset = evidence.support[:, :3], evidence.support[:, 3:]
    height = (normal * similarity.translation).sum(-1, keepdim=True) - offset
    foot = (similarity.translation - height * normal).unsqueeze(1)
    disc = support_disc(evidence)
    return similarity.inverse_transform(foot + similarity.scale[:, None, None] * disc)


def support_disc(evidence: Evidence) -> Tensor:
    """Disc points (B, S, 3) on the supports about their centres, in diagonals of the object."""
    return _disc(evidence.support.dtype, evidence.support.device) @ evidence.support_axes


def support_residuals(
    decoded: DecodedPoints,
    state: ShapePose,
    evidence: Evidence,
    *,
    sigma: float,
    contact_sigma: float,
) -> tuple[Tensor, Tensor]:
    """Penetration of the support into the object, and the gap between them.

    Args:
        decoded: the decoded `support_points`.
        state: B hypotheses.
        evidence: the measurements.
        sigma: standard deviation of a point's depth inside the object, object units.
        contact_sigma: standard deviation of the distance of the nearest point, object units.

    Returns:
        Residuals (B, S + 1) in standard deviations, the last one for the contact, zero without
        support; and Jacobians (B, S + 1, P).
    """
    known = evidence.support[:, :3].square().sum(-1) > 0.5
    inverse_scale = (1.0 / state.similarity.scale).unsqueeze(-1)
    distance, jacobian = _distance_rows(decoded, state, inverse_scale.expand_as(decoded.value))
    # Residuals are in object units: remove the explicit dependence on the size.
    jacobian[..., 6] -= distance
    nearest = distance.argmin(dim=1, keepdim=True)
    gap = distance.gather(1, nearest)
    gap_jacobian = jacobian.gather(1, nearest.unsqueeze(-1).expand(-1, -1, jacobian.shape[-1]))
    residual = torch.cat([-distance / sigma, gap / contact_sigma], dim=1)
    jacobian = torch.cat([-jacobian / sigma, gap_jacobian / contact_sigma], dim=1)
    active = known.unsqueeze(1) & (residual > 0.0)
    return (
        torch.where(active, residual, torch.zeros_like(residual)),
        torch.where(active.unsqueeze(-1), jacobian, torch.zeros_like(jacobian)),
    )


@lru_cache(maxsize=8)
def _disc(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Points (S, 2) of a disc, in object units: the centre and two rings."""
    rings = [torch.zeros(1, 2, dtype=dtype, device=device)]
    for radius, count in _DISC_RINGS:
        angle = torch.arange(count, dtype=dtype, device=device) * (2.0 * torch.pi / count)
        rings.append(radius * torch.stack([angle.cos(), angle.sin()], dim=-1))
    return torch.cat(rings)


def _distance_rows(
    decoded: DecodedPoints, state: ShapePose, inverse_sigma: Tensor
) -> tuple[Tensor, Tensor]:
    """f(q; z) s / sigma (B, N) and its Jacobian (B, N, P).

    With R' = R exp(w), t' = t + dt, s' = s exp(l): q moves by q x w - R^T dt / s - l q.
    """
    q, f, d_q = decoded.points, decoded.value, decoded.d_point
    similarity = state.similarity
    scale = similarity.scale[:, None]
    factor = (scale * inverse_sigma).unsqueeze(-1)
    columns = [
        torch.linalg.cross(d_q, q) * factor,
        -(d_q @ similarity.rotation.transpose(-1, -2)) * inverse_sigma.unsqueeze(-1),
        (f - (d_q * q).sum(-1)).unsqueeze(-1) * factor,
        decoded.d_code * factor,
    ]
    return f * scale * inverse_sigma, torch.cat(columns, dim=-1)
