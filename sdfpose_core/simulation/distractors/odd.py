"""Shapes of the known categories with sizes and proportions that none of their objects has."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sdfpose_core.shapes.families import HELD_OUT_SEED, sample_model
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.simulation.distractors.parts import log_uniform

__all__ = ["odd_model"]

_GIANT_M: Mapping[str, tuple[float, float]] = {
    "bottle": (0.52, 0.65),
    "bowl": (0.42, 0.55),
    "camera": (0.34, 0.5),
    "can": (0.45, 0.6),
    "mug": (0.3, 0.42),
}
"""Longest side of models that are too large..."""

_DWARF_M: Mapping[str, tuple[float, float]] = {
    "bottle": (0.02, 0.045),
    "bowl": (0.02, 0.045),
    "camera": (0.02, 0.04),
    "can": (0.012, 0.022),
    "laptop": (0.05, 0.13),
    "mug": (0.02, 0.04),
}
"""...and of those that are too small."""

_OVAL = (2.3, 3.5)
"""Ratio of the horizontal sides of models that should be round."""

_ROUND = ("bottle", "bowl", "can", "mug")
_OVAL_SHARE = 0.5


def odd_model(rng: np.random.Generator, category: str) -> CadModel:
    """Draw a model of a family and make it too large, too small or far from round.

    The name is ``odd_`` and the category's; the model belongs to no category.

    Args:
        rng: source of all random draws.
        category: one of `FAMILIES`.
    """
    model = sample_model(category, int(rng.integers(HELD_OUT_SEED)))
    if category in _ROUND and rng.random() < _OVAL_SHARE:
        across = float(model.dimensions_m[2] / model.dimensions_m[0])
        stretch = rng.uniform(*_OVAL) / across
        sides = np.array([1.0, 1.0, stretch]) * rng.uniform(0.6, 1.0)
    else:
        sizes = [x[category] for x in (_GIANT_M, _DWARF_M) if category in x]
        longest = log_uniform(rng, *sizes[int(rng.integers(len(sizes)))])
        sides = np.full(3, longest / float(model.dimensions_m.max()))
    return CadModel.centred(f"odd_{category}", "", model.vertices * sides, model.faces)
