"""Refinement from where objects are expected: those of all categories at once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import cast

import numpy as np
import torch

from sdfpose_core.category_model import CategoryModel
from sdfpose_core.encoder.fast import Encoding
from sdfpose_core.frame import Instance, ObjectEstimate
from sdfpose_core.portrait import states_of
from sdfpose_core.refine.anchors import AnchorMemory
from sdfpose_core.refine.evidence import Evidence
from sdfpose_core.refine.priors import Priors
from sdfpose_core.refine.solver import RefineConfig, Solution, refine
from sdfpose_core.refine.state import ShapePose
from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.sdf.mixed import MixedDecoder, mixable
from sdfpose_core.sdf.shape_decoder import ShapeDecoder
from sdfpose_core.search import Trust

__all__ = ["ExpectedGroup", "Pursued", "Pursuit"]

_REMEMBERED = 8
"""Mixtures of categories."""


@dataclass(frozen=True)
class ExpectedGroup:
    """Instances of one category, and where they are expected.

    Attributes:
        model: of the category.
        instances: what was measured.
        earlier: an estimate of each, whose size and code stay.
        encoding: what the network says of them, None without one.
    """

    model: CategoryModel
    instances: Sequence[Instance]
    earlier: Sequence[ObjectEstimate]
    encoding: Encoding | None


@dataclass(frozen=True)
class Pursued:
    """What became of an instance.

    Attributes:
        solution: a batch of one; its cost is under the category's priors.
        belief: the network's log density of the rotation.
    """

    solution: Solution
    belief: float


class Pursuit:
    """Refines poses.

    Objects of different categories are one batch where their decoders are of one architecture:
    with some hundred points each, most of the time would be spent between the products.

    Args:
        observe: gives the evidence of instances of a category.
        trust: in the network.
        config: weights of the terms.
        iterations: steps tried at most.
        device: of the tensors.
    """

    def __init__(
        self,
        observe: Callable[[Sequence[Instance], CategoryModel], Evidence],
        trust: Trust,
        config: RefineConfig,
        iterations: int,
        device: torch.device,
    ) -> None:
        self._observe = observe
        self._trust = trust
        self._config = config
        self._iterations = iterations
        self._device = device
        self._anchors: dict[str, AnchorMemory] = {}
        self._mixtures: OrderedDict[tuple[str, ...], MixedDecoder] = OrderedDict()

    def run(self, groups: Sequence[ExpectedGroup]) -> list[list[Pursued]]:
        """Refine the instances of all groups.

        Returns:
            For each group, in its order.
        """
        alike: dict[object, list[int]] = {}
        for i, group in enumerate(groups):
            alike.setdefault(mixable(group.model.decoder) or i, []).append(i)
        found: list[list[Pursued]] = [[] for _ in groups]
        for chosen in alike.values():
            batch = [groups[i] for i in chosen]
            for i, pursued in zip(chosen, self._run(batch), strict=True):
                found[i] = pursued
        return found

    def _run(self, groups: Sequence[ExpectedGroup]) -> list[list[Pursued]]:
        """As `run`, of groups whose decoders can be mixed."""
        counts = [len(x.instances) for x in groups]
        starts = [states_of(x.earlier, self._device) for x in groups]
        expected = Priors.cat(
            [
                x.model.expected(start.similarity.rotation, x.encoding, self._trust)
                for x, start in zip(groups, starts, strict=True)
            ],
            counts,
        )
        solution = refine(
            self._decoder(groups, counts),
            ShapePose.cat(starts),
            Evidence.cat([self._observe(x.instances, x.model) for x in groups]),
            expected,
            self._config,
            self._iterations,
            pose_only=True,
            anchors=torch.cat(
                [
                    self._anchors_of(x.model)(start.codes)
                    for x, start in zip(groups, starts, strict=True)
                ]
            ),
        ).judged_by(Priors.cat([x.model.priors for x in groups], counts), expected)
        found = []
        for group, end, count in zip(groups, accumulate(counts), counts, strict=True):
            part = solution[end - count : end]
            belief = group.model.belief(part.state.similarity.rotation, group.encoding)
            found.append([Pursued(part[i : i + 1], float(belief[i])) for i in range(count)])
        return found

    def _decoder(self, groups: Sequence[ExpectedGroup], counts: Sequence[int]) -> ShapeDecoder:
        if len(groups) == 1:
            return groups[0].model.decoder
        names = tuple(np.repeat([x.model.category.name for x in groups], counts).tolist())
        if names not in self._mixtures:
            decoders = [
                cast(SdfDecoder, x.model.decoder)
                for x, count in zip(groups, counts, strict=True)
                for _ in range(count)
            ]
            self._mixtures[names] = MixedDecoder(decoders)
        self._mixtures.move_to_end(names)
        while len(self._mixtures) > _REMEMBERED:
            self._mixtures.popitem(last=False)
        return self._mixtures[names]

    def _anchors_of(self, model: CategoryModel) -> AnchorMemory:
        name = model.category.name
        if name not in self._anchors:
            self._anchors[name] = AnchorMemory(model.decoder, self._config.anchors)
        return self._anchors[name]
