"""The iteration: batched Levenberg-Marquardt on similarity and code of many hypotheses."""

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
    "refine_together",
    "term_shares",
    "total_cost",
]


ROTATION_PRECISION = 3.0 / 3.14159**2
"""1 / rad^2: a rotation vector of which nothing is known. Keeps yaw about a symmetry axis, on
which the measurements say nothing, solvable."""

TRANSLATION_PRECISION = 1.0
"""1 / m^2: a translation of which nothing is known, so that the Hessian of a hypothesis far from
everything that was measured can be inverted."""

_VIEW_COST = 30.0
"""Cost c0 of a view that counts half. That of a good one is 10 to 20."""

SETTLED = 0.1
"""A step that promises to lower the cost by less is not taken, and is the last: what is left of the
way is a third of a standard deviation."""

POSE_PARAMETERS = 6
"""Rotation and translation come first in the state."""


@dataclass(frozen=True)
class RefineConfig:
    """Weights of the terms.

    Attributes:
        surface_weight: how many independent measurements all surface points together stand for
            (neighbouring pixels err together).
        free_space_weight: the same of all points of the decoded surface, which must not be in free
            space.
        support_weight: the same of all points of the support.
        contact_weight: the same of the contact with it.
        anchors: number of points of the decoded surface that are tested for free space.
        support_sigma: object units; one standard deviation of how deep the support cuts in.
        contact_sigma: object units; one standard deviation of the gap between object and support.
        kernel: robust loss of all of them.
        damping: strategy of the steps.
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
        violation: (B, M) how far the surface is inside free space, standard deviations.
    """

    state: ShapePose
    cost: Tensor
    hessian: Tensor
    surface_residual: Tensor
    violation: Tensor

    def judged_by(self, priors: Priors, used: Priors) -> Solution:
        """With the cost under other priors than those that were `used`."""
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
    """Minimise the cost of each hypothesis from where it stands.

    Args:
        decoder: of the category, or of each hypothesis.
        state: B hypotheses.
        evidence: what was measured of each.
        priors: of code and size.
        config: weights of the terms.
        iterations: steps tried at most; each costs one evaluation of values and Jacobians.
        settled: hypotheses whose step promises to lower the cost by no more stay where they are.
        anchors: (B, M, 3), object units, near the decoded surfaces; chosen anew by default.
    """
    if anchors is None:
        anchors = surface_anchors(decoder, state.codes, config.anchors)
    problem = _Problem(decoder, evidence, priors, config, anchors)
    return _minimise(
        problem,
        state,
        iterations,
        lambda hessian, gradient, _: _solve(hessian, gradient),
        judged=lambda cost: cost,
        together=lambda each: each,
        settled=settled,
    )


@torch.no_grad()
def refine_together(
    decoder: ShapeDecoder | JointDecoder,
    state: ShapePose,
    evidence: Evidence,
    priors: Priors,
    config: RefineConfig,
    iterations: int,
    views: int,
) -> Solution:
    """As `refine`, where several views show the same object: size and code are one for all.

    The poses are independent given these, and eliminated first (the Schur complement of bundle
    adjustment; Triggs et al., 2000). A view whose mask or pose is wrong must not spoil the others:
    each one's cost c counts as c / (1 + c / c0).

    Args:
        decoder: of the category, or of each hypothesis.
        state: hypotheses, each with `views` poses in a row and one size and code.
        evidence: what was measured in each view.
        priors: of code and size.
        config: weights of the terms.
        iterations: steps tried; fewer where nothing is left to gain.
        views: of each hypothesis.
    """

    def step(hessian: Tensor, gradient: Tensor, cost: Tensor) -> Tensor:
        weight = (1.0 + cost / _VIEW_COST).pow(-2)
        return _solve_together(weight[:, None, None] * hessian, weight[:, None] * gradient, views)

    anchors = surface_anchors(decoder, state.codes, config.anchors)
    problem = _Problem(decoder, evidence, priors.shared(views), config, anchors)
    return _minimise(
        problem,
        state,
        iterations,
        step,
        judged=lambda cost: total_cost(cost, views).repeat_interleave(views),
        together=lambda each: each.view(-1, views).sum(1).repeat_interleave(views),
        settled=SETTLED,
    )


@dataclass(frozen=True)
class _Linearised:
    """Cost (B,), Hessian (B, P, P), gradient (B, P) and the residuals of both kinds."""

    cost: Tensor
    hessian: Tensor
    gradient: Tensor
    surface: Tensor
    violation: Tensor

    def where(self, condition: Tensor, other: _Linearised) -> _Linearised:
        """These where `condition` (B,) holds, the other ones elsewhere."""
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
        """All rows in a row."""
        return cls(*(torch.cat(x) for x in zip(*(vars(y).values() for y in parts), strict=True)))


def _minimise(
    problem: _Problem,
    state: ShapePose,
    iterations: int,
    step: Callable[[Tensor, Tensor, Tensor], Tensor],
    judged: Callable[[Tensor], Tensor],
    together: Callable[[Tensor], Tensor],
    settled: float,
) -> Solution:
    """Take the steps that lower what is judged.

    Args:
        problem: of B hypotheses.
        state: where they are.
        iterations: steps tried.
        step: to go back (B, 7 + D), from damped Hessians (B, P, P), gradients (B, P) and costs
            (B,).
        judged: what has to fall (B,), of the costs (B,).
        together: sums (B,) over the rows that move together.
        settled: rows whose step promises to lower the cost by no more stay where they are, and
            cost nothing from then on.
    """
    strategy = problem.config.damping
    found = problem.linearise(state)
    damping = strategy.start(found.cost)
    rows = torch.arange(len(state), device=damping.device)
    ended: list[tuple[Tensor, ShapePose, _Linearised]] = []
    for _ in range(iterations):
        back = step(strategy.apply(found.hessian, damping), found.gradient, found.cost)
        moving = together((back * found.gradient).sum(1)) > settled
        if not moving.all():
            ended.append((rows[~moving], state[~moving], found[~moving]))
            rows, back, damping = rows[moving], back[moving], damping[moving]
            problem, state, found = problem[moving], state[moving], found[moving]
            if len(rows) == 0:
                break
        trial = state.retract(-back)
        new = problem.linearise(trial)
        accepted = judged(new.cost) < judged(found.cost)
        state, found = trial.where(accepted, state), new.where(accepted, found)
        damping = strategy.update(damping, accepted)
    ended.append((rows, state, found))
    order = torch.cat([x for x, _, _ in ended]).argsort()
    state = ShapePose.cat([x for _, x, _ in ended])[order]
    found = _Linearised.cat([x for _, _, x in ended])[order]
    return Solution(state, found.cost, found.hessian, found.surface, found.violation)


def total_cost(cost: Tensor, views: int) -> Tensor:
    """Costs of hypotheses from those of their views, which come in a row; see `refine_together`."""
    return (cost / (1.0 + cost / _VIEW_COST)).view(-1, views).sum(1)


def _solve_together(hessian: Tensor, gradient: Tensor, views: int) -> Tensor:
    """As `_solve`, with the size and code of each `views` rows in common."""
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
    """What is minimised, of B hypotheses.

    Attributes:
        decoder: of the category, or of each hypothesis.
        evidence: what was measured of each.
        priors: of code and size.
        config: weights of the terms.
        anchors: (B, M, 3), object units.
    """

    decoder: ShapeDecoder | JointDecoder
    evidence: Evidence
    priors: Priors
    config: RefineConfig
    anchors: Tensor

    def __getitem__(self, index: Tensor) -> _Problem:
        return replace(
            self,
            decoder=of_rows(self.decoder, index),
            evidence=self.evidence[index],
            priors=self.priors[index],
            anchors=self.anchors[index],
        )

    def linearise(self, state: ShapePose) -> _Linearised:
        """The problem at a state, by all P = 7 + D parameters."""
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
        return _Linearised(cost, hessian, gradient, surface, violation)


@lru_cache(maxsize=64)
def term_shares(
    config: RefineConfig, surface: int, violation: int, support: int, device: torch.device
) -> Tensor:
    """How many measurements each residual (N,) stands for; the last one is the contact."""
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
