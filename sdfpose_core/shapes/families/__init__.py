"""Procedural CAD families: endless, varied, metric training shapes of the six categories."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping

import numpy as np
from manifold3d import Manifold

from sdfpose_core.errors import CategoryError, MeshError
from sdfpose_core.shapes.families import bottle, bowl, camera, can, laptop, mug
from sdfpose_core.shapes.families.draws import Draws
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.shapes.solids import triangles

__all__ = ["FAMILIES", "HELD_OUT_SEED", "sample_model"]

HELD_OUT_SEED = 1_000_000
"""Seeds below train, seeds from here on are held out for validation."""

FAMILIES: Mapping[str, Callable[[Draws], Manifold]] = {
    "bottle": bottle.build,
    "bowl": bowl.build,
    "camera": camera.build,
    "can": can.build,
    "laptop": laptop.build,
    "mug": mug.build,
}
"""Builder of each category: draws its parameters and returns one solid, metres, y up."""

_ATTEMPTS = 20
_MERGE_M = 2e-5


def sample_model(category: str, seed: int) -> CadModel:
    """Procedural model number `seed` of a category: the same one on every call.

    The model is a single watertight solid with outward oriented faces.

    Args:
        category: one of `FAMILIES`.
        seed: not negative; `HELD_OUT_SEED` and above never serve training.

    Raises:
        CategoryError: there is no family of that name.
        ValueError: the seed is negative.
    """
    if category not in FAMILIES:
        raise CategoryError(
            f"no procedural family '{category}': expected one of {', '.join(FAMILIES)}; train "
            "other categories from a folder of meshes"
        )
    if seed < 0:
        raise ValueError(f"seed is {seed}: expected 0 or more")
    for attempt in range(_ATTEMPTS):
        rng = np.random.default_rng([zlib.crc32(category.encode()), seed, attempt])
        draws = Draws(rng)
        solid = FAMILIES[category](draws).simplify(_MERGE_M)
        if len(solid.decompose()) == 1 and solid.volume() > 0.0:
            vertices, faces = triangles(solid)
            return CadModel.centred(
                f"{category}_{seed:07d}", category, vertices, faces, draws.values
            )
    raise MeshError(
        f"{category} seed {seed}: no single solid in {_ATTEMPTS} attempts; use another seed"
    )
