"""The search: many start poses, refined in rounds with fewer and fewer hypotheses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sdfpose_core.encoder.encoding import Encoding
from sdfpose_core.geometry.similarity import Similarity, so3_exp
from sdfpose_core.refine.anchors import carried, surface_anchors
from sdfpose_core.refine.evidence import Evidence
from sdfpose_core.refine.kernel import GemanMcClureKernel
from sdfpose_core.refine.priors import Priors, RotationPrior
from sdfpose_core.refine.solver import RefineConfig, Solution, refine
from sdfpose_core.refine.state import ShapePose
from sdfpose_core.sdf.joint_decoder import JointDecoder

__all__ = [
    "FAST_SEARCH",
    "FULL_SEARCH",
    "Hypotheses",
    "NetworkPriorConfig",
    "Search",
    "SearchResult",
    "Stage",
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


FULL_SEARCH = (
    Stage(surface=64, anchors=48, kernel_sd=8.0, iterations=3, keep=6),
    Stage(surface=96, anchors=48, kernel_sd=5.0, iterations=4, keep=3),
)
"""Rounds of a search that leaves little to chance. Twice the evaluations found most of what it
misses, a point or less of most measures; half of them lost two points."""

FAST_SEARCH = (Stage(surface=64, anchors=48, kernel_sd=8.0, iterations=5, keep=2),)
"""Rounds of a shorter one."""

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
        state: H start states.
        owner: (H,) integer, ascending: number of each one's instance, of which all have some.
        priors: what is expected of each state.
        encoding: all that the network said of the instances, None without one.
    """

    state: ShapePose
    owner: Tensor
    priors: Priors
    encoding: Encoding | None = None

    @classmethod
    def cat(cls, parts: Sequence[Hypotheses]) -> Hypotheses:
        """Those of all instances in a row: of none or of all of which a network said something."""
        owners, instances = [], 0
        for x in parts:
            owners.append(x.owner + instances)
            instances += int(x.owner[-1]) + 1
        said = [x.encoding for x in parts if x.encoding is not None]
        return cls(
            ShapePose.cat([x.state for x in parts]),
            torch.cat(owners),
            Priors.cat([x.priors.of_each(len(x.state)) for x in parts]),
            Encoding.cat(said) if said else None,
        )

    def __getitem__(self, index: Tensor) -> Hypotheses:
        """Some of them, ascending; all instances keep one."""
        return Hypotheses(self.state[index], self.owner[index], self.priors[index], self.encoding)


@dataclass(frozen=True)
class NetworkPriorConfig:
    """How much the network's word counts against what was measured.

    Attributes:
        rotation_weight: that on the rotation.
        shape_sd_factor: its standard deviations of size and code are taken for so many times as
            large: shapes that it was not trained on are not known as well. Infinite: nothing but
            the category's priors counts.
    """

    rotation_weight: float = 1.0
    shape_sd_factor: float = 1.5


def hypotheses_of(
    encoding: Encoding,
    priors: Priors,
    network_prior: NetworkPriorConfig,
    *,
    turns: int,
    has_front: bool,
) -> Hypotheses:
    """The network's hypotheses, its favourite first, and copies of them turned about y.

    The front of a box-like camera or a mug's handle is a few points of hundreds. Where the
    network takes it to be on the wrong side, the copies (evenly spread) start the refinement near
    the right one. Of their fronts nothing is expected.

    Args:
        encoding: of B instances.
        priors: of the category.
        network_prior: in the network.
        turns: number of turned copies of each hypothesis.
        has_front: whether yaw about y means something; there are no copies otherwise.
    """
    order = encoding.logits.argsort(dim=1, descending=True)
    rows = torch.arange(len(order), device=order.device)[:, None]
    copies = 1 + turns if has_front else 1
    vector = torch.zeros(copies, 1, 3, device=order.device)
    vector[:, 0, 1] = torch.arange(copies, device=order.device) * (2.0 * math.pi / copies)
    rotation = encoding.similarity.rotation[rows, order].unsqueeze(1) @ so3_exp(vector)
    precision = network_prior.rotation_weight / encoding.axis_variance[rows, order]
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
        owner,
        replace(
            shape_priors(encoding, priors, network_prior)[owner],
            rotation=RotationPrior(similarity.rotation, precision.flatten(0, 2)),
        ),
        encoding,
    )


def expected_at(
    rotation: Tensor,
    encoding: Encoding,
    priors: Priors,
    network_prior: NetworkPriorConfig,
    *,
    has_front: bool,
) -> Priors:
    """What the network expects of B objects whose rotations are known about.

    Args:
        rotation: (B, 3, 3), decoder frame to camera frame.
        encoding: of the B instances.
        priors: of the category.
        network_prior: in the network.
        has_front: whether yaw about y means something.
    """
    return replace(
        shape_priors(encoding, priors, network_prior),
        rotation=expected_rotation(rotation, encoding, network_prior, has_front=has_front),
    )


def expected_rotation(
    rotation: Tensor,
    encoding: Encoding,
    network_prior: NetworkPriorConfig,
    *,
    has_front: bool | Tensor,
    variance: float | Tensor = 0.0,
) -> RotationPrior:
    """What the mode says of B rotations that each of them belongs to.

    Args:
        rotation: (B, 3, 3), decoder frame to camera frame.
        encoding: of the B instances.
        network_prior: in the network.
        has_front: whether yaw about y means something, of all or (B,) of each.
        variance: radians^2, of all or (B,) of each: how far the modes may have turned since.
    """
    rows = torch.arange(len(rotation), device=rotation.device)
    mode = encoding.likeliest_mode(rotation, has_front)
    spread = encoding.axis_variance[rows, mode]
    precision = network_prior.rotation_weight / (
        spread + torch.as_tensor(variance).to(spread).view(-1, 1)
    )
    precision[:, 1] *= torch.as_tensor(has_front).to(spread)
    return RotationPrior(encoding.similarity.rotation[rows, mode], precision)


def shape_priors(encoding: Encoding, priors: Priors, network_prior: NetworkPriorConfig) -> Priors:
    """What the network says of size and code; the category's priors where it says nothing."""
    spread = encoding.shape_spread
    if spread is None or math.isinf(network_prior.shape_sd_factor):
        return priors
    return Priors(
        encoding.codes,
        spread.code_precision / network_prior.shape_sd_factor**2,
        encoding.similarity.scale[:, 0].log(),
        network_prior.shape_sd_factor * spread.log_size_sd,
    )


@dataclass(frozen=True)
class SearchResult:
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
    """The search for the poses of B instances, of whatever categories.

    Attributes:
        decoder: of each instance's category.
        priors: of codes and sizes, those of each instance's category.
        has_front: (B,) whether yaw about y means something.
        config: weights of the refinement's terms.
        network_prior: in the network.
        schedule: the rounds before the last, which looks at everything.
    """

    decoder: JointDecoder
    priors: Priors
    has_front: Tensor
    config: RefineConfig
    network_prior: NetworkPriorConfig
    schedule: tuple[Stage, ...] = FULL_SEARCH

    def run(self, hypotheses: Hypotheses, evidence: Evidence) -> SearchResult:
        """Refine all hypotheses, drop the worst in between, and keep each instance's best.

        Which are the best is decided by what the refinement left unexplained and by what the
        network believes: depth alone hardly tells a can's top from its bottom.

        Args:
            hypotheses: where to start.
            evidence: what was measured of each instance.
        """
        anchors = self._anchors(hypotheses)
        for stage in self.schedule:
            config = replace(self.config, kernel=GemanMcClureKernel(stage.kernel_sd))
            thinned = evidence.thinned(stage.surface)
            solution = self._refine(
                hypotheses, thinned, config, stage.iterations, anchors[:, : stage.anchors]
            )
            rivals = self._rivals(solution, hypotheses)
            best = rivals.best(stage.keep)
            hypotheses = replace(hypotheses[best], state=solution.state[best])
            anchors = self._carried(hypotheses, anchors[best])
        fine = self._refine(hypotheses, evidence, self.config, _FINE_ITERATIONS, anchors)
        rivals = self._rivals(fine, hypotheses)
        winner = rivals.best(1)
        chosen = fine[winner].judged_by(self.priors, hypotheses.priors[winner])
        return SearchResult(chosen, rivals.gaps(), self._belief(chosen, hypotheses.encoding))

    def favourites(self, hypotheses: Hypotheses, evidence: Evidence) -> SearchResult:
        """The first start state of each instance, judged but not refined; as `run` otherwise."""
        first = torch.ones_like(hypotheses.owner, dtype=torch.bool)
        first[1:] = hypotheses.owner[1:] != hypotheses.owner[:-1]
        state = hypotheses.state[first]
        solution = refine(self.decoder, state, evidence, self.priors, self.config, 0)
        belief = self._belief(solution, hypotheses.encoding)
        return SearchResult(solution, torch.full_like(solution.cost, _NO_RIVAL), belief)

    def _belief(self, solution: Solution, encoding: Encoding | None) -> Tensor:
        """(B,) log densities of the rotations of one solution per instance."""
        if encoding is None:
            return torch.zeros_like(solution.cost)
        rotation = solution.state.similarity.rotation.unsqueeze(1)
        return encoding.log_density(rotation, self.has_front).squeeze(1)

    @torch.no_grad()
    def _anchors(self, hypotheses: Hypotheses) -> Tensor:
        """(H, M, 3), object units, on the surfaces that the hypotheses start with."""
        decoder = self.decoder[hypotheses.owner]
        return surface_anchors(decoder, hypotheses.state.codes, self.config.anchors)

    @torch.no_grad()
    def _carried(self, hypotheses: Hypotheses, anchors: Tensor) -> Tensor:
        """Anchors (H, M, 3) of earlier shapes, on the surfaces that the hypotheses have now."""
        return carried(self.decoder[hypotheses.owner], hypotheses.state.codes, anchors)

    def _refine(
        self,
        hypotheses: Hypotheses,
        evidence: Evidence,
        config: RefineConfig,
        iterations: int,
        anchors: Tensor,
    ) -> Solution:
        return refine(
            self.decoder[hypotheses.owner],
            hypotheses.state,
            evidence[hypotheses.owner],
            hypotheses.priors,
            config,
            iterations,
            anchors=anchors,
        )

    def _rivals(self, solution: Solution, hypotheses: Hypotheses) -> _Rivals:
        """The refined hypotheses, by instance.

        What is doubted is the cost and twice the negative log of what the network believes. The
        whole mixture is asked, in place of the one mode that drew the refinement.
        """
        rows = _rows_of(hypotheses.owner, len(self.has_front))
        rotation = solution.state.similarity.rotation
        cost = solution.cost
        if hypotheses.priors.rotation is not None:
            cost = cost - hypotheses.priors.rotation.cost(rotation)
        there = rows >= 0
        rotation, doubt = rotation[rows], torch.where(there, cost[rows], torch.inf)
        if hypotheses.encoding is not None:
            belief = hypotheses.encoding.log_density(rotation, self.has_front)
            doubt = doubt - 2.0 * self.network_prior.rotation_weight * belief
        return _Rivals(rows, rotation, doubt, self.has_front)


def _rows_of(owner: Tensor, count: int) -> Tensor:
    """(count, most) the rows of each owner, ascending; -1 where one has fewer.

    Args:
        owner: (H,) of each row, ascending; every one has some.
        count: of the owners.
    """
    have = torch.bincount(owner, minlength=count)
    place = torch.arange(int(have.max()), device=owner.device)
    rows = (have.cumsum(0) - have).unsqueeze(1) + place
    return torch.where(place < have.unsqueeze(1), rows, -1)


@dataclass(frozen=True)
class _Rivals:
    """The hypotheses of B instances, at most K of each.

    Attributes:
        rows: (B, K) their numbers, -1 for none.
        rotation: (B, K, 3, 3) theirs.
        doubt: (B, K) of each, infinite for none.
        has_front: (B,) whether yaw about y means something.
    """

    rows: Tensor
    rotation: Tensor
    doubt: Tensor
    has_front: Tensor

    def best(self, keep: int) -> Tensor:
        """Numbers, ascending by instance, of the `keep` best of each, or of as many as it has.

        One like a better one yields to another.
        """
        each = torch.arange(len(self.doubt), device=self.doubt.device)
        left = self.doubt.clone()
        chosen = []
        for _ in range(min(keep, left.shape[1])):
            best = left.argmin(dim=1)
            chosen.append(torch.where(left[each, best].isinf(), -1, self.rows[each, best]))
            same = self._like(self.rotation[each, best])
            left = left + _DUPLICATE_COST * same
            left[each, best] = torch.inf
        numbers = torch.stack(chosen, dim=1).flatten()
        return numbers[numbers >= 0]

    def gaps(self) -> Tensor:
        """(B,) by how much the best one with another rotation than the best one is worse."""
        each = torch.arange(len(self.doubt), device=self.doubt.device)
        best = self.doubt.argmin(dim=1)
        gap = self.doubt - self.doubt[each, best].unsqueeze(1)
        same = self._like(self.rotation[each, best])
        return torch.where(same, _NO_RIVAL, gap).clamp(max=_NO_RIVAL).min(dim=1).values

    def _like(self, one: Tensor) -> Tensor:
        """(B, K) which rotations differ from those of `one` (B, 3, 3) by less than
        `_SAME_ROTATION_RAD`.
        """
        products = (one.unsqueeze(1) * self.rotation).sum(dim=-2)
        full = (products.sum(-1) - 1.0) / 2.0
        cosine = torch.where(self.has_front.unsqueeze(1), full, products[..., 1])
        return cosine > math.cos(_SAME_ROTATION_RAD)
