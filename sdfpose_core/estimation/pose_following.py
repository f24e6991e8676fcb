"""Pose following: refinement of the poses of tracked objects, whose sizes and shapes are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from sdfpose_core.encoder.encoding import Encoding
from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.estimation.hypotheses import NetworkPriorConfig, rotation_prior_at, shape_priors
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
"""Uncertainty of an object's angular speed, radians per second."""


@dataclass(frozen=True)
class NetworkPrediction:
    """The network's last prediction for one object.

    Attributes:
        encoding: of the object alone; None without a network.
        shape: priors of size and code, for one hypothesis each.
        age_s: seconds since the prediction.
        turned_rad: by how much the object may have turned since. The predicted rotation does not
            turn along: where the network alone determines the rotation, the object would otherwise
            follow the network's own prediction.
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
        config: NetworkPriorConfig,
    ) -> list[NetworkPrediction]:
        """One prediction for each of `count` instances of a category."""
        if encoding is None:
            return [cls(None, model.priors.to(_CPU))] * count
        shape = shape_priors(encoding, model.priors, config)
        shape, poses = shape.to(_CPU), encoding.poses(_CPU)
        return [cls(poses[i : i + 1], shape[i]) for i in range(count)]

    def aged(self, seconds: float, rad_s: float) -> NetworkPrediction:
        """The prediction after some time, in which the object turned at about the given speed."""
        speed = math.hypot(rad_s, _TURN_SD_RAD_S)
        return replace(
            self, age_s=self.age_s + seconds, turned_rad=self.turned_rad + speed * seconds
        )


@dataclass(frozen=True)
class PredictedState:
    """The predicted state of a tracked object.

    Attributes:
        estimate: moved to the predicted pose. Size and code stay.
        prediction: the network's last one; None to query the network.
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
    """Refine the poses of B objects of any categories in one batch.

    Args:
        models: of each object's category.
        evidence: of the objects, on the CPU.
        earlier: their estimates at the predicted poses.
        predictions: the network's, for each object.
        shapes: of the codes of the estimates.
        network_prior: how strongly the predictions count.
        config: weights of the terms.
        iterations: maximum number of steps.
    """
    state = decoder_states(earlier, _CPU)
    priors = Priors.stack([x.shape for x in predictions])
    encodings = [x.encoding for x in predictions if x.encoding is not None]
    encoding = Encoding.cat(encodings) if encodings else None
    fronts = torch.tensor([x.has_front for x in models])
    if encoding is not None:
        turned = torch.tensor([x.turned_rad for x in predictions])
        rotation = rotation_prior_at(
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
        rotations = solution.state.similarity.rotation.unsqueeze(1)
        belief = encoding.log_density(rotations, fronts).squeeze(1)
    return [
        RefinedHypothesis(
            solution[i : i + 1],
            float(belief[i]),
            shape_known=True,
        )
        for i in range(len(earlier))
    ]
