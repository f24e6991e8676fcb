"""Poses, sizes and shapes of objects of which nothing is known but their category."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch

from sdfpose_core.device import all_threads
from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.estimation.hypothesis_search import Hypotheses, NetworkPriorConfig, Search, Stage
from sdfpose_core.estimation.report import RefinedHypothesis
from sdfpose_core.observation.frame import Instance
from sdfpose_core.refine.evidence import Evidence
from sdfpose_core.refine.priors import Priors
from sdfpose_core.refine.solver import RefineConfig
from sdfpose_core.sdf.joint_decoder import JointDecoder

__all__ = ["Detection", "Proposal", "detect"]


@dataclass(frozen=True)
class Proposal:
    """Where to search for the instances of one category.

    Attributes:
        model: of the category.
        instances: at least one.
        hypotheses: about them.
    """

    model: CategoryModel
    instances: Sequence[Instance]
    hypotheses: Hypotheses


@dataclass(frozen=True)
class Detection:
    """The best hypothesis of an instance.

    Attributes:
        model: of its category.
        instance: what was measured.
        hypothesis: the hypothesis.
    """

    model: CategoryModel
    instance: Instance
    hypothesis: RefinedHypothesis


def detect(
    proposals: Iterable[Proposal],
    observe: Callable[[Sequence[Instance], Sequence[CategoryModel]], Evidence],
    config: RefineConfig,
    network_prior: NetworkPriorConfig,
    schedule: tuple[Stage, ...] | None,
) -> list[Detection]:
    """The best hypothesis of each instance.

    Categories whose networks speak alike are searched in one batch, with all threads that there
    are.

    Args:
        proposals: of each category.
        observe: makes the evidence of instances, given the models of their categories.
        config: weights of the refinement's terms.
        network_prior: in the networks.
        schedule: the rounds of the search; None to judge the networks' favourites as they are.
    """
    batches: dict[object, list[Proposal]] = {}
    for x in proposals:
        said = x.hypotheses.encoding
        alike = (x.hypotheses.state.codes.shape[1], said is None or said.logits.shape[1])
        batches.setdefault(alike, []).append(x)
    detections = []
    for batch in batches.values():
        members = [(x.model, instance) for x in batch for instance in x.instances]
        models, instances = zip(*members, strict=True)
        category = torch.arange(len(batch)).repeat_interleave(
            torch.tensor([len(x.instances) for x in batch])
        )
        device = batch[0].model.device
        search = Search(
            JointDecoder([x.model.decoder for x in batch], category.to(device)),
            Priors.cat([x.model.priors.of_each(len(x.instances)) for x in batch]),
            torch.tensor([x.has_front for x in models], device=device),
            config,
            network_prior,
            schedule or (),
        )
        find = search.favourites if schedule is None else search.run
        with all_threads():
            found = find(Hypotheses.cat([x.hypotheses for x in batch]), observe(instances, models))
        detections += [
            Detection(
                model,
                instance,
                RefinedHypothesis(
                    found.solution[i : i + 1], float(found.rival_gap[i]), float(found.belief[i])
                ),
            )
            for i, (model, instance) in enumerate(members)
        ]
    return detections
