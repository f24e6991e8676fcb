"""The search: many start poses, refined in rounds with fewer and fewer hypotheses."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sdfpose_core.encoder.fast import Encoding
from sdfpose_core.refine.evidence import Evidence
from sdfpose_core.refine.kernel import GemanMcClureKernel
from sdfpose_core.refine.priors import Priors, RotationPrior
from sdfpose_core.refine.solver import RefineConfig, Solution, refine
from sdfpose_core.refine.state import ShapePose
from sdfpose_core.sdf.shape_decoder import ShapeDecoder
from sdfpose_core.similarity import Similarity, so3_exp

__all__ = [
    "SWIFT",
    "THOROUGH",
    "Found",
    "Hypotheses",
    "Search",
    "Stage",
    "Trust",
    "expected_at",
    "expected_rotation",
    "hypotheses_of",
    "shape_priors",
]


@dataclass(frozen=True)
class Stage:
    """One round of the search; each has fewer hypotheses and looks more closely.

    Attributes:
        surface, anchors: numbers of observed points and of points of the decoded surface.
        kernel_sd: width of the robust kernel; start poses are off by more than the noise.
        iterations: of the solver.
        keep: hypotheses of each instance that the next round gets.
    """

    surface: int
    anchors: int
    kernel_sd: float
    iterations: int
    keep: int


THOROUGH = (
    Stage(surface=64, anchors=48, kernel_sd=8.0, iterations=5, keep=8),
    Stage(surface=128, anchors=64, kernel_sd=5.0, iterations=6, keep=3),
)
"""Rounds of a search that leaves little to chance."""

SWIFT = (Stage(surface=64, anchors=48, kernel_sd=8.0, iterations=5, keep=2),)
"""Rounds of one that takes less than half the time."""

_FINE_ITERATIONS = 8

_NO_RIVAL = 1e3
"""Cost gap that stands for 'no other hypothesis'."""

_DUPLICATE_COST = 20.0
"""Added to a hypothesis that has ended where a better one has: it has little new to say."""

_SAME_ROTATION_RAD = math.radians(20.0)


@dataclass(frozen=True)
class Hypotheses:
    """Where to search for the poses of B instances.

    Attributes:
        state: start states, `per_instance` of each instance in turn.
        per_instance: number of start states of each instance.
        priors: what is expected of each state.
        encoding: all that the network said of the instances, None without one.
    """

    state: ShapePose
    per_instance: int
    priors: Priors
    encoding: Encoding | None = None


@dataclass(frozen=True)
class Trust:
    """How much the network's word counts against what was measured.

    Attributes:
        belief_weight: that on the rotation.
        shape_caution: its standard deviations of size and code are taken for so many times as
            large: shapes that it was not trained on are not known as well. Infinite: nothing but
            the category's priors counts.
    """

    belief_weight: float = 1.0
    shape_caution: float = 1.5


def hypotheses_of(
    encoding: Encoding, priors: Priors, trust: Trust, *, turns: int, has_front: bool
) -> Hypotheses:
    """The network's hypotheses, its favourite first, and copies of them turned about y.

    The front of a box-like camera or a mug's handle is a few points of hundreds. Where the
    network takes it to be on the wrong side, the copies (evenly spread) start the refinement near
    the right one. Of their fronts nothing is expected.

    Args:
        encoding: of B instances.
        priors: of the category.
        trust: in the network.
        turns: number of turned copies of each hypothesis.
        has_front: whether yaw about y means something; there are no copies otherwise.
    """
    order = encoding.logits.argsort(dim=1, descending=True)
    rows = torch.arange(len(order), device=order.device)[:, None]
    copies = 1 + turns if has_front else 1
    vector = torch.zeros(copies, 1, 3, device=order.device)
    vector[:, 0, 1] = torch.arange(copies, device=order.device) * (2.0 * math.pi / copies)
    rotation = encoding.similarity.rotation[rows, order].unsqueeze(1) @ so3_exp(vector)
    precision = trust.belief_weight / encoding.axis_variance[rows, order]
    precision = precision.unsqueeze(1).repeat(1, copies, 1, 1)
    precision[:, 1 if has_front else 0 :, :, 1] = 0.0
    similarity = Similarity(
        rotation.flatten(0, 2),
        encoding.similarity.translation[rows, order].repeat(1, copies, 1).flatten(0, 1),
        encoding.similarity.scale[rows, order].repeat(1, copies).flatten(),
    )
    per_instance = copies * order.shape[1]
    owner = rows.squeeze(1).repeat_interleave(per_instance)
    return Hypotheses(
        ShapePose(similarity, encoding.codes[owner]),
        per_instance,
        replace(
            shape_priors(encoding, priors, trust)[owner],
            rotation=RotationPrior(similarity.rotation, precision.flatten(0, 2)),
        ),
        encoding,
    )


def expected_at(
    rotation: Tensor, encoding: Encoding, priors: Priors, trust: Trust, *, has_front: bool
) -> Priors:
    """What the network expects of B objects whose rotations are known about.

    Args:
        rotation: (B, 3, 3), decoder frame to camera frame.
        encoding: of the B instances.
        priors: of the category.
        trust: in the network.
        has_front: whether yaw about y means something.
    """
    return replace(
        shape_priors(encoding, priors, trust),
        rotation=expected_rotation(rotation, encoding, trust, has_front=has_front),
    )


def expected_rotation(
    rotation: Tensor,
    encoding: Encoding,
    trust: Trust,
    *,
    has_front: bool | Tensor,
    variance: float | Tensor = 0.0,
) -> RotationPrior:
    """What the mode says of B rotations that each of them belongs to.

    Args:
        rotation: (B, 3, 3), decoder frame to camera frame.
        encoding: of the B instances.
        trust: in the network.
        has_front: whether yaw about y means something, of all or (B,) of each.
        variance: radians^2, of all or (B,) of each: how far the modes may have turned since.
    """
    rows = torch.arange(len(rotation), device=rotation.device)
    mode = encoding.likeliest_mode(rotation, has_front)
    spread = encoding.axis_variance[rows, mode]
    precision = trust.belief_weight / (spread + torch.as_tensor(variance).to(spread).view(-1, 1))
    precision[:, 1] *= torch.as_tensor(has_front).to(spread)
    return RotationPrior(encoding.similarity.rotation[rows, mode], precision)


def shape_priors(encoding: Encoding, priors: Priors, trust: Trust) -> Priors:
    """What the network says of size and code; the category's priors where it says nothing."""
    spread = encoding.shape_spread
    if spread is None or math.isinf(trust.shape_caution):
        return priors
    return Priors(
        encoding.codes,
        spread.code_precision / trust.shape_caution**2,
        encoding.similarity.scale[:, 0].log(),
        trust.shape_caution * spread.log_size_sd,
    )


@dataclass(frozen=True)
class Found:
    """What the search found of B instances.

    Attributes:
        solution: one per instance.
        rival_gap: (B,) by how much the best hypothesis that ended elsewhere is worse: in cost, the
            network's disbelief included.
        belief: (B,) the network's log density of the rotation, 0 without a network.
    """

    solution: Solution
    rival_gap: Tensor
    belief: Tensor


@dataclass(frozen=True)
class Search:
    """The search for the poses of one category.

    Attributes:
        decoder: the category's decoder.
        priors: of the category's codes and sizes.
        config: weights of the refinement's terms.
        has_front: whether yaw about y means something.
        trust: in the network.
        schedule: the rounds before the last, which looks at everything.
        settled: see `refine`.
    """

    decoder: ShapeDecoder
    priors: Priors
    config: RefineConfig
    has_front: bool
    trust: Trust
    schedule: tuple[Stage, ...] = THOROUGH
    settled: float = -math.inf

    def run(self, hypotheses: Hypotheses, evidence: Evidence) -> Found:
        """Refine all hypotheses, drop the worst in between, and keep each instance's best.

        Which are the best is decided by what the refinement left unexplained and by what the
        network believes: depth alone hardly tells a can's top from its bottom.

        Args:
            hypotheses: where to start.
            evidence: what was measured of each instance.

        """
        count = len(evidence.surface)
        device = hypotheses.state.codes.device
        instance = torch.arange(count, device=device)
        owner = instance.repeat_interleave(hypotheses.per_instance)
        for stage in self.schedule:
            config = replace(
                self.config,
                anchors=stage.anchors,
                kernel=GemanMcClureKernel(stage.kernel_sd),
            )
            thinned = evidence.thinned(stage.surface)[owner]
            solution = self._refine(hypotheses, thinned, config, stage.iterations)
            keep = min(stage.keep, hypotheses.per_instance)
            doubt = self._doubt(solution, hypotheses)
            best = _best_distinct(solution, doubt, keep, self.has_front)
            flat = (best + hypotheses.per_instance * instance[:, None]).ravel()
            owner = owner[flat]
            hypotheses = Hypotheses(
                solution.state[flat],
                keep,
                hypotheses.priors[flat],
                hypotheses.encoding,
            )
        fine = self._refine(hypotheses, evidence[owner], self.config, _FINE_ITERATIONS)
        doubt = self._doubt(fine, hypotheses)
        winner = doubt.argmin(dim=1)
        gaps = _rival_gaps(fine, doubt, winner, self.has_front)
        index = winner + hypotheses.per_instance * instance
        chosen = fine[index].judged_by(self.priors, hypotheses.priors[index])
        return Found(chosen, gaps, self._belief(chosen, hypotheses.encoding))

    def favourites(self, hypotheses: Hypotheses, evidence: Evidence) -> Found:
        """The first start state of each instance, judged but not refined; as `run` otherwise."""
        first = torch.arange(len(evidence.surface), device=hypotheses.state.codes.device)
        state = hypotheses.state[first * hypotheses.per_instance]
        solution = refine(self.decoder, state, evidence, self.priors, self.config, 0)
        belief = self._belief(solution, hypotheses.encoding)
        return Found(solution, torch.full_like(solution.cost, _NO_RIVAL), belief)

    def _belief(self, solution: Solution, encoding: Encoding | None) -> Tensor:
        """(B,) log densities of the rotations of one solution per instance."""
        if encoding is None:
            return torch.zeros_like(solution.cost)
        rotation = solution.state.similarity.rotation.unsqueeze(1)
        return encoding.log_belief(rotation, self.has_front).squeeze(1)

    def _refine(
        self, hypotheses: Hypotheses, evidence: Evidence, config: RefineConfig, iterations: int
    ) -> Solution:
        return refine(
            self.decoder,
            hypotheses.state,
            evidence,
            hypotheses.priors,
            config,
            iterations,
            self.settled,
        )

    def _doubt(self, solution: Solution, hypotheses: Hypotheses) -> Tensor:
        """(B, per_instance) cost and twice the negative log of what the network believes.

        The whole mixture is asked, in place of the one mode that drew the refinement.
        """
        cost = solution.cost.view(-1, hypotheses.per_instance)
        rotation = solution.state.similarity.rotation
        if hypotheses.priors.rotation is not None:
            cost = cost - hypotheses.priors.rotation.cost(rotation).view_as(cost)
        if hypotheses.encoding is None:
            return cost
        belief = hypotheses.encoding.log_belief(rotation.view(*cost.shape, 3, 3), self.has_front)
        return cost - 2.0 * self.trust.belief_weight * belief


def _best_distinct(solution: Solution, doubt: Tensor, keep: int, has_front: bool) -> Tensor:
    """(count, keep) numbers of the best hypotheses; one like a better one yields to another.

    Args:
        solution: of all hypotheses.
        doubt: (count, alive) of each.
        keep: how many of each instance.
        has_front: whether yaw about y means something.
    """
    rotations = solution.state.similarity.rotation.view(*doubt.shape, 3, 3)
    rows = torch.arange(len(doubt), device=doubt.device)
    left = doubt.clone()
    chosen = []
    for _ in range(keep):
        best = left.argmin(dim=1)
        chosen.append(best)
        same = _same_rotation(rotations[rows, best].unsqueeze(1), rotations, has_front)
        left = left + _DUPLICATE_COST * same
        left[rows, best] = torch.inf
    return torch.stack(chosen, dim=1)


def _same_rotation(one: Tensor, others: Tensor, has_front: bool) -> Tensor:
    """Whether rotations (..., 3, 3) differ by less than `_SAME_ROTATION_RAD`."""
    if has_front:
        cosine = ((one * others).sum((-1, -2)) - 1.0) / 2.0
    else:
        cosine = (one[..., :, 1] * others[..., :, 1]).sum(-1)
    return cosine > math.cos(_SAME_ROTATION_RAD)


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
    gap = doubt - doubt[rows, winner].unsqueeze(1)
    same = _same_rotation(best, rotations, has_front)
    gap = torch.where(same, torch.full_like(gap, _NO_RIVAL), gap)
    return gap.min(dim=1).values
