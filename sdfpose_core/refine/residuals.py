"""The residuals of the refinement and their closed-form Jacobians.

Columns of a Jacobian: rotation vector in the object frame (3), translation (3, metres, camera
frame), log scale (1), latent code (D); the order of `ShapePose.retract`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sdfpose_core.sdf.shape_decoder import ShapeDecoder
from sdfpose_core.similarity import Similarity

__all__ = [
    "Evidence",
    "Priors",
    "RotationPrior",
    "ShapePose",
    "free_space_residuals",
    "support_residuals",
    "surface_residuals",
]

_BALL_RADIUS = 0.52
"""Object units: rays are searched inside this ball, which holds every shape."""

_COARSE_SAMPLES = 6
_TRACING_STEPS = 3
"""From the lowest of the coarse samples towards the surface, so that thin walls are found."""


_GRAZING_GAP = 0.08
"""Object units; a ray to a point of the object is known to be free up to this far before it."""

_NOISE_GAP, _NOISE_GAP_M = 0.01, 0.006
"""Object units, and metres on top of them: the same of a point around the object."""

_DISC_RINGS = ((0.1, 4), (0.25, 8))
"""Radii, object units, and numbers of points on the support."""


@dataclass(frozen=True)
class ShapePose:
    """The state of B hypotheses.

    Attributes:
        similarity: (B,) decoder frame to camera frame.
        codes: (B, D) latent codes.
    """

    similarity: Similarity
    codes: Tensor

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, index: Tensor | slice) -> ShapePose:
        return ShapePose(self.similarity[index], self.codes[index])

    def retract(self, delta: Tensor) -> ShapePose:
        """Move along tangent vectors (B, 7 + D)."""
        return ShapePose(self.similarity.retract(delta[:, :7]), self.codes + delta[:, 7:])

    def where(self, condition: Tensor, other: ShapePose) -> ShapePose:
        """This state where `condition` (B,) holds, the other one elsewhere."""
        a, b = self.similarity, other.similarity
        return ShapePose(
            Similarity(
                torch.where(condition[:, None, None], a.rotation, b.rotation),
                torch.where(condition[:, None], a.translation, b.translation),
                torch.where(condition, a.scale, b.scale),
            ),
            torch.where(condition[:, None], self.codes, other.codes),
        )


@dataclass(frozen=True)
class Evidence:
    """What the camera measured of the object of each hypothesis.

    Attributes:
        surface: (B, N, 3), metres, camera frame: points on the object.
        surface_sigma: (B, N), metres: standard deviation of their distance from the surface.
        beyond: (B, M, 3), metres, camera frame: points around the object; the rays from the
            camera to them miss it.
        beyond_weight: (B, M): 0 for padding, else 1.
        support: (B, 4), normal and offset (metres) of the plane that the object stands on or leans
            against, see `SupportPlane`; zeros where there is none.
    """

    surface: Tensor
    surface_sigma: Tensor
    beyond: Tensor
    beyond_weight: Tensor
    support: Tensor

    def __getitem__(self, index: Tensor | slice) -> Evidence:
        return Evidence(
            self.surface[index],
            self.surface_sigma[index],
            self.beyond[index],
            self.beyond_weight[index],
            self.support[index],
        )

    def thinned(self, surface: int, beyond: int) -> Evidence:
        """The first so many points of each kind (they are stored in random order)."""
        return Evidence(
            self.surface[:, :surface],
            self.surface_sigma[:, :surface],
            self.beyond[:, :beyond],
            self.beyond_weight[:, :beyond],
            self.support,
        )


@dataclass(frozen=True)
class RotationPrior:
    """What is expected of the rotations of B hypotheses.

    Attributes:
        rotation: (B, 3, 3), decoder frame to camera frame.
        precision: (B, 2), inverse variances of each component of the y axis' and of the x axis'
            difference from those of `rotation`; 0 where nothing is expected.
    """

    rotation: Tensor
    precision: Tensor

    def __getitem__(self, index: Tensor | slice) -> RotationPrior:
        return RotationPrior(self.rotation[index], self.precision[index])

    def cost(self, rotation: Tensor) -> Tensor:
        """Weighted squared lengths (B,) of the differences of the axes of rotations (B, 3, 3)."""
        difference = (rotation - self.rotation).square().sum(dim=1)
        return self.precision[:, 0] * difference[:, 1] + self.precision[:, 1] * difference[:, 0]

    def add_to(self, rotation: Tensor, hessian: Tensor, gradient: Tensor) -> None:
        """Add its share to Hessians (B, P, P) and gradients (B, P), in place.

        The axis a = R e moves by R (w x e): its Jacobian's square is I - e e^T, and the gradient
        of half the squared difference from a0 is (R^T a0) x e.
        """
        for column, which in ((1, 0), (0, 1)):
            axis = torch.zeros_like(rotation[..., 0])
            axis[:, column] = 1.0
            weight = self.precision[:, which]
            expected = (self.rotation[..., column].unsqueeze(1) @ rotation).squeeze(1)
            gradient[:, :3] += weight.unsqueeze(-1) * torch.linalg.cross(expected, axis)
            across = torch.eye(3, dtype=axis.dtype, device=axis.device) - (
                axis.unsqueeze(2) * axis.unsqueeze(1)
            )
            hessian[:, :3, :3] += weight[:, None, None] * across


@dataclass(frozen=True)
class Priors:
    """Gaussian priors of code and log size, and of the rotation where one is known.

    Attributes:
        code_mean: (D,), or (B, D) where each hypothesis has its own.
        code_precision: (D, D), inverse covariance of the training shapes' codes.
        log_scale_mean: natural logarithm of the category's median diagonal in metres, or (B,).
        log_scale_sd: its standard deviation.
        rotation: what is expected of the rotation, None for nothing.
    """

    code_mean: Tensor
    code_precision: Tensor
    log_scale_mean: float | Tensor
    log_scale_sd: float
    rotation: RotationPrior | None = None

    def around(self, state: ShapePose, code_weight: float, log_scale_sd: float) -> Priors:
        """Priors of shapes that were estimated before.

        Args:
            state: (B,) with the earlier codes and sizes.
            code_weight: how many times as precise as the category's prior they are.
            log_scale_sd: standard deviation of the earlier log sizes.
        """
        return Priors(
            state.codes,
            code_weight * self.code_precision,
            state.similarity.scale.log(),
            log_scale_sd,
        )

    def cost(self, state: ShapePose) -> Tensor:
        """Squared Mahalanobis distances (B,) of code and log size, and of the rotation."""
        d = state.codes - self.code_mean
        e = (state.similarity.scale.log() - self.log_scale_mean) / self.log_scale_sd
        cost = (d @ self.code_precision * d).sum(-1) + e.square()
        if self.rotation is not None:
            cost = cost + self.rotation.cost(state.similarity.rotation)
        return cost

    def add_to(self, state: ShapePose, hessian: Tensor, gradient: Tensor) -> None:
        """Add the priors' share to Hessians (B, P, P) and gradients (B, P), in place."""
        hessian[:, 7:, 7:] += self.code_precision
        gradient[:, 7:] += (state.codes - self.code_mean) @ self.code_precision
        weight = 1.0 / self.log_scale_sd**2
        hessian[:, 6, 6] += weight
        gradient[:, 6] += (state.similarity.scale.log() - self.log_scale_mean) * weight
        if self.rotation is not None:
            self.rotation.add_to(state.similarity.rotation, hessian, gradient)


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
    decoder: ShapeDecoder,
    state: ShapePose,
    evidence: Evidence,
    *,
    looked_through: int,
    margin: float,
    sigma: float,
) -> tuple[Tensor, Tensor]:
    """How deep rays that must miss the object pass through it, in standard deviations.

    Two kinds of rays: those to points around the object, and those to the first `looked_through`
    observed points of it. Both are free up to just before the point. The residual of a ray is
    taken where f is least on it.

    Args:
        decoder: the category's decoder.
        state: B hypotheses.
        evidence: what was measured.
        looked_through: number of observed points whose rays are used.
        margin: object units; f must not fall below it.
        sigma: object units; one standard deviation of a violation.

    Returns:
        Residuals (B, M + looked_through), zero where the ray is free, and Jacobians.
    """
    similarity = state.similarity
    ends = torch.cat([evidence.beyond, evidence.surface[:, :looked_through]], dim=1)
    count_beyond = evidence.beyond.shape[1]
    with torch.no_grad():
        origin = -(similarity.translation.unsqueeze(-2) @ similarity.rotation).squeeze(
            -2
        ) / similarity.scale.unsqueeze(-1)
        end = similarity.inverse_transform(ends)
        ray = end - origin.unsqueeze(1)
        length = ray.norm(dim=-1)
        ray = ray / length.unsqueeze(-1)
        stop = length.clone()
        # Before a point of the object, f rises at worst slowly (grazing rays): stop well short.
        stop[:, count_beyond:] -= _GRAZING_GAP
        stop[:, :count_beyond] -= _NOISE_GAP + _NOISE_GAP_M / similarity.scale.unsqueeze(-1)
        closest = -(origin.unsqueeze(1) * ray).sum(-1)
        half_chord_sq = _BALL_RADIUS**2 - (origin.square().sum(-1, keepdim=True) - closest.square())
        near = closest - half_chord_sq.clamp(min=0.0).sqrt()
        far = torch.minimum(closest + half_chord_sq.clamp(min=0.0).sqrt(), stop)
        usable = (half_chord_sq > 0.0) & (far > near)
        usable[:, :count_beyond] &= evidence.beyond_weight > 0

        def value_at(at: Tensor) -> Tensor:
            """The values of f (B, M, S) at distances (B, M, S) along the rays."""
            points = origin[:, None, None] + at.unsqueeze(-1) * ray.unsqueeze(2)
            return decoder(points.flatten(1, 2), state.codes).view_as(at)

        def keep_least(at: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
            best = value.argmin(-1, keepdim=True)
            return at.gather(-1, best), value.gather(-1, best)

        steps = (torch.arange(_COARSE_SAMPLES, device=near.device, dtype=near.dtype) + 0.5) / (
            _COARSE_SAMPLES
        )
        samples = near.unsqueeze(-1) + (far - near).unsqueeze(-1) * steps
        at, value = keep_least(samples, value_at(samples))
        for _ in range(_TRACING_STEPS):
            # The surface is no nearer than f: a thin wall lies this far ahead or behind.
            reach = value.abs()
            trial = torch.cat([at - reach, at + reach], dim=-1)
            trial = torch.minimum(torch.maximum(trial, near.unsqueeze(-1)), far.unsqueeze(-1))
            at, value = keep_least(
                torch.cat([at, trial], dim=-1), torch.cat([value, value_at(trial)], dim=-1)
            )
        lowest = at.squeeze(-1)
        # The point is fixed on its ray in the camera frame; only the object moves past it.
        q = origin.unsqueeze(1) + lowest.unsqueeze(-1) * ray
    distance, jacobian = _distance_rows(
        decoder, state, q, 1.0 / (sigma * similarity.scale).unsqueeze(-1).expand(q.shape[:2])
    )
    violation = margin / sigma - distance
    # The margin is in object units, so it grows with the size: d(m s / (sigma s)) / d log s = 0,
    # whereas the rows of `jacobian` hold d(f s); the share of s itself is taken out again.
    jacobian[..., 6] -= distance
    active = usable & (violation > 0.0)
    residual = torch.where(active, violation, torch.zeros_like(violation))
    return residual, torch.where(active.unsqueeze(-1), -jacobian, torch.zeros_like(jacobian))


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
