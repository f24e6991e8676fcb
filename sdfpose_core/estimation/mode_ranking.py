"""Which mode is right: probabilities of the refined hypotheses of an instance.

The modes of an instance differ in rotation, or in category where it is not known. Each has a log
likelihood of several parts: what the depth leaves unexplained, the priors of shape and size, what
the network said, which way is up, and what the colour image shows. The parts are neither
independent nor in the same unit, so each has a weight; the weights are those of a conditional logit
(McFadden, 1974) that was fitted on simulated views (``training/calibrate_confidence.py``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from sdfpose_core.errors import WeightsError
from sdfpose_core.refine.priors import Priors
from sdfpose_core.refine.solver import RefineConfig, Solution
from sdfpose_core.storage.files import write_atomically
from sdfpose_core.storage.text import read_text
from sdfpose_core.weights import RANKING_FILE, SHIPPED

__all__ = ["MODE_FEATURES", "ModeRanking", "mode_features"]

MODE_FEATURES = (
    "cost",
    "surface",
    "free_space",
    "support",
    "code",
    "size",
    "determined",
    "spread",
    "belief",
    "upright",
    "colour_pose",
    "colour_category",
)
"""Names of the parts, in the order of the weights."""

_LEAST_VARIANCE = 1e-12
_RIDGE = 1.0
"""Weight of the squared weights of standardised features, against the sum of the log
likelihoods."""


def mode_features(
    solution: Solution,
    priors: Priors,
    config: RefineConfig,
    *,
    belief: float = 0.0,
    upright: float = 0.0,
    colour_pose: float = 0.0,
    colour_category: float = 0.0,
) -> dict[str, float]:
    """The parts of the log likelihood of one refined hypothesis.

    Args:
        solution: a batch of one, on the CPU, whose cost contains the priors.
        priors: of its category, on the CPU.
        config: weights of the refinement's terms.
        belief: the network's log density of the rotation.
        upright: log density of the object's y axis, given which way is up.
        colour_pose: log density of the rotation, given the colour image.
        colour_category: log probability of the category, given the colour image.

    Returns:
        ``cost``: minus half of the cost;
        ``surface``, ``free_space``, ``support``, ``code``, ``size``: minus log(1 + c) of the cost c
        of the observed points, of the surface inside free space, of the support, and of code and
        size under the category's priors. Noise and shapes are never quite as they were assumed;
        where the scale of residuals is unknown, likelihoods are powers of the cost;
        ``determined``: minus half of the log ratio of the determinants of the Hessian and of the
        priors' precision: the more closely the measurements determine size, shape and pose, the
        less likely they were a priori (Laplace's approximation of the evidence);
        ``spread``: log of the largest principal standard deviation of the translation, metres;
        and the arguments by their names.
    """
    loss = config.kernel.loss
    surface = config.surface_weight * float(loss(solution.surface_residual[0].square()).mean())
    free = config.free_space_weight * float(loss(solution.violation[0].square()).mean())
    difference = solution.state.codes[0] - priors.code_mean
    code = float(difference @ priors.code_precision @ difference)
    log_scale = solution.state.similarity.scale[0].log()
    size = float((log_scale - priors.log_scale_mean) / priors.log_scale_sd) ** 2
    support = float(solution.cost[0]) - surface - free - code - size
    precision = float(torch.linalg.slogdet(priors.code_precision.double())[1])
    precision -= 2.0 * math.log(float(priors.log_scale_sd))
    hessian = float(torch.linalg.slogdet(solution.hessian[0].double())[1])
    covariance = torch.linalg.inv(solution.hessian[0].double())[3:6, 3:6]
    variance = max(float(torch.linalg.eigvalsh(covariance)[-1]), _LEAST_VARIANCE)
    parts = {
        "surface": surface, "free_space": free, "support": support, "code": code, "size": size
    }  # fmt: skip
    return {
        "cost": -0.5 * float(solution.cost[0]),
        **{name: -math.log1p(max(cost, 0.0)) for name, cost in parts.items()},
        "determined": -0.5 * (hessian - precision),
        "spread": 0.5 * math.log(variance),
        "belief": belief,
        "upright": upright,
        "colour_pose": colour_pose,
        "colour_category": colour_category,
    }


class ModeRanking:
    """Conditional logit over the modes of an instance.

    Args:
        weights: (F,) of the `MODE_FEATURES`.
    """

    def __init__(self, weights: NDArray[np.float64]) -> None:
        self._weights = weights

    def probabilities(
        self, features: Sequence[Mapping[str, float]], log_prior: Sequence[float] | None = None
    ) -> NDArray[np.float64]:
        """Probabilities (K,) of the K modes of an instance, which sum to one.

        Args:
            features: of each mode, see `mode_features`.
            log_prior: of each mode, e.g. of its category; equal by default.
        """
        score = _table(features) @ self._weights
        if log_prior is not None:
            score = score + np.asarray(log_prior)
        return np.asarray(np.exp(score - logsumexp(score)))

    @classmethod
    def by_cost(cls, rotation_weight: float = 1.0) -> ModeRanking:
        """Rank by the cost of the refinement and by the network's density, without a fit.

        Args:
            rotation_weight: of the network's density, see `NetworkPriorConfig`.
        """
        weights = {"cost": 1.0, "belief": rotation_weight}
        return cls(np.array([weights.get(name, 0.0) for name in MODE_FEATURES]))

    @classmethod
    def fit(
        cls, cases: Sequence[tuple[Sequence[Mapping[str, float]], Sequence[bool]]]
    ) -> ModeRanking:
        """Maximum likelihood, with a small ridge; the ranking by cost if there is nothing to fit.

        Args:
            cases: for each instance the features of its modes, and which of them are right. Several
                may be right, e.g. of a mug whose handle is hidden. Instances without a right or
                without a wrong mode say nothing.
        """
        telling = [(x, right) for x, right in cases if any(right) and not all(right)]
        if not telling:
            return cls.by_cost()
        most = max(len(right) for _, right in telling)
        table = np.zeros((len(telling), most, len(MODE_FEATURES)))
        absent = np.full((2, len(telling), most), -np.inf)  # of all modes, and of the right ones
        for i, (features, right) in enumerate(telling):
            table[i, : len(right)] = _table(features)
            absent[0, i, : len(right)] = 0.0
            absent[1, i, : len(right)][np.array(right)] = 0.0
        spread = table[np.isfinite(absent[0])].std(axis=0) + 1e-9
        table /= spread

        def loss(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            score = table @ w + absent
            total = logsumexp(score, axis=2, keepdims=True)
            share = np.exp(score - total)
            value = total[0].sum() - total[1].sum() + _RIDGE * w @ w
            gradient = np.einsum("nk,nkf->f", share[0] - share[1], table)
            return float(value), gradient + 2.0 * _RIDGE * w

        best = minimize(loss, np.zeros(len(spread)), jac=True, method="L-BFGS-B").x
        return cls(best / spread)

    def save(self, path: Path | str) -> None:
        """Write the weights as JSON."""
        content = {
            name: round(float(x), 6) for name, x in zip(MODE_FEATURES, self._weights, strict=True)
        }
        write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: Path | str = SHIPPED / RANKING_FILE) -> ModeRanking:
        """Read a file written by `save`.

        Raises:
            WeightsError: the file is missing, damaged or has other features.
        """
        try:
            content = json.loads(read_text(path))
            if sorted(content) != sorted(MODE_FEATURES):
                raise ValueError(f"it has the features {', '.join(content)}")
            weights = np.array([float(content[name]) for name in MODE_FEATURES])
            if not np.isfinite(weights).all():
                raise ValueError("a weight is not finite")
            return cls(weights)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WeightsError(
                f"{path}: holds no ranking of modes ({error!r}): restore it from the package or "
                "fit it anew (training/calibrate_confidence.py)"
            ) from error


def _table(features: Sequence[Mapping[str, float]]) -> NDArray[np.float64]:
    """The features (K, F) of K modes as an array."""
    return np.array([[x[name] for name in MODE_FEATURES] for x in features])
