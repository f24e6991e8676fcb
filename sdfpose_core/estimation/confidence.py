"""Confidence: the probability that a pose is right, from features of the refinement.

The product of three probabilities: that the object is of one of the categories that were tried at
all, that of the mode, and that the pose is precise. The first and the last one are additive
logistic regressions on a few features, fitted on simulated validation data
(``training/calibrate_confidence.py``). Right means within 10 degrees and 5 cm.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

from sdfpose_core.errors import WeightsError
from sdfpose_core.observation.frame import Instance
from sdfpose_core.refine.priors import Priors
from sdfpose_core.refine.solver import Solution
from sdfpose_core.storage.files import write_atomically
from sdfpose_core.storage.text import read_text
from sdfpose_core.weights import CONFIDENCE_FILE, SHIPPED

__all__ = [
    "CUES",
    "FEATURES",
    "KNOWN_FEATURES",
    "ConfidenceCase",
    "ConfidenceModel",
    "bounded_log_odds",
    "confidence_features",
]

FEATURES = (
    "inlier_ratio",
    "residual_rms",
    "free_space_violation",
    "code_distance",
    "size_deviation",
    "belief",
    "log_points",
    "hidden_outline",
    "rotation_sd",
    "translation_sd",
)
"""Names of the features that tell whether the pose is precise, in the order of the coefficients."""

CUES = ("upright", "colour_pose", "colour_category", "mode_probability")
"""Names of what only a detection from scratch knows of the chosen mode: parts of its log likelihood
(see `mode_features`) and its probability. Tracked poses keep them."""

KNOWN_FEATURES = (*FEATURES, "plausible_share", "colour_known", "shape_known", "told", *CUES)
"""Names of those that tell whether the object is of any of the categories that were tried."""

_INLIER_SD = 2.5
_VIOLATION_SD = 1.0
_MIN_BELIEF = -10.0
_MAX_POINTS = 1024
_MOST_LOG_ODDS = 6.0
_LEAST_PROBABILITY = 1e-6
_MOST_LOGIT = 30.0
_MOST_SHIFT = 4.0
_RIDGE = 1.0
"""Weight of the squared values at the knots against the sum of the log likelihoods."""

_QUANTILES = (0.05, 0.35, 0.65, 0.95)
"""The knots of a feature are these quantiles of it."""


def confidence_features(
    solution: Solution, priors: Priors, belief: float, instance: Instance
) -> dict[str, float]:
    """Features of the refinement of one instance.

    Args:
        solution: a batch of one, on the CPU.
        priors: of its category, on the CPU.
        belief: the network's log density of the rotation, 0 without a network.
        instance: what was estimated.

    Returns:
        ``inlier_ratio``: share of the observed points within 2.5 sd of the surface;
        ``residual_rms``: root mean square of the inliers' residuals, sd;
        ``free_space_violation``: share of the decoded surface that is in free space;
        ``code_distance``: Mahalanobis distance of the code over the square root of its length;
        ``size_deviation``: of the log size from the category's median, sd;
        ``belief``: as given, at least -10;
        ``log_points``: natural logarithm of the number of depth pixels, at most that of 1024;
        ``hidden_outline``: see `FreeSpace.hidden`;
        ``rotation_sd``: radians, the middle principal standard deviation of the rotation: the
        largest may be yaw about a symmetry axis;
        ``translation_sd``: metres, the largest principal standard deviation of the translation;
        ``plausible_share``: see `Instance`;
        ``colour_known``, ``shape_known``: its `Instance.colour_log_odds` and
        `Instance.shape_log_odds`, at most 6 in amount;
        ``told``: whether somebody named a category, 0 or 1.
    """
    residual = solution.surface_residual[0].numpy()
    inlier = residual[np.abs(residual) < _INLIER_SD]
    code = (solution.state.codes[0] - priors.code_mean).numpy()
    distance = float(code @ priors.code_precision.numpy() @ code) / len(code)
    log_scale = math.log(float(solution.state.similarity.scale[0]))
    deviation = abs(log_scale - float(priors.log_scale_mean)) / float(priors.log_scale_sd)
    covariance = np.linalg.inv(solution.hessian[0].double().numpy())
    rotation = np.sqrt(np.clip(np.linalg.eigvalsh(covariance[:3, :3]), 0.0, None))
    translation = np.sqrt(np.clip(np.linalg.eigvalsh(covariance[3:6, 3:6]), 0.0, None))
    violation = solution.violation[0].numpy()
    return {
        "inlier_ratio": len(inlier) / len(residual),
        "residual_rms": math.sqrt(float(np.mean(inlier**2))) if len(inlier) else 10.0,
        "free_space_violation": float(np.mean(violation > _VIOLATION_SD)),
        "code_distance": math.sqrt(max(distance, 0.0)),
        "size_deviation": deviation,
        "belief": max(belief, _MIN_BELIEF),
        "log_points": math.log(min(instance.depth_pixels, _MAX_POINTS)),
        "hidden_outline": instance.free.hidden,
        "rotation_sd": float(rotation[1]),
        "translation_sd": float(translation[2]),
        "plausible_share": instance.plausible_share,
        "colour_known": bounded_log_odds(instance.colour_log_odds),
        "shape_known": bounded_log_odds(instance.shape_log_odds),
        "told": float(not instance.unknown),
    }


def bounded_log_odds(log_odds: float) -> float:
    """Log odds as a feature: at most 6 in amount."""
    return min(max(log_odds, -_MOST_LOG_ODDS), _MOST_LOG_ODDS)


@dataclass(frozen=True)
class _Regression:
    """Additive logistic regression: each feature adds a piecewise linear function to the logit.

    The functions are constant beyond the outer knots: what no training view showed changes nothing
    more.

    Attributes:
        knots: of each feature, by name, rising.
        values: of the function at each knot.
        bias: of the logit.
    """

    knots: Mapping[str, NDArray[np.float64]]
    values: Mapping[str, NDArray[np.float64]]
    bias: float

    @classmethod
    def constant(cls, bias: float) -> _Regression:
        """The same probability for everything."""
        return cls({}, {}, bias)

    def __call__(self, features: Mapping[str, float], shift: float = 0.0) -> float:
        logit = shift + self.logit(features)
        return 1.0 / (1.0 + math.exp(-min(max(logit, -_MOST_LOGIT), _MOST_LOGIT)))

    def logit(self, features: Mapping[str, float]) -> float:
        """Log odds."""
        return self.bias + math.fsum(
            float(np.interp(features[name], knots, self.values[name]))
            for name, knots in self.knots.items()
        )

    @classmethod
    def fit(
        cls,
        names: tuple[str, ...],
        features: Sequence[Mapping[str, float]],
        factor: Sequence[float],
        success: Sequence[bool],
    ) -> _Regression:
        """Maximum likelihood, with a small ridge.

        The probability of a success is that of the regression times a factor.
        """
        columns = {name: np.array([f[name] for f in features]) for name in names}
        knots = {name: np.unique(np.quantile(x, _QUANTILES)) for name, x in columns.items()}
        x = np.hstack([_hats(columns[name], knots[name]) for name in names])
        right = np.array(success, dtype=np.bool_)
        log_factor = np.log(np.clip(factor, _LEAST_PROBABILITY, 1.0 - _LEAST_PROBABILITY))

        def loss(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            logit = x @ w[:-1] + w[-1]
            log_own = -np.logaddexp(0.0, -logit)
            log_success = log_factor + log_own
            failure = -np.expm1(log_success)
            value = -np.where(right, log_success, np.log(failure)).sum()
            # d log_own / d logit = 1 - own
            slope = -np.expm1(log_own)
            slope *= np.where(right, -1.0, np.exp(log_success) / failure)
            gradient = np.append(x.T @ slope + 2.0 * _RIDGE * w[:-1], slope.sum())
            return float(value + _RIDGE * (w[:-1] @ w[:-1])), gradient

        best = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B").x
        ends = np.cumsum([len(knots[name]) for name in names])
        values = dict(zip(names, np.split(best[:-1], ends[:-1]), strict=True))
        return cls(knots, values, float(best[-1]))

    def as_json(self) -> dict[str, Any]:
        """Convert to a JSON object."""
        return {
            "bias": round(self.bias, 6),
            "features": {
                name: {
                    "knots": [round(float(x), 6) for x in knots],
                    "values": [round(float(x), 6) for x in self.values[name]],
                }
                for name, knots in self.knots.items()
            },
        }

    @classmethod
    def from_json(cls, names: tuple[str, ...], content: Mapping[str, Any]) -> _Regression:
        """Convert from the JSON object of `as_json`.

        Raises:
            ValueError: a number is not finite, or knots do not rise or have not a value each.
            KeyError: a feature is missing.
            TypeError: a number is none.
        """
        rows = content["features"]
        knots, values = (
            {name: np.array([float(x) for x in rows[name][key]]) for name in names if rows}
            for key in ("knots", "values")
        )
        bias = float(content["bias"])
        if not math.isfinite(bias):
            raise ValueError("the bias is not finite")
        for name, x in knots.items():
            if not (len(x) == len(values[name]) > 0 and (np.diff(x) > 0.0).all()):
                raise ValueError(f"knots of {name} do not rise, or have not a value each")
            if not np.isfinite([*x, *values[name]]).all():
                raise ValueError(f"a number of {name} is not finite")
        return cls(knots, values, bias)


def _hats(x: NDArray[np.float64], knots: NDArray[np.float64]) -> NDArray[np.float64]:
    """Piecewise linear functions (N, K) of x (N,), each of which is 1 at its knot, 0 at others."""
    return np.stack([np.interp(x, knots, row) for row in np.eye(len(knots))], axis=1)


@dataclass(frozen=True)
class ConfidenceCase:
    """An estimate whose truth is known, to fit a `ConfidenceModel` to.

    Attributes:
        features: see `confidence_features`.
        mode_probability: of the chosen mode.
        known: whether the object is of one of the categories that were tried.
        right: whether the pose is right.
    """

    features: Mapping[str, float]
    mode_probability: float
    known: bool
    right: bool


class ConfidenceModel:
    """Probability of success, given that of the mode and `KNOWN_FEATURES`."""

    def __init__(self, known: _Regression, precise: _Regression) -> None:
        self._known, self._precise = known, precise

    def known(self, features: Mapping[str, float]) -> float:
        """Probability that the object is of one of the categories that were tried.

        Args:
            features: see `confidence_features`.
        """
        return self._known(features)

    def probability(
        self,
        features: Mapping[str, float],
        mode_probability: float = 1.0,
        *,
        shift: float = 0.0,
    ) -> float:
        """Probability that the pose is right, 0 to 1.

        Args:
            features: see `confidence_features`.
            mode_probability: of its mode.
            shift: of the log odds that the pose is precise: `Category.confidence_shift`.
        """
        return self._known(features) * mode_probability * self._precise(features, shift)

    def fitted_shift(self, cases: Sequence[ConfidenceCase]) -> float:
        """The shift that fits to estimates of one category, which is known (Platt scaling).

        It is the mode of the posterior distribution, with a standard normal prior: few cases
        change little.

        Args:
            cases: estimates of objects of the category; no case gives 0.
        """
        logit = np.array([self._precise.logit(x.features) for x in cases])
        right = np.array([x.right for x in cases], dtype=np.bool_)
        mode = np.clip([x.mode_probability for x in cases], _LEAST_PROBABILITY, 1.0)
        log_mode = np.log(np.minimum(mode, 1.0 - _LEAST_PROBABILITY))

        def loss(shift: float) -> float:
            log_right = log_mode - np.logaddexp(0.0, -(logit + shift))
            log_likelihood = np.where(right, log_right, np.log(-np.expm1(log_right))).sum()
            return 0.5 * shift**2 - float(log_likelihood)

        found = minimize_scalar(loss, bounds=(-_MOST_SHIFT, _MOST_SHIFT), method="bounded")
        return float(found.x)

    @classmethod
    def constant(cls, *, known: float = 1.0, precise: float = 0.5) -> ConfidenceModel:
        """A model without data: these probabilities for everything."""
        return cls(
            _Regression.constant(_logit(known)),
            _Regression.constant(_logit(precise)),
        )

    @classmethod
    def fit(cls, cases: Sequence[ConfidenceCase]) -> ConfidenceModel:
        """Fit both regressions; that of precision to the known objects."""
        ours = [x for x in cases if x.known]
        return cls(
            _Regression.fit(
                KNOWN_FEATURES,
                [x.features for x in cases],
                [1.0] * len(cases),
                [x.known for x in cases],
            ),
            _Regression.fit(
                FEATURES,
                [x.features for x in ours],
                [x.mode_probability for x in ours],
                [x.right for x in ours],
            ),
        )

    def save(self, path: Path | str) -> None:
        """Write both regressions as JSON."""
        content = {"known": self._known.as_json(), "precise": self._precise.as_json()}
        write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: Path | str = SHIPPED / CONFIDENCE_FILE) -> ConfidenceModel:
        """Read a file written by `save`.

        Raises:
            WeightsError: the file is missing, damaged or has other features.
        """
        try:
            content = json.loads(read_text(path))
            return cls(
                _Regression.from_json(KNOWN_FEATURES, content["known"]),
                _Regression.from_json(FEATURES, content["precise"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WeightsError(
                f"{path}: holds no confidence model ({error!r}): restore it from the package or "
                "fit it anew (training/calibrate_confidence.py)"
            ) from error


def _logit(probability: float) -> float:
    if probability in (0.0, 1.0):
        return _MOST_LOGIT if probability else -_MOST_LOGIT
    return math.log(probability / (1.0 - probability))
