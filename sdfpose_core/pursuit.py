"""Refinement of poses from where objects are expected, their sizes and shapes being known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from sdfpose_core.category_model import CategoryModel
from sdfpose_core.encoder.encoding import Encoding
from sdfpose_core.findings import Finding
from sdfpose_core.frame import ObjectEstimate
from sdfpose_core.known_shapes import KnownShape
from sdfpose_core.portrait import states_of
from sdfpose_core.refine.evidence import Evidence
from sdfpose_core.refine.priors import Priors
from sdfpose_core.refine.rigid import refine_rigid
from sdfpose_core.refine.solver import RefineConfig
from sdfpose_core.search import Trust, expected_rotation, shape_priors

__all__ = ["Expected", "Word", "pursue"]

_CPU = torch.device("cpu")

_TURN_SD_RAD_S = 0.2
"""Radians per second: what is not known of the speed at which an object turns."""


@dataclass(frozen=True)
class Word:
    """What the network said of an object when it was last asked.

    Attributes:
        encoding: of the object alone; None without a network.
        shape: what is expected of its size and code, each of one hypothesis.
        age_s: seconds since.
        turned_rad: by how much the object may have turned since. It is not turned along: where
            the network alone knows the rotation, it would be followed by its own word.
    """

    encoding: Encoding | None
    shape: Priors
    age_s: float = 0.0
    turned_rad: float = 0.0

    @classmethod
    def each(
        cls, model: CategoryModel, encoding: Encoding | None, count: int, trust: Trust
    ) -> list[Word]:
        """What it said of each of so many instances of one category."""
        if encoding is None:
            return [cls(None, model.priors.to(_CPU))] * count
        shape = shape_priors(encoding, model.priors, trust)
        shape, poses = shape.to(_CPU), encoding.poses(_CPU)
        return [cls(poses[i : i + 1], shape[i]) for i in range(count)]

    def aged(self, seconds: float, rad_s: float) -> Word:
        """The same after a while, in which the object turned at a speed of about so much."""
        speed = math.hypot(rad_s, _TURN_SD_RAD_S)
        return replace(
            self, age_s=self.age_s + seconds, turned_rad=self.turned_rad + speed * seconds
        )


@dataclass(frozen=True)
class Expected:
    """Where an object is expected.

    Attributes:
        estimate: moved to there; size and code stay.
        word: of the network; None where it is to be asked.
    """

    estimate: ObjectEstimate
    word: Word | None = None


def pursue(
    models: Sequence[CategoryModel],
    evidence: Evidence,
    earlier: Sequence[ObjectEstimate],
    words: Sequence[Word],
    shapes: Sequence[KnownShape],
    trust: Trust,
    config: RefineConfig,
    iterations: int,
) -> list[Finding]:
    """Refine the poses of B objects, of whatever categories, as one batch.

    Args:
        models: of each object's category.
        evidence: what was measured of them, on the CPU.
        earlier: their estimates, where they are expected to be.
        words: what the network said of each.
        shapes: of the codes of the estimates.
        trust: in the network.
        config: weights of the terms.
        iterations: steps tried at most.
    """
    state = states_of(earlier, _CPU)
    priors = Priors.stack([x.shape for x in words])
    said = [x.encoding for x in words if x.encoding is not None]
    encoding = Encoding.cat(said) if said else None
    fronts = torch.tensor([x.has_front for x in models])
    if encoding is not None:
        turned = torch.tensor([x.turned_rad for x in words])
        rotation = expected_rotation(
            state.similarity.rotation,
            encoding,
            trust,
            has_front=fronts,
            variance=turned.square(),
        )
        priors = replace(priors, rotation=rotation)
    solution = refine_rigid([x.frozen for x in shapes], state, evidence, priors, config, iterations)
    belief = torch.zeros(len(earlier))
    if encoding is not None:
        found = solution.state.similarity.rotation.unsqueeze(1)
        belief = encoding.log_belief(found, fronts).squeeze(1)
    return [
        Finding(
            solution[i : i + 1],
            math.expm1(x.diagnostics["rival_gap"]),
            float(belief[i]),
            shape_known=True,
        )
        for i, x in enumerate(earlier)
    ]
