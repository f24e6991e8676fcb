"""Batched Levenberg-Marquardt on similarity and code of many hypotheses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch
from torch import Tensor

from sdfpose_core.refine.anchors import surface_anchors
from sdfpose_core.refine.damping import MarquardtDamping
from sdfpose_core.refine.evidence import Evidence
from sdfpose_core.refine.kernel import GemanMcClureKernel
from sdfpose_core.refine.priors import Priors
from sdfpose_core.refine.residuals import (
    DecodedPoints,
    free_space_residuals,
    support_points,
    support_residuals,
    surface_points,
    surface_residuals,
)
from sdfpose_core.refine.state import ShapePose
from sdfpose_core.refine.world_pose import KnownCameras
from sdfpose_core.sdf.joint_decoder import JointDecoder, of_rows
from sdfpose_core.sdf.shape_decoder import ShapeDecoder

__all__ = [
    "POSE_PARAMETERS",
    "ROTATION_PRECISION",
    "SETTLED",
    "TRANSLATION_PRECISION",
    "RefineConfig",
    "Solution",
    "refine",
    "refine_multiview",
    "term_shares",
    "total_cost",
]


ROTATION_PRECISION = 3.0 / 3.14159**2
"""1 / rad^2: weak prior of the rotation vector. Keeps yaw about a symmetry axis, which the
measurements do not constrain, solvable."""

TRANSLATION_PRECISION = 1.0
"""1 / m^2: weak prior of the translation. Keeps the Hessian of a hypothesis far from all
measurements invertible."""

_VIEW_COST = 30.0
"""Cost c0 at which a view counts half. A good view costs 10 to 20."""

SETTLED = 0.1
"""Convergence threshold: a step with a smaller predicted decrease of the cost is not taken. The
remaining error is then about a third of a standard deviation."""

POSE_PARAMETERS = 6
"""Rotation and translation, the first parameters of the state."""


@dataclass(frozen=True)
class RefineConfig:
    """Weights of the terms.

    Attributes:
        surface_weight: number of independent measurements that all surface points together count
            as (errors of neighbouring pixels are correlated).
        free_space_weight: the same for the free space test of all anchors.
        support_weight: the same for all points on the support.
        contact_weight: the same for the contact with the support.
        anchors: number of points on the decoded surface that are tested for free space.
        support_sigma: standard deviation of the support's penetration depth, object units.
        contact_sigma: standard deviation of the gap between object and support, object units.
        kernel: robust loss of all terms.
        damping: damping strategy.
    """

    surface_weight: float = 30.0
    free_space_weight: float = 30.0
    support_weight: float = 10.0
    contact_weight: float = 0.5
    anchors: int = 128
    support_sigma: float = 0.015
    contact_sigma: float = 0.03
    kernel: GemanMcClureKernel = field(default_factory=GemanMcClureKernel)
    damping: MarquardtDamping = field(default_factory=MarquardtDamping)


@dataclass(frozen=True)
class Solution:
    """Refined hypotheses.

    Attributes:
        state: B refined hypotheses.
        cost: (B,) the minimised sum, see the package's docstring.
        hessian: (B, P, P) Gauss-Newton Hessian of half the cost, P = 7 + D.
        surface_residual: (B, N) distances of observed points, standard deviations.
        violation: (B, M) depths of the surface inside free space, standard deviations.
    """

    state: ShapePose
    cost: Tensor
    hessian: Tensor
    surface_residual: Tensor
    violation: Tensor

    def with_priors(self, priors: Priors, used: Priors) -> Solution:
        """Replace the cost of the priors `used` by that of other priors."""
        cost = self.cost - used.cost(self.state) + priors.cost(self.state)
        return replace(self, cost=cost)

    def __getitem__(self, index: Tensor | slice) -> Solution:
        return Solution(
            self.state[index],
            self.cost[index],
            self.hessian[index],
            self.surface_residual[index],
            self.violation[index],
        )

    def to(self, device: torch.device) -> Solution:
        """Copy the hypotheses to another device."""
        return Solution(
            self.state.to(device),
            self.cost.to(device),
            self.hessian.to(device),
            self.surface_residual.to(device),
            self.violation.to(device),
        )


@torch.no_grad()
def refine(
    decoder: ShapeDecoder | JointDecoder,
    state: ShapePose,
    evidence: Evidence,
    priors: Priors,
    config: RefineConfig,
    iterations: int,
    settled: float = SETTLED,
    anchors: Tensor | None = None,
) -> Solution:
    """Minimise the cost of each hypothesis, starting from its current state.

    Args:
        decoder: decoder of the category, or of each hypothesis.
        state: B initial hypotheses.
        evidence: measurements for each hypothesis.
        priors: priors of code and size.
        config: weights of the terms.
        iterations: maximum number of steps; each evaluates values and Jacobians once.
        settled: stop a hypothesis if the predicted decrease of its cost is not larger than this.
        anchors: (B, M, 3), object units, near the decoded surfaces; sampled by default.
    """
    if anchors is None:
        anchors = surface_anchors(decoder, state.codes, config.anchors)
    problem = _Problem(decoder, evidence, priors, config, anchors)
    return _minimise(
        problem,
        state,
        iterations,
        lambda hessian, gradient, _: _solve(hessian, gradient),
        objective=lambda cost: cost,
        together=lambda each: each,
        settled=settled,
    )


@torch.no_grad()
def refine_multiview(
    decoder: ShapeDecoder | JointDecoder,
    state: ShapePose,
    evidence: Evidence,
    priors: Priors,
    config: RefineConfig,
    iterations: int,
    views: int,
    cameras: KnownCameras | None = None,
) -> Solution:
    """Refine several views of the same object jointly: all views share size and code.

    Given these, the poses are independent and are eliminated first (the Schur complement of bundle
    adjustment; Triggs et al., 2000). So they are with known cameras, given the pose in the world as
    well. A view with a wrong mask or pose must not spoil the others: the cost c of a view counts as
    c / (1 + c / c0).

    Args:
        decoder: decoder of the category, or of each hypothesis.
        state: initial hypotheses, each with `views` consecutive poses and one size and code.
        evidence: measurements of each view.
        priors: priors of code and size.
        config: weights of the terms.
        iterations: maximum number of steps; fewer after convergence.
        views: number of views per hypothesis.
        cameras: of the views, if the object has stood still in them; None if the poses in the views
            have nothing in common.
    """

    def step(hessian: Tensor, gradient: Tensor, cost: Tensor) -> Tensor:
        weight = (1.0 + cost / _VIEW_COST).pow(-2)
        if cameras is None:
            return _solve_together(
                weight[:, None, None] * hessian, weight[:, None] * gradient, views
            )
        hessian, gradient = cameras.with_common_pose(hessian, gradient)
        moved = _solve_together(weight[:, None, None] * hessian, weight[:, None] * gradient, views)
        return torch.cat([moved[:, :POSE_PARAMETERS], moved[:, 2 * POSE_PARAMETERS :]], dim=1)

    anchors = surface_anchors(decoder, state.codes, config.anchors)
    problem = _Problem(decoder, evidence, priors.shared(views), config, anchors, cameras)
    return _minimise(
        problem,
        state,
        iterations,
        step,
        objective=lambda cost: total_cost(cost, views).repeat_interleave(views),
        together=lambda each: each.view(-1, views).sum(1).repeat_interleave(views),
        settled=SETTLED,
    )


@dataclass(frozen=True)
class _Linearised:
    """Cost (B,), Hessian (B, P, P), gradient (B, P), surface and free space residuals."""

    cost: Tensor
    hessian: Tensor
    gradient: Tensor
    surface: Tensor
    violation: Tensor

    def where(self, condition: Tensor, other: _Linearised) -> _Linearised:
        """Select these values where `condition` (B,) is true, else those of `other`."""
        each = condition[:, None]
        return _Linearised(
            torch.where(condition, self.cost, other.cost),
            torch.where(each.unsqueeze(-1), self.hessian, other.hessian),
            torch.where(each, self.gradient, other.gradient),
            torch.where(each, self.surface, other.surface),
            torch.where(each, self.violation, other.violation),
        )

    def __getitem__(self, index: Tensor) -> _Linearised:
        return _Linearised(*(x[index] for x in vars(self).values()))

    @classmethod
    def cat(cls, parts: Sequence[_Linearised]) -> _Linearised:
        """Concatenate rows."""
        return cls(*(torch.cat(x) for x in zip(*(vars(y).values() for y in parts), strict=True)))


def _minimise(
    problem: _Problem,
    state: ShapePose,
    iterations: int,
    step: Callable[[Tensor, Tensor, Tensor], Tensor],
    objective: Callable[[Tensor], Tensor],
    together: Callable[[Tensor], Tensor],
    settled: float,
) -> Solution:
    """Run the iteration; accept steps that lower the objective.

    Args:
        problem: problem of B hypotheses.
        state: initial state.
        iterations: maximum number of steps.
        step: computes steps to subtract (B, 7 + D) from damped Hessians (B, P, P), gradients (B, P)
            and costs (B,).
        objective: computes the objective (B,) from the costs (B,).
        together: sums (B,) over the rows that move together.
        settled: rows with a predicted decrease of the cost not larger than this have converged and
            are no longer evaluated.
    """
    strategy = problem.config.damping
    current = problem.linearise(state)
    damping = strategy.start(current.cost)
    rows = torch.arange(len(state), device=damping.device)
    ended: list[tuple[Tensor, ShapePose, _Linearised]] = []
    for _ in range(iterations):
        delta = step(strategy.apply(current.hessian, damping), current.gradient, current.cost)
        moving = together((delta * current.gradient).sum(1)) > settled
        if not moving.all():
            ended.append((rows[~moving], state[~moving], current[~moving]))
            rows, delta, damping = rows[moving], delta[moving], damping[moving]
            problem, state, current = problem[moving], state[moving], current[moving]
            if len(rows) == 0:
                break
        candidate = state.retract(-delta)
        new = problem.linearise(candidate)
        accepted = objective(new.cost) < objective(current.cost)
        state, current = candidate.where(accepted, state), new.where(accepted, current)
        damping = strategy.update(damping, accepted)
    ended.append((rows, state, current))
    order = torch.cat([x for x, _, _ in ended]).argsort()
    state = ShapePose.cat([x for _, x, _ in ended])[order]
    final = _Linearised.cat([x for _, _, x in ended])[order]
    return Solution(state, final.cost, final.hessian, final.surface, final.violation)


def total_cost(cost: Tensor, views: int) -> Tensor:
    """Costs of hypotheses from those of their consecutive views; see `refine_multiview`."""
    return (cost / (1.0 + cost / _VIEW_COST)).view(-1, views).sum(1)


def _solve_together(hessian: Tensor, gradient: Tensor, views: int) -> Tensor:
    """Same as `_solve`, with `views` consecutive rows sharing size and code."""
    p = POSE_PARAMETERS
    to_shape, shape = hessian[:, :p, p:], hessian[:, p:, p:]
    factor, info = torch.linalg.cholesky_ex(hessian[:, :p, :p])
    solved = torch.cholesky_solve(torch.cat([to_shape, gradient[:, :p, None]], dim=2), factor)
    # H_ss - H_sp H_pp^-1 H_ps, and the gradient likewise, summed over the views.
    reduced = torch.cat([shape, gradient[:, p:, None]], dim=2) - to_shape.transpose(1, 2) @ solved
    reduced = reduced.view(-1, views, *reduced.shape[1:]).sum(1)
    good = (info.view(-1, views) == 0).all(dim=1)
    joint, info = torch.linalg.cholesky_ex(reduced[..., :-1])
    good = good & (info == 0)
    of_shape = torch.cholesky_solve(reduced[..., -1:], joint).repeat_interleave(views, dim=0)
    of_pose = solved[..., -1:] - solved[..., :-1] @ of_shape
    step = torch.cat([of_pose, of_shape], dim=1).squeeze(-1)
    good = good.repeat_interleave(views).unsqueeze(-1)
    return torch.where(good, step, torch.zeros_like(step)).nan_to_num(0.0)


@dataclass(frozen=True)
class _Problem:
    """Optimisation problem of B hypotheses.

    Attributes:
        decoder: decoder of the category, or of each hypothesis.
        evidence: measurements for each hypothesis.
        priors: priors of code and size.
        config: weights of the terms.
        anchors: (B, M, 3), object units.
        cameras: of the views that the hypotheses consist of, if they are known.
    """

    decoder: ShapeDecoder | JointDecoder
    evidence: Evidence
    priors: Priors
    config: RefineConfig
    anchors: Tensor
    cameras: KnownCameras | None = None

    def __getitem__(self, index: Tensor) -> _Problem:
        return replace(
            self,
            decoder=of_rows(self.decoder, index),
            evidence=self.evidence[index],
            priors=self.priors[index],
            anchors=self.anchors[index],
        )

    def linearise(self, state: ShapePose) -> _Linearised:
        """Linearise at a state with respect to all P = 7 + D parameters."""
        parts = [
            surface_points(state, self.evidence),
            support_points(state, self.evidence),
            self.anchors,
        ]
        decoded = DecodedPoints.of(self.decoder, torch.cat(parts, dim=1), state.codes)
        on_surface, on_support, shape = decoded.split(*(x.shape[1] for x in parts))
        config = self.config
        surface, surface_jacobian = surface_residuals(on_surface, state, self.evidence)
        violation, violation_jacobian = free_space_residuals(shape, state, self.evidence)
        support, support_jacobian = support_residuals(
            on_support,
            state,
            self.evidence,
            sigma=config.support_sigma,
            contact_sigma=config.contact_sigma,
        )
        residual = torch.cat([surface, violation, support], dim=1)
        jacobian = torch.cat([surface_jacobian, violation_jacobian, support_jacobian], dim=1)
        counts = (surface.shape[1], violation.shape[1], support.shape[1])
        share = term_shares(config, *counts, residual.device).to(residual.dtype)
        squared = residual.square()
        cost = (share * config.kernel.loss(squared)).sum(1) + self.priors.cost(state)
        weighted = jacobian.transpose(1, 2) * (share * config.kernel.weight(squared)).unsqueeze(1)
        hessian = weighted @ jacobian
        gradient = (weighted @ residual.unsqueeze(-1)).squeeze(-1)
        diagonal = hessian.diagonal(dim1=1, dim2=2)
        diagonal[:, :3] += ROTATION_PRECISION
        diagonal[:, 3:6] += TRANSLATION_PRECISION
        self.priors.add_to(state, hessian, gradient)
        if self.cameras is not None:
            cost = self.cameras.add_to(state.similarity, cost, hessian, gradient)
        return _Linearised(cost, hessian, gradient, surface, violation)


@lru_cache(maxsize=64)
def term_shares(
    config: RefineConfig, surface: int, violation: int, support: int, device: torch.device
) -> Tensor:
    """Number of measurements that each residual (N,) counts as; the last one is the contact."""
    share = torch.empty(surface + violation + support, device=device)
    share[:surface] = config.surface_weight / surface
    share[surface:-support] = config.free_space_weight / violation
    share[-support:-1] = config.support_weight / (support - 1)
    share[-1] = config.contact_weight
    return share


def _solve(hessian: Tensor, gradient: Tensor) -> Tensor:
    """Steps (B, P); zero where a Hessian is not positive definite, so that damping rises."""
    factor, info = torch.linalg.cholesky_ex(hessian)
    step = torch.cholesky_solve(gradient.unsqueeze(-1), factor).squeeze(-1)
    return torch.where((info == 0).unsqueeze(-1), step, torch.zeros_like(step)).nan_to_num(0.0)
