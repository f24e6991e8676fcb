"""Poses, sizes and shapes of objects of which nothing is known but their category."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch

from sdfpose_core.category_model import CategoryModel
from sdfpose_core.device import burst
from sdfpose_core.findings import Finding
from sdfpose_core.frame import Instance
from sdfpose_core.refine.evidence import Evidence
from sdfpose_core.refine.priors import Priors
from sdfpose_core.refine.solver import RefineConfig
from sdfpose_core.sdf.joint_decoder import JointDecoder
from sdfpose_core.search import Hypotheses, Search, Stage, Trust

__all__ = ["Detected", "Proposal", "detect"]


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
class Detected:
    """The best hypothesis of an instance.

    Attributes:
        model: of its category.
        instance: what was measured.
        finding: the hypothesis.
    """

    model: CategoryModel
    instance: Instance
    finding: Finding


def detect(
    proposals: Iterable[Proposal],
    observe: Callable[[Sequence[Instance], Sequence[CategoryModel]], Evidence],
    config: RefineConfig,
    trust: Trust,
    schedule: tuple[Stage, ...] | None,
) -> list[Detected]:
    """The best hypothesis of each instance.

    Categories whose networks speak alike are searched in one batch, with all threads that there
    are.

    Args:
        proposals: of each category.
        observe: makes the evidence of instances, given the models of their categories.
        config: weights of the refinement's terms.
        trust: in the networks.
        schedule: the rounds of the search; None to judge the networks' favourites as they are.
    """
    batches: dict[object, list[Proposal]] = {}
    for x in proposals:
        said = x.hypotheses.encoding
        alike = (x.hypotheses.state.codes.shape[1], said is None or said.logits.shape[1])
        batches.setdefault(alike, []).append(x)
    detected = []
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
            trust,
            schedule or (),
        )
        find = search.favourites if schedule is None else search.run
        with burst():
            found = find(Hypotheses.cat([x.hypotheses for x in batch]), observe(instances, models))
        detected += [
            Detected(
                model,
                instance,
                Finding(
                    found.solution[i : i + 1], float(found.rival_gap[i]), float(found.belief[i])
                ),
            )
            for i, (model, instance) in enumerate(members)
        ]
    return detected
