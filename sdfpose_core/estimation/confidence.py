"""Confidence: the probability that a pose is right, from features of the refinement.

The product of the probability of the mode and of a logistic regression on a few features: that the
pose is precise, and the object one of the category at all. Fitted on simulated validation data
(``training/calibrate_confidence.py``). Right means within 10 degrees and 5 cm.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from sdfpose_core.errors import WeightsError
from sdfpose_core.observation.frame import Instance
from sdfpose_core.refine.priors import Priors
from sdfpose_core.refine.solver import Solution
from sdfpose_core.storage.files import write_atomically
from sdfpose_core.storage.text import read_text
from sdfpose_core.weights import SHIPPED, own_or_shipped

__all__ = ["CONFIDENCE_FILE", "FEATURES", "ConfidenceModel", "confidence_features"]

CONFIDENCE_FILE = "confidence.json"

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
"""Names of the features, in the order of the coefficients."""

_INLIER_SD = 2.5
_VIOLATION_SD = 1.0
_MIN_BELIEF = -10.0
_MAX_POINTS = 1024
_LEAST_PROBABILITY = 1e-6
_RIDGE = 1.0
"""Weight of the squared coefficients against the sum of the log likelihoods."""


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
        ``translation_sd``: metres, the largest principal standard deviation of the translation.
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
    }


class ConfidenceModel:
    """Probability of success, given that of the mode and `FEATURES`.

    Args:
        mean, spread: (F,) of the features, for standardisation.
        coefficients: (F,) of the standardised features.
        bias: of the logit.
    """

    def __init__(
        self,
        mean: NDArray[np.float64],
        spread: NDArray[np.float64],
        coefficients: NDArray[np.float64],
        bias: float,
    ) -> None:
        self._mean, self._spread = mean, spread
        self._coefficients, self._bias = coefficients, bias

    def probability(self, features: Mapping[str, float], mode_probability: float = 1.0) -> float:
        """Probability that the pose is right, 0 to 1.

        Args:
            features: of its refinement, see `confidence_features`.
            mode_probability: of its mode.
        """
        x = np.array([features[name] for name in FEATURES])
        logit = self._bias + float(self._coefficients @ ((x - self._mean) / self._spread))
        return mode_probability / (1.0 + math.exp(-min(max(logit, -30.0), 30.0)))

    @classmethod
    def unfitted(cls) -> ConfidenceModel:
        """A model without data: every pose has probability 0.5."""
        nothing = np.zeros(len(FEATURES))
        return cls(nothing, nothing + 1.0, nothing, 0.0)

    @classmethod
    def beside(cls, weights_dir: Path | str | None) -> ConfidenceModel:
        """The model of a folder of weights, or the shipped one where it has none.

        Raises:
            WeightsError: the file is damaged or has other features.
        """
        return cls.load(own_or_shipped(CONFIDENCE_FILE, weights_dir))

    @classmethod
    def fit(
        cls,
        features: Sequence[Mapping[str, float]],
        mode_probability: Sequence[float],
        success: Sequence[bool],
    ) -> ConfidenceModel:
        """Maximum likelihood of the products of both probabilities, with a small ridge."""
        x = np.array([[f[name] for name in FEATURES] for f in features])
        right = np.array(success, dtype=np.bool_)
        log_mode = np.log(np.clip(mode_probability, _LEAST_PROBABILITY, 1.0 - _LEAST_PROBABILITY))
        mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
        x = (x - mean) / spread

        def loss(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            logit = x @ w[:-1] + w[-1]
            log_precise = -np.logaddexp(0.0, -logit)
            log_success = log_mode + log_precise
            failure = -np.expm1(log_success)
            value = -np.where(right, log_success, np.log(failure)).sum()
            # d log_precise / d logit = 1 - precise
            slope = -np.expm1(log_precise)
            slope *= np.where(right, -1.0, np.exp(log_success) / failure)
            gradient = np.append(x.T @ slope + 2.0 * _RIDGE * w[:-1], slope.sum())
            return float(value + _RIDGE * (w[:-1] @ w[:-1])), gradient

        best = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B").x
        return cls(mean, spread, best[:-1], float(best[-1]))

    def save(self, path: Path | str) -> None:
        """Write the coefficients as JSON."""
        rows = zip(FEATURES, self._mean, self._spread, self._coefficients, strict=True)
        content = {
            "bias": round(self._bias, 6),
            "features": {
                name: {
                    "mean": round(float(m), 6),
                    "spread": round(float(s), 6),
                    "coefficient": round(float(c), 6),
                }
                for name, m, s, c in rows
            },
        }
        write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: Path | str = SHIPPED / CONFIDENCE_FILE) -> ConfidenceModel:
        """Read a file written by `save`.

        Raises:
            WeightsError: the file is missing, damaged or has other features.
        """
        try:
            content = json.loads(read_text(path))
            rows = [content["features"][name] for name in FEATURES]
            columns = [
                np.array([float(row[key]) for row in rows])
                for key in ("mean", "spread", "coefficient")
            ]
            bias = float(content["bias"])
            if not (np.isfinite(columns).all() and math.isfinite(bias) and columns[1].min() > 0.0):
                raise ValueError("a number is not finite, or a spread not positive")
            return cls(columns[0], columns[1], columns[2], bias)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WeightsError(
                f"{path}: holds no confidence model ({error!r}): restore it from the package or "
                "fit it anew (training/calibrate_confidence.py)"
            ) from error
