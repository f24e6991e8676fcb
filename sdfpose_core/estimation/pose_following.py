"""Refinement of poses from where objects are expected, their sizes and shapes being known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from sdfpose_core.encoder.encoding import Encoding
from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.estimation.hypothesis_search import (
    NetworkPriorConfig,
    expected_rotation,
    shape_priors,
)
from sdfpose_core.estimation.keyframes import decoder_states
from sdfpose_core.estimation.report import RefinedHypothesis
from sdfpose_core.estimation.shape_cache import CachedShape
from sdfpose_core.observation.frame import ObjectEstimate
from sdfpose_core.refine.evidence import Evidence
from sdfpose_core.refine.priors import Priors
from sdfpose_core.refine.rigid import refine_rigid
from sdfpose_core.refine.solver import RefineConfig

__all__ = ["NetworkPrediction", "PredictedState", "follow_poses"]

_CPU = torch.device("cpu")

_TURN_SD_RAD_S = 0.2
"""Radians per second: what is not known of the speed at which an object turns."""


@dataclass(frozen=True)
class NetworkPrediction:
    """What the network said of an object when it was last asked.

    Attributes:
        encoding: of the object alone; None without a network.
        shape: what is expected of its size and code, each of one hypothesis.
        age_s: seconds since.
        turned_rad: by how much the object may have turned since. It is not turned along: where
            the network alone knows the rotation, it would be followed by its own prediction.
    """

    encoding: Encoding | None
    shape: Priors
    age_s: float = 0.0
    turned_rad: float = 0.0

    @classmethod
    def each(
        cls,
        model: CategoryModel,
        encoding: Encoding | None,
        count: int,
        network_prior: NetworkPriorConfig,
    ) -> list[NetworkPrediction]:
        """What it said of each of so many instances of one category."""
        if encoding is None:
            return [cls(None, model.priors.to(_CPU))] * count
        shape = shape_priors(encoding, model.priors, network_prior)
        shape, poses = shape.to(_CPU), encoding.poses(_CPU)
        return [cls(poses[i : i + 1], shape[i]) for i in range(count)]

    def aged(self, seconds: float, rad_s: float) -> NetworkPrediction:
        """The same after a while, in which the object turned at a speed of about so much."""
        speed = math.hypot(rad_s, _TURN_SD_RAD_S)
        return replace(
            self, age_s=self.age_s + seconds, turned_rad=self.turned_rad + speed * seconds
        )


@dataclass(frozen=True)
class PredictedState:
    """Where an object is expected.

    Attributes:
        estimate: moved to there; size and code stay.
        prediction: of the network; None where it is to be asked.
    """

    estimate: ObjectEstimate
    prediction: NetworkPrediction | None = None


def follow_poses(
    models: Sequence[CategoryModel],
    evidence: Evidence,
    earlier: Sequence[ObjectEstimate],
    predictions: Sequence[NetworkPrediction],
    shapes: Sequence[CachedShape],
    network_prior: NetworkPriorConfig,
    config: RefineConfig,
    iterations: int,
) -> list[RefinedHypothesis]:
    """Refine the poses of B objects, of whatever categories, as one batch.

    Args:
        models: of each object's category.
        evidence: what was measured of them, on the CPU.
        earlier: their estimates, where they are expected to be.
        predictions: what the network said of each.
        shapes: of the codes of the estimates.
        network_prior: in the network.
        config: weights of the terms.
        iterations: steps tried at most.
    """
    state = decoder_states(earlier, _CPU)
    priors = Priors.stack([x.shape for x in predictions])
    said = [x.encoding for x in predictions if x.encoding is not None]
    encoding = Encoding.cat(said) if said else None
    fronts = torch.tensor([x.has_front for x in models])
    if encoding is not None:
        turned = torch.tensor([x.turned_rad for x in predictions])
        rotation = expected_rotation(
            state.similarity.rotation,
            encoding,
            network_prior,
            has_front=fronts,
            variance=turned.square(),
        )
        priors = replace(priors, rotation=rotation)
    solution = refine_rigid([x.volume for x in shapes], state, evidence, priors, config, iterations)
    belief = torch.zeros(len(earlier))
    if encoding is not None:
        found = solution.state.similarity.rotation.unsqueeze(1)
        belief = encoding.log_density(found, fronts).squeeze(1)
    return [
        RefinedHypothesis(
            solution[i : i + 1],
            math.expm1(x.diagnostics["rival_gap"]),
            float(belief[i]),
            shape_known=True,
        )
        for i, x in enumerate(earlier)
    ]
