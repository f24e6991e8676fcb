"""Detection from scratch: all instances of an image are searched in as few batches as possible."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch

from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.estimation.colour_evidence import ColourEvidence
from sdfpose_core.estimation.confidence import CUES, confidence_features
from sdfpose_core.estimation.evidence import EvidenceSampler
from sdfpose_core.estimation.hypotheses import Hypotheses, NetworkPriorConfig
from sdfpose_core.estimation.hypothesis_search import Candidates, Modes, Search, Stage
from sdfpose_core.estimation.report import RefinedHypothesis
from sdfpose_core.estimation.rival_rotations import (
    RivalRotations,
    front_in_colour,
    half_turns,
)
from sdfpose_core.observation.frame import Instance, ObjectEstimate
from sdfpose_core.refine.evidence import Evidence
from sdfpose_core.refine.priors import Priors
from sdfpose_core.refine.solver import RefineConfig
from sdfpose_core.sdf.joint_decoder import JointDecoder

__all__ = ["Detection", "DetectionBatch", "Proposal", "detection_batches", "earlier_cues"]

_CPU = torch.device("cpu")
"""What follows takes single numbers of single hypotheses, each of which would wait for a GPU."""


@dataclass(frozen=True)
class Proposal:
    """Start poses of the instances of one category.

    Attributes:
        model: of the category.
        instances: at least one.
        hypotheses: of the instances.
    """

    model: CategoryModel
    instances: Sequence[Instance]
    hypotheses: Hypotheses

    def selected(self, wanted: Sequence[bool]) -> Proposal | None:
        """The proposal for some of the instances; None for none of them.

        Args:
            wanted: of each instance.
        """
        if all(wanted):
            return self
        if not any(wanted):
            return None
        index = torch.tensor(wanted, device=self.model.device).nonzero().squeeze(1)
        instances = [x for x, keep in zip(self.instances, wanted, strict=True) if keep]
        return Proposal(self.model, instances, self.hypotheses.of_instances(index))


@dataclass(frozen=True)
class Detection:
    """A refined hypothesis of an instance.

    Attributes:
        model: of its category.
        instance: what was measured.
        hypothesis: the refined hypothesis.
        probability: of its mode, among those of the instance.
        cues: what a detection from scratch found of its mode (`CUES`), and, of a tracked pose, what
            colour and shape said when the object was detected.
    """

    model: CategoryModel
    instance: Instance
    hypothesis: RefinedHypothesis
    probability: float = 1.0
    cues: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(CUES, 0.0))

    @cached_property
    def features(self) -> dict[str, float]:
        """What its confidence depends on; see `confidence_features` and `CUES`."""
        found, priors = self.hypothesis, self.model.cpu_priors
        features = confidence_features(found.solution, priors, found.belief, self.instance)
        return features | dict(self.cues)


def earlier_cues(*estimates: ObjectEstimate) -> dict[str, float]:
    """The cues of a tracked pose: the mean of those of earlier estimates of the object."""
    names = (*CUES, "colour_known", "shape_known")
    said = {name: [x.diagnostics.get(name, 0.0) for x in estimates] for name in names}
    return {name: math.fsum(values) / len(values) for name, values in said.items()}


@dataclass(frozen=True)
class DetectionBatch:
    """Instances of any categories that are searched as one batch.

    Attributes:
        models: of each instance's category.
        instances: what was measured.
        hypotheses: start poses.
        evidence: of the instances.
        search: over the instances.
        candidates: that the search has left, None before it.
    """

    models: Sequence[CategoryModel]
    instances: Sequence[Instance]
    hypotheses: Hypotheses
    evidence: Evidence
    search: Search
    candidates: Candidates | None = None

    def narrowed(self, *, with_half_turns: bool, colour: ColourEvidence | None) -> DetectionBatch:
        """The batch after the coarse rounds of the search.

        Args:
            with_half_turns: whether half turns of the best poses are candidates, too.
            colour: shows where the fronts may be; None ignores it.
        """
        search = self.search
        candidates = search.narrow(self.hypotheses, self.evidence)
        best, rivals = search.best(candidates), []
        if with_half_turns:
            rivals.append(half_turns(best.rotation, search.has_front))
        if colour is not None and bool(search.has_front.any()):
            rivals.append(front_in_colour(colour, self.instances, best, search.has_front))
        if rivals:
            candidates = search.with_rivals(candidates, RivalRotations.cat(rivals))
        return replace(self, candidates=candidates)

    def refined(self) -> list[Detection]:
        """The modes of each instance, or its first start pose without a search."""
        if self.candidates is None:
            modes = self.search.unrefined(self.hypotheses, self.evidence)
        else:
            modes = self.search.refine(self.candidates, self.evidence)
        return self._detections(modes)

    def coarse(self) -> list[Detection]:
        """The best hypothesis of each instance after the first of the coarse rounds."""
        return self._detections(self.search.coarse(self.hypotheses, self.evidence))

    def _detections(self, modes: Modes) -> list[Detection]:
        solution = modes.solution.to(_CPU)
        return [
            Detection(
                self.models[i], self.instances[i], RefinedHypothesis(solution[m : m + 1], belief)
            )
            for m, (i, belief) in enumerate(
                zip(modes.owner.tolist(), modes.belief.tolist(), strict=True)
            )
        ]


def detection_batches(
    proposals: Iterable[Proposal],
    sampler: EvidenceSampler,
    config: RefineConfig,
    network_prior: NetworkPriorConfig,
    schedule: tuple[Stage, ...],
) -> list[DetectionBatch]:
    """Put the instances of all categories into one batch for each size of network outputs.

    Args:
        proposals: of each category.
        sampler: of the evidence.
        config: weights of the refinement's terms.
        network_prior: how strongly the networks' predictions count.
        schedule: the coarse rounds of the search.
    """
    alike: dict[object, list[Proposal]] = {}
    for x in proposals:
        encoding = x.hypotheses.encoding
        modes = None if encoding is None else encoding.logits.shape[1]
        alike.setdefault((x.hypotheses.state.codes.shape[1], modes), []).append(x)
    batches = []
    for group in alike.values():
        models = [x.model for x in group for _ in x.instances]
        instances = [instance for x in group for instance in x.instances]
        counts = torch.tensor([len(x.instances) for x in group])
        category = torch.arange(len(group)).repeat_interleave(counts)
        device = models[0].device
        search = Search(
            JointDecoder([x.model.decoder for x in group], category.to(device)),
            Priors.cat([x.model.priors.expand(len(x.instances)) for x in group]),
            torch.tensor([x.has_front for x in models], device=device),
            config,
            network_prior,
            schedule,
        )
        evidence = sampler(instances, [x.category for x in models])
        hypotheses = Hypotheses.cat([x.hypotheses for x in group])
        batches.append(DetectionBatch(models, instances, hypotheses, evidence, search))
    return batches
