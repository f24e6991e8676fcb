"""The search: many start poses, refined in rounds with fewer and fewer hypotheses.

`Search.narrow` runs the coarse rounds, `Search.with_rivals` adds rotations that have to be
compared, and `Search.refine` runs the last round, on all evidence. The modes that remain differ in
rotation; `mode_ranking` chooses among them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sdfpose_core.encoder.encoding import Encoding
from sdfpose_core.estimation.hypotheses import Hypotheses, NetworkPriorConfig
from sdfpose_core.estimation.rival_rotations import RivalRotations
from sdfpose_core.geometry.similarity import Similarity
from sdfpose_core.refine.anchors import project_to_surface, surface_anchors
from sdfpose_core.refine.evidence import Evidence
from sdfpose_core.refine.kernel import GemanMcClureKernel
from sdfpose_core.refine.priors import Priors
from sdfpose_core.refine.solver import RefineConfig, Solution, refine
from sdfpose_core.sdf.joint_decoder import JointDecoder

__all__ = ["FAST_SEARCH", "FULL_SEARCH", "Candidates", "Modes", "Search", "Stage"]


@dataclass(frozen=True)
class Stage:
    """One round of the search. Each round has fewer hypotheses and more evidence.

    Attributes:
        surface, anchors: numbers of observed points and of points on the decoded surface.
        kernel_sd: width of the robust kernel: start poses are off by more than the noise.
        iterations: of the solver.
        keep: hypotheses per instance that the next round gets.
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
"""Rounds of the default search. Twice the evaluations gain a point or less of most measures; half
of them lose two points."""

FAST_SEARCH = (Stage(surface=64, anchors=48, kernel_sd=8.0, iterations=5, keep=2),)
"""Rounds of a shorter search."""

_FINE_ITERATIONS = 8

_DUPLICATE_COST = 20.0
"""Added to a hypothesis that has converged to the same pose as a better one."""

_SAME_ROTATION_RAD = math.radians(20.0)


@dataclass(frozen=True)
class Candidates:
    """The hypotheses of B instances that are worth a full refinement.

    Attributes:
        hypotheses: of the instances.
        anchors: (H, M, 3), object units, on the decoded surfaces.
    """

    hypotheses: Hypotheses
    anchors: Tensor


@dataclass(frozen=True)
class Modes:
    """Refined hypotheses of B instances. Those of one instance differ in rotation.

    Attributes:
        solution: M of them. The costs contain the category's priors of size and code, and none of
            the rotation.
        owner: (M,) integer, ascending: index of each mode's instance.
        belief: (M,) the network's log density of the rotation, 0 without a network.
    """

    solution: Solution
    owner: Tensor
    belief: Tensor


@dataclass(frozen=True)
class Search:
    """The search for the poses of B instances, of any categories.

    Attributes:
        decoder: of each instance's category.
        priors: of codes and sizes, of each instance's category.
        has_front: (B,) whether yaw about y has a meaning.
        config: weights of the refinement's terms.
        network_prior: how strongly the network's prediction counts.
        schedule: the coarse rounds.
    """

    decoder: JointDecoder
    priors: Priors
    has_front: Tensor
    config: RefineConfig
    network_prior: NetworkPriorConfig
    schedule: tuple[Stage, ...] = FULL_SEARCH

    def narrow(self, hypotheses: Hypotheses, evidence: Evidence) -> Candidates:
        """Refine all hypotheses coarsely, and drop the worst after each round.

        Args:
            hypotheses: start states.
            evidence: of each instance.
        """
        anchors = self._anchors(hypotheses, self.config.anchors)
        for stage in self.schedule:
            solution = self._round(stage, hypotheses, evidence, anchors[:, : stage.anchors])
            best = self._rank(solution, hypotheses).best(stage.keep)
            hypotheses = replace(hypotheses[best], state=solution.state[best])
            anchors = self._moved_anchors(hypotheses, anchors[best])
        return Candidates(hypotheses, anchors)

    def refine(self, candidates: Candidates, evidence: Evidence) -> Modes:
        """Refine the candidates on all evidence.

        Args:
            candidates: of the instances.
            evidence: of each instance.
        """
        hypotheses = candidates.hypotheses
        fine = self._refine(hypotheses, evidence, self.config, _FINE_ITERATIONS, candidates.anchors)
        return self._modes(fine, hypotheses, self._rank(fine, hypotheses).distinct())

    def coarse(self, hypotheses: Hypotheses, evidence: Evidence) -> Modes:
        """The best hypothesis of each instance after the first of the coarse rounds.

        Args:
            hypotheses: start states.
            evidence: of each instance.
        """
        stage = self.schedule[0]
        anchors = self._anchors(hypotheses, stage.anchors)
        solution = self._round(stage, hypotheses, evidence, anchors)
        return self._modes(solution, hypotheses, self._rank(solution, hypotheses).best(1))

    def unrefined(self, hypotheses: Hypotheses, evidence: Evidence) -> Modes:
        """The first start state of each instance, evaluated but not refined."""
        first = torch.ones_like(hypotheses.owner, dtype=torch.bool)
        first[1:] = hypotheses.owner[1:] != hypotheses.owner[:-1]
        state = hypotheses.state[first]
        solution = refine(self.decoder, state, evidence, self.priors, self.config, 0)
        belief = self._belief(solution, hypotheses.owner[first], hypotheses.encoding)
        return Modes(solution, hypotheses.owner[first], belief)

    def best(self, candidates: Candidates) -> Similarity:
        """(B,) the pose of each instance's best candidate."""
        hypotheses = candidates.hypotheses
        return hypotheses.state.similarity[_rows_of(hypotheses.owner, len(self.has_front))[:, 0]]

    def with_rivals(self, candidates: Candidates, rivals: RivalRotations) -> Candidates:
        """The candidates, and each instance's best one with other rotations.

        A rotation is left out if a candidate or an earlier one is the same.
        """
        hypotheses = candidates.hypotheses
        rows = _rows_of(hypotheses.owner, len(self.has_front))
        known = hypotheses.state.similarity.rotation[rows]
        present = rows >= 0
        missing = torch.zeros_like(rivals.worth_trying)
        for i, rotation in enumerate(rivals.rotations.unbind(1)):
            same = (_same_rotation(rotation, known, self.has_front) & present).any(dim=1)
            missing[:, i] = rivals.worth_trying[:, i] & ~same
            known = torch.cat([known, rotation.unsqueeze(1)], dim=1)
            present = torch.cat([present, missing[:, i : i + 1]], dim=1)
        source = rows[:, :1].expand_as(missing)[missing]
        rotation = hypotheses.state.similarity.rotation
        order = torch.cat([hypotheses.owner, hypotheses.owner[source]]).argsort(stable=True)
        together = torch.cat([torch.arange(len(rotation), device=source.device), source])[order]
        state = hypotheses.state[together]
        rotation = torch.cat([rotation, rivals.rotations[missing]])[order]
        similarity = replace(state.similarity, rotation=rotation)
        joined = replace(hypotheses[together], state=replace(state, similarity=similarity))
        prior = joined.priors.rotation
        if prior is not None:
            new = torch.ones(len(order), 1, dtype=prior.precision.dtype, device=source.device)
            new[len(hypotheses.owner) :] = 0.0
            prior = replace(prior, precision=prior.precision * new[order])
            joined = replace(joined, priors=replace(joined.priors, rotation=prior))
        return Candidates(joined, candidates.anchors[together])

    def _modes(self, solution: Solution, hypotheses: Hypotheses, rows: Tensor) -> Modes:
        """Some of the refined hypotheses, ascending, as modes."""
        chosen, owner = solution[rows], hypotheses.owner[rows]
        chosen = chosen.with_priors(self.priors[owner], hypotheses.priors[rows])
        return Modes(chosen, owner, self._belief(chosen, owner, hypotheses.encoding))

    def _belief(self, solution: Solution, owner: Tensor, encoding: Encoding | None) -> Tensor:
        """(M,) log densities of the rotations of solutions, given the instance of each."""
        belief = torch.zeros_like(solution.cost)
        if encoding is None:
            return belief
        rows = _rows_of(owner, len(self.has_front))
        rotation = solution.state.similarity.rotation
        density = encoding.log_density(rotation[rows], self.has_front)
        belief[rows[rows >= 0]] = density[rows >= 0]
        return belief

    @torch.no_grad()
    def _anchors(self, hypotheses: Hypotheses, count: int) -> Tensor:
        """(H, count, 3), object units, on the surfaces of the start states."""
        decoder = self.decoder[hypotheses.owner]
        return surface_anchors(decoder, hypotheses.state.codes, count)

    @torch.no_grad()
    def _moved_anchors(self, hypotheses: Hypotheses, anchors: Tensor) -> Tensor:
        """Anchors (H, M, 3) of earlier shapes, moved to the surfaces of the present shapes."""
        return project_to_surface(self.decoder[hypotheses.owner], hypotheses.state.codes, anchors)

    def _round(
        self, stage: Stage, hypotheses: Hypotheses, evidence: Evidence, anchors: Tensor
    ) -> Solution:
        """The hypotheses after one of the coarse rounds."""
        config = replace(self.config, kernel=GemanMcClureKernel(stage.kernel_sd))
        subsampled = evidence.subsampled(stage.surface)
        return self._refine(hypotheses, subsampled, config, stage.iterations, anchors)

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

    def _rank(self, solution: Solution, hypotheses: Hypotheses) -> _Ranking:
        """The refined hypotheses by instance, with their negative log posteriors.

        The posterior takes the density of the network's whole mixture, in place of the one mode
        that served as the prior of the refinement.
        """
        rows = _rows_of(hypotheses.owner, len(self.has_front))
        rotation = solution.state.similarity.rotation
        cost = solution.cost
        if hypotheses.priors.rotation is not None:
            cost = cost - hypotheses.priors.rotation.cost(rotation)
        present = rows >= 0
        rotation, energy = rotation[rows], torch.where(present, cost[rows], torch.inf)
        if hypotheses.encoding is not None:
            belief = hypotheses.encoding.log_density(rotation, self.has_front)
            energy = energy - 2.0 * self.network_prior.rotation_weight * belief
        return _Ranking(rows, rotation, energy, self.has_front)


def _rows_of(owner: Tensor, count: int) -> Tensor:
    """(count, K) rows of each owner, ascending, padded with -1.

    Args:
        owner: (H,) of each row, ascending; every owner has at least one.
        count: number of owners.
    """
    have = torch.bincount(owner, minlength=count)
    place = torch.arange(int(have.max()), device=owner.device)
    rows = (have.cumsum(0) - have).unsqueeze(1) + place
    return torch.where(place < have.unsqueeze(1), rows, -1)


@dataclass(frozen=True)
class _Ranking:
    """The hypotheses of B instances, at most K of each.

    Attributes:
        rows: (B, K) their indices, -1 for none.
        rotation: (B, K, 3, 3) their rotations.
        energy: (B, K) twice the negative log posterior, infinite for none.
        has_front: (B,) whether yaw about y has a meaning.
    """

    rows: Tensor
    rotation: Tensor
    energy: Tensor
    has_front: Tensor

    def best(self, keep: int) -> Tensor:
        """Indices, ascending by instance, of the `keep` best of each, or of as many as it has.

        A duplicate of a better hypothesis yields to a different one.
        """
        each = torch.arange(len(self.energy), device=self.energy.device)
        left = self.energy.clone()
        chosen = []
        for _ in range(min(keep, left.shape[1])):
            best = left.argmin(dim=1)
            chosen.append(torch.where(left[each, best].isinf(), -1, self.rows[each, best]))
            same = _same_rotation(self.rotation[each, best], self.rotation, self.has_front)
            left = left + _DUPLICATE_COST * same
            left[each, best] = torch.inf
        numbers = torch.stack(chosen, dim=1).flatten()
        return numbers[numbers >= 0]

    def distinct(self) -> Tensor:
        """Indices, ascending by instance, of those that differ in rotation from all better ones."""
        each = torch.arange(len(self.energy), device=self.energy.device)
        left = self.energy.clone()
        chosen = []
        while not left.isinf().all():
            best = left.argmin(dim=1)
            chosen.append(torch.where(left[each, best].isinf(), -1, self.rows[each, best]))
            left[_same_rotation(self.rotation[each, best], self.rotation, self.has_front)] = (
                torch.inf
            )
            left[each, best] = torch.inf
        numbers = torch.stack(chosen, dim=1).flatten()
        return numbers[numbers >= 0]


def _same_rotation(one: Tensor, others: Tensor, has_front: Tensor) -> Tensor:
    """(B, K) whether rotations differ by less than `_SAME_ROTATION_RAD`.

    Args:
        one: (B, 3, 3).
        others: (B, K, 3, 3).
        has_front: (B,) whether yaw about y counts.
    """
    products = (one.unsqueeze(1) * others).sum(dim=-2)
    full = (products.sum(-1) - 1.0) / 2.0
    cosine = torch.where(has_front.unsqueeze(1), full, products[..., 1])
    return cosine > math.cos(_SAME_ROTATION_RAD)
