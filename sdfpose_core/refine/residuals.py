"""The residuals of the refinement and their closed-form Jacobians.

Columns of a Jacobian: rotation vector in the object frame (3), translation (3, metres, camera
frame), log scale (1), latent code (D); the order of `ShapePose.retract`.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from sdfpose_core.refine.evidence import Evidence
from sdfpose_core.refine.state import ShapePose
from sdfpose_core.sdf.shape_decoder import ShapeDecoder, newton_direction

__all__ = [
    "free_space_residuals",
    "support_residuals",
    "surface_anchors",
    "surface_residuals",
]

_BALL_RADIUS = 0.51
"""Object units: this ball holds every shape."""

_CANDIDATES_PER_ANCHOR = 8

_DISC_RINGS = ((0.1, 4), (0.25, 8))
"""Radii, object units, and numbers of points on the support."""


def surface_residuals(
    decoder: ShapeDecoder, state: ShapePose, evidence: Evidence
) -> tuple[Tensor, Tensor]:
    """Distances of observed points from the decoded surface, in standard deviations.

    Returns:
        Residuals (B, N) and Jacobians (B, N, 7 + D).
    """
    q = state.similarity.inverse_transform(evidence.surface)
    return _distance_rows(decoder, state, q, 1.0 / evidence.surface_sigma)


def free_space_residuals(
    decoder: ShapeDecoder, state: ShapePose, evidence: Evidence, anchors: Tensor
) -> tuple[Tensor, Tensor]:
    """How far points of the decoded surface are inside free space, in standard deviations.

    Args:
        decoder: the category's decoder.
        state: B hypotheses.
        evidence: what was measured.
        anchors: (B, M, 3), object units, near the surface. Each stands for the point of the
            surface that one step along its gradient leads to: q = a - f grad f / |grad f|^2.

    Returns:
        Residuals (B, M), zero where a point may be, and Jacobians (B, M, 7 + D).
    """
    f, d_q, d_z = decoder.value_and_jacobian(anchors, state.codes)
    step = newton_direction(d_q)
    q = anchors - f.unsqueeze(-1) * step
    similarity = state.similarity
    depth, toward = evidence.free.intrusion(similarity.transform(q))
    inverse_sigma = 1.0 / evidence.free.sigma.unsqueeze(-1)
    # p = s R q + t: R' = R exp(w) moves it by s R (w x q), s' = s exp(l) by s R q l, and the code
    # moves the surface along its normal.
    local = toward @ similarity.rotation * (similarity.scale[:, None] * inverse_sigma).unsqueeze(-1)
    jacobian = torch.cat(
        [
            torch.linalg.cross(q, local),
            toward * inverse_sigma.unsqueeze(-1),
            (local * q).sum(-1, keepdim=True),
            -(local * step).sum(-1, keepdim=True) * d_z,
        ],
        dim=-1,
    )
    return depth * inverse_sigma, jacobian


def surface_anchors(decoder: ShapeDecoder, codes: Tensor, count: int) -> Tensor:
    """Points (B, count, 3), object units, on or near the decoded surfaces of codes (B, D).

    Evenly spread: those of a lattice with the least |f| fill a shell about the surface, and are
    carried onto it.
    """
    lattice = _lattice(_CANDIDATES_PER_ANCHOR * count).to(codes).expand(len(codes), -1, -1)
    chosen = decoder(lattice, codes).abs().topk(count, dim=1, largest=False).indices
    points = lattice.gather(1, chosen.unsqueeze(-1).expand(-1, -1, 3))
    f, d_q = decoder.value_and_gradient(points, codes)
    return points - f.unsqueeze(-1) * newton_direction(d_q)


@lru_cache(maxsize=8)
def _lattice(count: int) -> Tensor:
    """Quasi-random points (1, N, 3) in the ball that holds every shape."""
    cube = torch.quasirandom.SobolEngine(3).draw(2 * count) - 0.5
    points = 2.0 * _BALL_RADIUS * cube
    return points[points.norm(dim=-1) < _BALL_RADIUS][:count].unsqueeze(0)


def support_residuals(
    decoder: ShapeDecoder,
    state: ShapePose,
    evidence: Evidence,
    *,
    sigma: float,
    contact_sigma: float,
) -> tuple[Tensor, Tensor]:
    """How deep the support cuts into the object, and how far above it the object floats.

    Both are found from points of the support on a disc under the object's middle.

    Args:
        decoder: the category's decoder.
        state: B hypotheses.
        evidence: what was measured.
        sigma: object units; one standard deviation of how deep a point lies inside the object.
        contact_sigma: object units; one standard deviation of the distance of the nearest point.

    Returns:
        Residuals (B, S + 1), the last one that of the contact, in standard deviations, zero where
        there is no support, and Jacobians (B, S + 1, 7 + D).
    """
    similarity = state.similarity
    normal, offset = evidence.support[:, :3], evidence.support[:, 3]
    known = normal.square().sum(-1) > 0.5
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
    q = similarity.inverse_transform(points)
    distance, jacobian = _distance_rows(
        decoder, state, q, (1.0 / similarity.scale).unsqueeze(-1).expand(q.shape[:2])
    )
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
    decoder: ShapeDecoder, state: ShapePose, q: Tensor, inverse_sigma: Tensor
) -> tuple[Tensor, Tensor]:
    """f(q; z) s / sigma (B, N) and its Jacobian (B, N, 7 + D).

    With R' = R exp(w), t' = t + dt, s' = s exp(l): q moves by q x w - R^T dt / s - l q.
    """
    f, d_q, d_z = decoder.value_and_jacobian(q, state.codes)
    similarity = state.similarity
    scale = similarity.scale[:, None]
    factor = (scale * inverse_sigma).unsqueeze(-1)
    d_rotation = torch.linalg.cross(d_q, q) * factor
    d_translation = -(d_q @ similarity.rotation.transpose(-1, -2)) * inverse_sigma.unsqueeze(-1)
    d_scale = (f - (d_q * q).sum(-1)).unsqueeze(-1) * factor
    jacobian = torch.cat([d_rotation, d_translation, d_scale, d_z * factor], dim=-1)
    return f * scale * inverse_sigma, jacobian
