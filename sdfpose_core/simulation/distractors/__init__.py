"""Distractors: things of no category, of many kinds, as meshes.

Every kind is a procedural family of its own: primitives and solids composed of them, tools, food,
devices, things of a household, hands, and shapes of the known categories with sizes and proportions
that no real object of the category has. None of them is a can, a bowl, a bottle, a mug, a camera or
a laptop: what is round is too thin, too flat or too large.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from manifold3d import Manifold

from sdfpose_core.shapes.families import FAMILIES
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.shapes.solids import triangles
from sdfpose_core.simulation.distractors import devices, food, household, solids, tools
from sdfpose_core.simulation.distractors.hands import gripping_hand, hand
from sdfpose_core.simulation.distractors.odd import odd_model

__all__ = ["DISTRACTORS", "ODD_KINDS", "gripping_hand", "random_distractor"]

_MERGE_M = 5e-5
"""Tolerance of the simplification of meshes."""

_GROUPS: tuple[tuple[float, tuple[Callable[[np.random.Generator], Manifold], ...]], ...] = (
    (2.5, (solids.box, solids.cylinder, solids.cone, solids.sphere, solids.ellipsoid, solids.ring,
           solids.roll, solids.prism, solids.lump)),
    (1.5, (solids.composed,)),
    (1.3, (tools.screwdriver, tools.hammer, tools.wrench, tools.pliers, tools.scissors, tools.spoon,
           tools.knife, tools.brush, tools.clamp, tools.drill, tools.pan)),
    (0.7, (food.banana, food.apple, food.pear, food.carrot, food.pumpkin, food.loaf)),
    (0.8, (devices.monitor, household.clock)),
    (1.0, (devices.keyboard, devices.mouse, devices.phone, devices.remote, devices.router,
           devices.speaker, devices.lamp, devices.headphones)),
    (1.8, (household.carton, household.open_carton, household.milk_carton, household.book)),
    (0.8, (household.open_book, household.dish, household.plant, household.toy_car,
           household.bear, household.shoe)),
    (0.15, (hand,)),
)  # fmt: skip
"""Kinds with a common purpose, and how often one of them is drawn."""

_ODD_WEIGHT = 1.0


def _solid(build: Callable[[np.random.Generator], Manifold], rng: np.random.Generator) -> CadModel:
    vertices, faces = triangles(build(rng).simplify(_MERGE_M))
    return CadModel.centred(build.__name__, "", vertices, faces)


def _odd(category: str, rng: np.random.Generator) -> CadModel:
    return odd_model(rng, category)


ODD_KINDS: tuple[str, ...] = tuple(f"odd_{x}" for x in FAMILIES)
"""Kinds whose shapes are those of a known category; only size and proportions are not."""

DISTRACTORS: Mapping[str, Callable[[np.random.Generator], CadModel]] = {
    **{build.__name__: partial(_solid, build) for _, builds in _GROUPS for build in builds},
    **{name: partial(_odd, name.removeprefix("odd_")) for name in ODD_KINDS},
}
"""Kinds of distractors: each draws a model of its kind, metres, y up, as it usually rests."""

_WEIGHTS: Mapping[str, float] = {
    **{build.__name__: weight / len(builds) for weight, builds in _GROUPS for build in builds},
    **dict.fromkeys(ODD_KINDS, _ODD_WEIGHT / len(ODD_KINDS)),
}


def random_distractor(
    rng: np.random.Generator, kinds: Sequence[str] = tuple(DISTRACTORS)
) -> CadModel:
    """Draw a thing of no category.

    Args:
        rng: source of all random draws.
        kinds: kinds to choose from, see `DISTRACTORS`; more usual kinds are drawn more often.

    Returns:
        A model, metres, y up, as it usually rests. Its name is its kind, its category is empty.
    """
    weights = np.array([_WEIGHTS[x] for x in kinds])
    kind = kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))]
    return DISTRACTORS[kind](rng)
