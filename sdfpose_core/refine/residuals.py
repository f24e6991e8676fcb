"""The residuals of the refinement and their closed-form Jacobians.

Columns of a Jacobian: rotation vector in the object frame (3), translation (3, metres, camera
frame), log scale (1), latent code (D); the order of `ShapePose.retract`. Where size and code stay
as they are, the first six alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sdfpose_core.refine.evidence import Evidence
from sdfpose_core.refine.state import ShapePose
from sdfpose_core.sdf.shape_decoder import ShapeDecoder, newton_direction

__all__ = [
    "DecodedPoints",
    "free_space_residuals",
    "support_points",
    "support_residuals",
    "surface_points",
    "surface_residuals",
]

_DISC_RINGS = ((0.1, 4), (0.25, 8))
"""Radii, object units, and numbers of points on the support."""


@dataclass(frozen=True)
class DecodedPoints:
    """What the decoder says of points.

    Attributes:
        points: (B, N, 3), object units.
        value: f (B, N), object units.
        d_point: df/dpoints (B, N, 3).
        d_code: df/dcodes (B, N, D); None where the code stays as it is.
    """

    points: Tensor
    value: Tensor
    d_point: Tensor
    d_code: Tensor | None

    @classmethod
    def of(
        cls, decoder: ShapeDecoder, points: Tensor, codes: Tensor, *, with_code: bool
    ) -> DecodedPoints:
        """Evaluate the decoder.

        Args:
            decoder: the category's decoder.
            points: (B, N, 3), object units.
            codes: (B, D).
            with_code: whether the derivative by the code is wanted; it costs as much as the rest.
        """
        if with_code:
            return cls(points, *decoder.value_and_jacobian(points, codes))
        return cls(points, *decoder.value_and_gradient(points, codes), None)

    def split(self, *counts: int) -> list[DecodedPoints]:
        """Parts of so many points each, in a row."""
        parts = [x.split(counts, dim=1) for x in (self.points, self.value, self.d_point)]
        codes = (None,) * len(counts) if self.d_code is None else self.d_code.split(counts, dim=1)
        return [DecodedPoints(*x) for x in zip(*parts, codes, strict=True)]


def surface_points(state: ShapePose, evidence: Evidence) -> Tensor:
    """The observed points (B, N, 3), object units."""
    return state.similarity.inverse_transform(evidence.surface)


def surface_residuals(
    decoded: DecodedPoints, state: ShapePose, evidence: Evidence
) -> tuple[Tensor, Tensor]:
    """Distances of observed points from the decoded surface, in standard deviations.

    Args:
        decoded: the `surface_points`.
        state: B hypotheses.
        evidence: what was measured.

    Returns:
        Residuals (B, N) and Jacobians (B, N, P).
    """
    return _distance_rows(decoded, state, 1.0 / evidence.surface_sigma)


def free_space_residuals(
    decoded: DecodedPoints, state: ShapePose, evidence: Evidence
) -> tuple[Tensor, Tensor]:
    """How far points of the decoded surface are inside free space, in standard deviations.

    Args:
        decoded: anchors near the surface, see `surface_anchors`. Each stands for the point of the
            surface that one step along its gradient leads to: q = a - f grad f / |grad f|^2.
        state: B hypotheses.
        evidence: what was measured.

    Returns:
        Residuals (B, M), zero where a point may be, and Jacobians (B, M, P).
    """
    step = newton_direction(decoded.d_point)
    q = decoded.points - decoded.value.unsqueeze(-1) * step
    similarity = state.similarity
    depth, toward = evidence.free.intrusion(similarity.transform(q))
    inverse_sigma = 1.0 / evidence.free.sigma.unsqueeze(-1)
    # p = s R q + t: R' = R exp(w) moves it by s R (w x q), s' = s exp(l) by s R q l, and the code
    # moves the surface along its normal.
    local = toward @ similarity.rotation * (similarity.scale[:, None] * inverse_sigma).unsqueeze(-1)
    columns = [torch.linalg.cross(q, local), toward * inverse_sigma.unsqueeze(-1)]
    if decoded.d_code is not None:
        columns.append((local * q).sum(-1, keepdim=True))
        columns.append(-(local * step).sum(-1, keepdim=True) * decoded.d_code)
    return depth * inverse_sigma, torch.cat(columns, dim=-1)


def support_points(state: ShapePose, evidence: Evidence) -> Tensor:
    """Points (B, S, 3), object units, of the support: a disc under the object's middle."""
    similarity = state.similarity
    normal, offset = evidence.support[:, :3], evidence.support[:, 3]
    # Two directions within the plane; the axis that is most nearly in it gives the first.
    across = torch.nn.functional.one_hot(normal.abs().argmin(dim=1), 3).to(normal)
    first = torch.nn.functional.normalize(torch.linalg.cross(normal, across), dim=-1)
    second = torch.linalg.cross(normal, first)
    height = (normal * similarity.translation).sum(-1) - offset
    disc = _disc(normal) * similarity.scale[:, None, None]
    points = (
        (similarity.translation - height.unsqueeze(-1) * normal).unsqueeze(1)
        + disc[..., :1] * first.unsqueeze(1)
        + disc[..., 1:] * second.unsqueeze(1)
    )
    return similarity.inverse_transform(points)


def support_residuals(
    decoded: DecodedPoints,
    state: ShapePose,
    evidence: Evidence,
    *,
    sigma: float,
    contact_sigma: float,
) -> tuple[Tensor, Tensor]:
    """How deep the support cuts into the object, and how far above it the object floats.

    Args:
        decoded: the `support_points`.
        state: B hypotheses.
        evidence: what was measured.
        sigma: object units; one standard deviation of how deep a point lies inside the object.
        contact_sigma: object units; one standard deviation of the distance of the nearest point.

    Returns:
        Residuals (B, S + 1), the last one that of the contact, in standard deviations, zero where
        there is no support, and Jacobians (B, S + 1, P).
    """
    known = evidence.support[:, :3].square().sum(-1) > 0.5
    inverse_scale = (1.0 / state.similarity.scale).unsqueeze(-1)
    distance, jacobian = _distance_rows(decoded, state, inverse_scale.expand_as(decoded.value))
    if decoded.d_code is not None:
        # In object units: the share of the size itself is taken out, as with free space.
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


def _disc(like: Tensor) -> Tensor:
    """Points (S, 2) of a disc, in object units: the centre and two rings."""
    rings = [torch.zeros(1, 2, dtype=like.dtype, device=like.device)]
    for radius, count in _DISC_RINGS:
        angle = torch.arange(count, dtype=like.dtype, device=like.device) * (2.0 * torch.pi / count)
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
    ]
    if decoded.d_code is not None:
        columns.append((f - (d_q * q).sum(-1)).unsqueeze(-1) * factor)
        columns.append(decoded.d_code * factor)
    return f * scale * inverse_sigma, torch.cat(columns, dim=-1)
