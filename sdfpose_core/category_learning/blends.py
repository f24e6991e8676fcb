"""Shapes between those of a decoder."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from sdfpose_core.errors import MeshError
from sdfpose_core.sdf.meshing import decode_mesh
from sdfpose_core.sdf.shape_decoder import ShapeDecoder
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.shapes.solids import from_mesh, triangles

__all__ = ["blended_models"]

_SHARE = (0.25, 0.75)
"""Share of the second shape."""

_RESOLUTION = 96
_TOLERANCE = 1e-3
"""Of the simplification of decoded surfaces, in diagonals."""

_WHOLE = 0.98
"""A blend is used if its largest piece has at least this share of its volume."""

_ATTEMPTS = 3
_STREAM = 20271


def blended_models(
    decoder: ShapeDecoder,
    codes: Tensor,
    count: int,
    *,
    category: str,
    diagonal_m: float,
    size_log_sd: float,
    seed: int = 0,
    progress: Callable[[int], None] = lambda done: None,
) -> list[CadModel]:
    """Decode shapes between the codes of two random training shapes each.

    Args:
        decoder: decoder of the category.
        codes: (S, D) codes of its training shapes.
        count: number of models to make; some are left out if blends fall apart.
        category: name of the category.
        diagonal_m: median diagonal of the models, metres.
        size_log_sd: standard deviation of the logarithm of the diagonal.
        seed: of the random draws; each model depends on its number alone.
        progress: called with the number of finished models.

    Returns:
        Solids, object frame.
    """
    found = []
    for i in range(count if len(codes) > 1 else 0):
        rng = np.random.default_rng([_STREAM, seed, i])
        size = float(diagonal_m * np.exp(size_log_sd * rng.normal()))
        for _ in range(_ATTEMPTS):
            one, other = rng.choice(len(codes), 2, replace=False)
            code = torch.lerp(codes[one], codes[other], float(rng.uniform(*_SHARE)))
            model = _decoded(decoder, code, f"blend~{i}", category, size)
            if model is not None:
                found.append(model)
                break
        progress(i + 1)
    return found


def _decoded(
    decoder: ShapeDecoder, code: Tensor, name: str, category: str, diagonal_m: float
) -> CadModel | None:
    """The decoded solid with a diagonal, metres; None if it is not in one piece."""
    try:
        mesh = decode_mesh(decoder, code, _RESOLUTION, tolerance=_TOLERANCE, with_normals=False)
        solid = from_mesh(mesh.vertices, mesh.faces)
    except MeshError:
        return None
    largest = max(solid.decompose(), key=lambda x: x.volume())
    if largest.volume() < _WHOLE * solid.volume():
        return None
    vertices, faces = triangles(largest)
    scale = diagonal_m / float(np.linalg.norm(np.ptp(vertices, axis=0)))
    return CadModel.centred(name, category, scale * vertices, faces)
