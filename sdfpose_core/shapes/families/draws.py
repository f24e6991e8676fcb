"""Random draws that remember their names: the parameters of a procedural model."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["Draws"]


class Draws:
    """Named draws of one random generator; each value is recorded in `values`.

    Args:
        rng: the source of every draw.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.values: dict[str, float | str] = {}

    def uniform(self, name: str, low: float, high: float) -> float:
        """Uniform in [low, high)."""
        return self._keep(name, float(self._rng.uniform(low, high)))

    def log_uniform(self, name: str, low: float, high: float) -> float:
        """Uniform in the logarithm, in [low, high), both positive."""
        return self._keep(name, math.exp(float(self._rng.uniform(math.log(low), math.log(high)))))

    def sometimes(
        self, name: str, probability: float, low: float, high: float, otherwise: float = 0.0
    ) -> float:
        """Uniform in [low, high) with the given probability, else `otherwise`."""
        hit = float(self._rng.uniform()) < probability
        value = float(self._rng.uniform(low, high))
        return self._keep(name, value if hit else otherwise)

    def chance(self, name: str, probability: float) -> bool:
        """True with the given probability; recorded as 0 or 1."""
        hit = float(self._rng.uniform()) < probability
        self._keep(name, float(hit))
        return hit

    def choice(self, name: str, options: Sequence[str], weights: Sequence[float]) -> str:
        """One of the options, with the given relative weights."""
        p = np.asarray(weights, dtype=np.float64)
        value = options[int(self._rng.choice(len(options), p=p / p.sum()))]
        self.values[name] = value
        return value

    def _keep(self, name: str, value: float) -> float:
        self.values[name] = value
        return value
