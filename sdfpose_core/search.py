"""The search: many start poses, refined in rounds with fewer and fewer hypotheses."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sdfpose_core.encoder.fast import Encoding
from sdfpose_core.refine.kernel import GemanMcClureKernel
from sdfpose_core.refine.residuals import Evidence, Priors, ShapePose
from sdfpose_core.refine.solver import RefineConfig, Solution, refine
from sdfpose_core.sdf.shape_decoder import ShapeDecoder
from sdfpose_core.similarity import Similarity, so3_exp

__all__ = ["favourites", "search", "with_turns"]


@dataclass(frozen=True)
class _Stage:
    """One round of the search; each has fewer hypotheses and looks more closely.

    Attributes:
        surface, rays: numbers of observed points and of rays of each kind.
        kernel_sd: width of the robust kernel; start poses are off by more than the noise.
        iterations: of the solver.
        keep: hypotheses of each instance that the next round gets.
    """

    surface: int
    rays: int
    kernel_sd: float
    iterations: int
    keep: int


_SCHEDULE = (
    _Stage(surface=64, rays=12, kernel_sd=8.0, iterations=5, keep=8),
    _Stage(surface=128, rays=24, kernel_sd=5.0, iterations=6, keep=3),
)

_FINE_ITERATIONS = 8

_NO_RIVAL = 1e3
"""Cost gap that stands for 'no other hypothesis'."""

_SAME_ROTATION_RAD = math.radians(20.0)


def search(
    decoder: ShapeDecoder,
    start: ShapePose,
    evidence: Evidence,
    priors: Priors,
    config: RefineConfig,
    per_instance: int,
    has_front: bool,
    encoding: Encoding | None = None,
    belief_weight: float = 1.0,
) -> tuple[Solution, Tensor]:
    """Refine all hypotheses, drop the worst in between, and keep each instance's best.

    Which are the best is decided by what the refinement left unexplained and by what the network
    believes: depth alone hardly tells a can's top from its bottom.

    Args:
        decoder: the category's decoder.
        start: start states, `per_instance` for each instance in turn.
        evidence: what was measured of each instance.
        priors: of code and size.
        config: weights of the terms.
        per_instance: number of start states of each instance.
        has_front: whether yaw about y means something.
        encoding: what the network said of the instances, None without one.
        belief_weight: of the network's log belief against half the cost.

    Returns:
        One solution per instance, and by how much the best hypothesis that ended elsewhere is
        worse: in cost, the network's disbelief included.
    """
    count = len(evidence.surface)
    owner = torch.arange(count, device=start.codes.device).repeat_interleave(per_instance)
    state, alive = start, per_instance
    for stage in _SCHEDULE:
        solution = refine(
            decoder,
            state,
            evidence.thinned(stage.surface, stage.rays)[owner],
            priors,
            replace(
                config,
                looked_through=min(stage.rays, config.looked_through),
                kernel=GemanMcClureKernel(stage.kernel_sd),
            ),
            stage.iterations,
        )
        keep = min(stage.keep, alive)
        worth = _doubt(solution, encoding, belief_weight, count, has_front)
        best = worth.topk(keep, dim=1, largest=False).indices
        flat = (best + alive * torch.arange(count, device=owner.device)[:, None]).ravel()
        state, owner, alive = solution.state[flat], owner[flat], keep
    fine = refine(
        decoder,
        state,
        evidence[owner],
        priors,
        config,
        _FINE_ITERATIONS,
    )
    doubt = _doubt(fine, encoding, belief_weight, count, has_front)
    winner = doubt.argmin(dim=1)
    index = winner + alive * torch.arange(count, device=owner.device)
    return fine[index], _rival_gaps(fine, doubt, winner, has_front)


def _doubt(
    solution: Solution, encoding: Encoding | None, belief_weight: float, count: int, has_front: bool
) -> Tensor:
    """(count, alive) cost of the hypotheses and twice the network's negative log belief."""
    cost = solution.cost.view(count, -1)
    if encoding is None:
        return cost
    rotation = solution.state.similarity.rotation.view(*cost.shape, 3, 3)
    return cost - 2.0 * belief_weight * encoding.log_belief(rotation, has_front)


def favourites(
    decoder: ShapeDecoder,
    start: ShapePose,
    evidence: Evidence,
    priors: Priors,
    config: RefineConfig,
    per_instance: int,
) -> tuple[Solution, Tensor]:
    """The first start state of each instance, judged but not refined; as `search` otherwise."""
    first = torch.arange(len(evidence.surface), device=start.codes.device) * per_instance
    solution = refine(decoder, start[first], evidence, priors, config, 0)
    return solution, torch.full_like(solution.cost, _NO_RIVAL)


def with_turns(encoding: Encoding, turns: int) -> Similarity:
    """Hypotheses (B, K (1 + turns)): the network's, its favourite first, then each turned.

    The front of a box-like camera or a mug's handle is a few points of hundreds. Where the
    network takes it to be on the wrong side, the copies (about y, evenly spread) start the
    refinement near the right one.
    """
    order = encoding.logits.argsort(dim=1, descending=True)
    rows = torch.arange(len(order), device=order.device)[:, None]
    vector = torch.zeros(1 + turns, 1, 3, device=order.device)
    vector[:, 0, 1] = torch.arange(1 + turns, device=order.device) * (2.0 * math.pi / (1 + turns))
    turned = encoding.similarity.rotation[rows, order].unsqueeze(1) @ so3_exp(vector)
    return Similarity(
        turned.flatten(1, 2),
        encoding.similarity.translation[rows, order].repeat(1, 1 + turns, 1),
        encoding.similarity.scale[rows, order].repeat(1, 1 + turns),
    )


def _rival_gaps(solution: Solution, doubt: Tensor, winner: Tensor, has_front: bool) -> Tensor:
    """(count,) by how much the best hypothesis with another rotation is worse.

    Args:
        solution: of all hypotheses.
        doubt: (count, alive) of each.
        winner: (count,) the chosen ones.
        has_front: whether yaw about y means something.
    """
    rotations = solution.state.similarity.rotation.view(*doubt.shape, 3, 3)
    rows = torch.arange(len(doubt), device=doubt.device)
    best = rotations[rows, winner].unsqueeze(1)
    if has_front:
        cosine = ((best * rotations).sum((-1, -2)) - 1.0) / 2.0
    else:
        cosine = (best[..., :, 1] * rotations[..., :, 1]).sum(-1)
    gap = doubt - doubt[rows, winner].unsqueeze(1)
    gap = torch.where(cosine < math.cos(_SAME_ROTATION_RAD), gap, torch.full_like(gap, _NO_RIVAL))
    return gap.min(dim=1).values
