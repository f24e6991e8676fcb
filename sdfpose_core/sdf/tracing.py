"""Differentiable sphere tracing of decoded shapes: depth, normals and silhouettes.

Follows Liu et al., "DIST: Rendering Deep Implicit Signed Distance Function with Differentiable
Sphere Tracing" (CVPR 2020). For all rays of all objects in parallel:

    tau <- where the ray enters the ball that contains the shape
    repeat:  f <- f(o + tau d; z)             for active rays only
             tau <- tau + 2 f / (1 - m)       m: running mean of f's slope along the ray,
                                              initially -1; if the balls of radius f of two
                                              samples do not touch, undo the step and reset m
             once f < 0: regula falsi (Illinois) between the two signs
    until    |f| < tolerance: a hit;  tau beyond the ball: a miss

The over-relaxed step follows Ban and Valasek, "Automatic Step Size Relaxation in Sphere Tracing"
(Eurographics short papers, 2023). It is long where a ray moves away from the surface.

The march does not record gradients. The derivative of the depth follows from the implicit function
theorem at the hit: f(q(theta, depth); z) = 0 gives d depth / d theta = -(df / d theta) /
(df / d depth), with one recorded evaluation of f. By the envelope theorem, the derivative of the
minimum of f along a ray is the derivative of f at the minimum with the point held fixed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sdfpose_core.errors import ShapeError
from sdfpose_core.geometry.similarity import Similarity
from sdfpose_core.sdf.shape_decoder import ShapeDecoder

__all__ = ["Traced", "first_hits", "trace"]

_SHAPE_RADIUS = 0.5
"""Object units: every shape lies inside this ball."""

_BALL_RADIUS = 0.52
"""Object units: rays are marched inside this ball."""

_SLOPE_MEMORY, _MAX_SLOPE = 0.7, 0.8
"""Weight of the older steps in the running mean of the slope, and upper limit of a new slope."""

_MIN_STEP = 1e-3
"""Object units; lets grazing rays advance. Less than the thickness of any wall."""

_MIN_SLOPE = 0.02
"""Lower limit of -df/dtau at a hit; keeps the depth derivative of grazing rays finite."""

_WALK_STEPS, _MIN_WALK = 24, 0.02
"""Search for the minimum of f behind a hit: maximum number of steps, minimum step, object units."""

_FINE_SAMPLES = 5
"""Evaluations around the lowest sample."""


@dataclass(frozen=True)
class Traced:
    """Result of tracing N rays for each of B objects.

    Attributes:
        depth: (B, N), in units of the ray's length: the hit is at ``depth * ray`` in the camera
            frame. This is the depth in metres along z for rays with z = 1, and the distance in
            metres for unit rays. 0 where the ray misses. Differentiable.
        hit: (B, N) bool, whether the ray hits the surface.
        least: (B, N), object units, minimum signed distance along the ray: negative if it passes
            through the object, positive if it misses. For rays that miss the bounding ball, the
            distance from the ball of radius 0.5, which is a lower bound. The minimum is sampled:
            it is some thousandths too large, rarely (if a ray approaches the object twice) a few
            hundredths. Differentiable.
        normals: (B, N, 3), outward unit vectors, camera frame; 0 where the ray misses. Not
            differentiable.
    """

    depth: Tensor
    hit: Tensor
    least: Tensor
    normals: Tensor


def trace(
    decoder: ShapeDecoder,
    codes: Tensor,
    similarity: Similarity,
    rays: Tensor,
    *,
    max_steps: int = 40,
    tolerance: float = 5e-5,
) -> Traced:
    """Render decoded shapes along rays from the camera centre.

    Gradients flow to the similarity and the codes, not to the rays. Use `torch.no_grad` if you do
    not need gradients.

    Args:
        decoder: decoder of the category.
        codes: (B, D) latent codes.
        similarity: (B,) decoder frame to camera frame.
        rays: (B, N, 3) directions, camera frame, of any length, e.g. `PinholeCamera.rays`.
        max_steps: evaluations per ray; a ray without a sign change by then is a miss.
        tolerance: object units; |f| below which a ray has hit the surface.

    Returns:
        Depth, hits, minimum distances and normals. Rays that start inside an object do not hit it.

    Raises:
        ShapeError: an argument has the wrong shape.
    """
    _check(codes, similarity, rays)
    rays = rays.detach()
    with torch.no_grad():
        field = _Field(decoder, codes)
        direction = (rays @ similarity.rotation) / similarity.scale[:, None, None]
        speed = direction.norm(dim=-1)  # object units per unit of depth
        path = _Paths.of(similarity, rays)
        hit, first, best, reach = _march(field, path, max_steps, tolerance)
        best = _least(field, path, hit, first, best, reach)
        _, gradient = field.value_and_gradient(path.at(first), hit)
        slope = torch.minimum((gradient * direction).sum(-1), -_MIN_SLOPE * speed)
        normals = torch.nn.functional.normalize(
            gradient @ similarity.rotation.transpose(-1, -2), dim=-1
        )
        at_hit, at_least = first / speed, best / speed
    # The only recorded evaluation. At the hit, its value (nearly 0) also gives a last Newton step.
    points = rays.repeat(1, 2, 1) * torch.cat([at_hit, at_least], dim=1).unsqueeze(-1)
    values = field.value(similarity.inverse_transform(points), torch.cat([hit, path.inside], dim=1))
    value_at_hit, value_at_least = values.chunk(2, dim=1)
    zero = rays.new_zeros(())
    depth = torch.where(hit, at_hit - value_at_hit / slope, zero)
    least = torch.where(path.inside, value_at_least, _distance_from_shape_ball(similarity, rays))
    return Traced(depth, hit, least, torch.where(hit.unsqueeze(-1), normals, zero))


@torch.no_grad()
def first_hits(
    decoder: ShapeDecoder,
    codes: Tensor,
    similarity: Similarity,
    rays: Tensor,
    *,
    max_steps: int = 40,
    tolerance: float = 5e-5,
) -> tuple[Tensor, Tensor]:
    """Find where rays hit decoded shapes first, without gradients and silhouettes.

    Takes a fraction of the time of `trace`; arguments and errors are the same.

    Returns:
        Points (B, N, 3), normalised object units, and whether each ray hits the surface (B, N).
        The points of the other rays have no meaning.
    """
    _check(codes, similarity, rays)
    path = _Paths.of(similarity, rays)
    hit, first, _, _ = _march(_Field(decoder, codes), path, max_steps, tolerance)
    return path.at(first), hit


def _check(codes: Tensor, similarity: Similarity, rays: Tensor) -> None:
    batch = codes.shape[0]
    if rays.ndim != 3 or rays.shape[0] != batch or rays.shape[-1] != 3:
        raise ShapeError(f"rays has shape {tuple(rays.shape)}: expected ({batch}, N, 3)")
    if similarity.batch_shape != (batch,):
        raise ShapeError(
            f"similarity has shape {tuple(similarity.batch_shape)}: expected ({batch},)"
        )


@dataclass(frozen=True)
class _Field:
    """Signed distances of B objects, evaluated only for selected points."""

    decoder: ShapeDecoder
    codes: Tensor

    def value(self, points: Tensor, selected: Tensor) -> Tensor:
        """Compute f (B, N) at points (B, N, 3), object units, where `selected` (B, N), else 0."""
        index = _gather_index(selected)
        value = self.decoder(_pick(points, index), self.codes)
        return torch.zeros_like(points[..., 0]).scatter(1, index, value) * selected

    def value_and_gradient(self, points: Tensor, selected: Tensor) -> tuple[Tensor, Tensor]:
        """Compute f like `value`, and df/dpoints (B, N, 3)."""
        index = _gather_index(selected)
        value, gradient = self.decoder.value_and_gradient(_pick(points, index), self.codes)
        values = torch.zeros_like(points[..., 0]).scatter(1, index, value)
        gradients = torch.zeros_like(points).scatter(
            1, index.unsqueeze(-1).expand_as(gradient), gradient
        )
        return values * selected, gradients * selected.unsqueeze(-1)


def _gather_index(selected: Tensor) -> Tensor:
    """Indices (B, A) of the selected entries (B, N); rows with fewer than A are padded."""
    count = int(selected.sum(dim=1).max()) if selected.numel() else 0
    return selected.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :count]


def _pick(points: Tensor, index: Tensor) -> Tensor:
    return points.gather(1, index.unsqueeze(-1).expand(-1, -1, 3))


@dataclass(frozen=True)
class _Paths:
    """Rays in the object frame: points origin + tau * direction, tau in object units.

    Attributes:
        origin: (B, 1, 3) camera centre.
        direction: (B, N, 3) unit vectors.
        near, far: (B, N) tau where the ray enters and leaves the ball.
        inside: (B, N) whether the ray passes through the ball in front of the camera.
    """

    origin: Tensor
    direction: Tensor
    near: Tensor
    far: Tensor
    inside: Tensor

    @classmethod
    def of(cls, similarity: Similarity, rays: Tensor) -> _Paths:
        """Transform rays (B, N, 3) of any length from the camera's to the object's frame."""
        origin = similarity.inverse_transform(rays.new_zeros(len(rays), 1, 3))
        direction = torch.nn.functional.normalize(rays @ similarity.rotation, dim=-1)
        closest = -(origin * direction).sum(-1)
        half_chord_sq = _BALL_RADIUS**2 - (origin.square().sum(-1) - closest.square())
        half_chord = half_chord_sq.clamp(min=0.0).sqrt()
        near, far = (closest - half_chord).clamp(min=0.0), closest + half_chord
        return cls(origin, direction, near, far, (half_chord_sq > 0.0) & (far > near))

    def at(self, tau: Tensor) -> Tensor:
        """Points (B, N, 3), object units, at tau (B, N)."""
        return self.origin + tau.unsqueeze(-1) * self.direction


def _march(
    field: _Field, path: _Paths, max_steps: int, tolerance: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """March along the rays to the surface.

    Returns:
        Per ray (B, N): whether it hits, tau at the hit, tau of the lowest sample of f, and the
        unsampled length on both sides of that.
    """
    tau = path.near.clone()
    zero, infinite = torch.zeros_like(tau), torch.full_like(tau, torch.inf)
    # Rays that start inside the object are not marched.
    active = path.inside & (field.value(path.at(tau), path.inside) >= 0.0)
    hit = torch.zeros_like(active)
    slope = torch.full_like(tau, -1.0)
    # The last positive and the first negative sample, and the sign of the newest.
    low, f_low, high, f_high, newest = tau, infinite, path.far, zero, zero
    step, best, f_best, reach = infinite, tau, infinite, zero
    for _ in range(max_steps):
        f = field.value(path.at(tau), active)
        # If the balls of two samples do not touch, the surface may lie between them: step back.
        relaxed = (f_high == 0.0) & (slope > -1.0) & (step > _MIN_STEP)
        overshot = active & relaxed & (f_low + f.abs() < step)
        sampled = active & ~overshot
        latest = (f - f_low) / (tau - low)
        latest = torch.where(latest.isfinite(), latest, -1.0)
        slope = _SLOPE_MEMORY * slope + (1.0 - _SLOPE_MEMORY) * latest.clamp(-1.0, _MAX_SLOPE)
        slope = torch.where(overshot, -1.0, slope)

        better = sampled & (f < f_best)
        best, f_best = torch.where(better, tau, best), torch.where(better, f, f_best)
        reach = torch.where(better, tau - low, reach)
        converged = sampled & (f.abs() < tolerance)
        hit, active = hit | converged, active & ~converged

        # Illinois method: halve the value at an end that stays twice in a row.
        above, below = sampled & (f >= 0.0), sampled & (f < 0.0)
        f_high = torch.where(above & (newest > 0.0), 0.5 * f_high, f_high)
        f_low = torch.where(below & (newest < 0.0), 0.5 * f_low, f_low)
        low, f_low = torch.where(above, tau, low), torch.where(above, f, f_low)
        high, f_high = torch.where(below, tau, high), torch.where(below, f, f_high)
        newest = torch.where(sampled, f.sign(), newest)

        # The ball around `low` is empty: if it reaches beyond the far side, the ray may leave.
        end = torch.maximum(path.far, low + f_low + _MIN_STEP)
        step = (2.0 * f_low / (1.0 - slope)).clamp(min=_MIN_STEP)
        step = torch.minimum(step, end - low)
        reach = torch.where(better, torch.maximum(reach, step), reach)
        between = low + (high - low) * f_low / (f_low - f_high)
        tau = torch.where(active, torch.where(f_high < 0.0, between, low + step), tau)
        active = active & (tau <= path.far)
        if not bool(active.any()):
            break
    return hit | (active & (f_high < 0.0)), tau, best, reach


def _least(
    field: _Field, path: _Paths, hit: Tensor, first: Tensor, best: Tensor, reach: Tensor
) -> Tensor:
    """Tau (B, N) of the minimum of f on each ray, found by the march or behind the hit."""
    f_best = torch.zeros_like(first)
    tau, active = first + _MIN_WALK / 4.0, hit & (first < path.far)
    for _ in range(_WALK_STEPS):
        f = field.value(path.at(tau), active)
        step = f.abs().clamp(min=_MIN_WALK)
        better = active & (f < f_best)
        best, f_best = torch.where(better, tau, best), torch.where(better, f, f_best)
        reach = torch.where(better, step, reach)
        tau = tau + step
        active = active & (tau < path.far)
        if not bool(active.any()):
            break
    low = torch.maximum(best - reach, path.near)
    length = torch.minimum(best + reach, path.far) - low
    return torch.where(path.inside, _lowest_sample(field, path, low, length), best)


def _lowest_sample(field: _Field, path: _Paths, low: Tensor, length: Tensor) -> Tensor:
    """Tau (B, N) of the vertex of a parabola through the lowest of a few samples."""
    spacing = length / (_FINE_SAMPLES - 1)
    values = torch.stack(
        [field.value(path.at(low + k * spacing), path.inside) for k in range(_FINE_SAMPLES)], -1
    )
    middle = values.argmin(dim=-1).clamp(1, _FINE_SAMPLES - 2)
    a, b, c = (values.gather(-1, (middle + k).unsqueeze(-1)).squeeze(-1) for k in (-1, 0, 1))
    curvature = a - 2.0 * b + c
    vertex = torch.where(curvature > 0.0, 0.5 * (a - c) / curvature, torch.sign(a - c))
    return low + (middle + vertex.nan_to_num(0.0).clamp(-1.0, 1.0)) * spacing


def _distance_from_shape_ball(similarity: Similarity, rays: Tensor) -> Tensor:
    """Distance (B, N), object units, of rays (B, N, 3) from the ball that contains the shape."""
    unit = torch.nn.functional.normalize(rays, dim=-1)
    centre = similarity.translation.unsqueeze(1)
    along = (unit * centre).sum(-1, keepdim=True).clamp(min=0.0)
    return (centre - along * unit).norm(dim=-1) / similarity.scale.unsqueeze(-1) - _SHAPE_RADIUS
