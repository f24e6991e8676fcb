"""Further shapes from few models: smooth maps of space that keep y up and the front toward +x.

Each map is one to one, so that a closed surface without self-intersections stays one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.shapes.model import CadModel
from sdfpose_core.shapes.solids import from_mesh, triangles

__all__ = ["Deformation", "DeformationRange", "deformed_models"]

_MAX_EDGE = 0.06
"""Longer edges are divided before a mesh is deformed, in diagonals."""

_LIMIT = 2.0
"""Draws are within so many standard deviations."""

_STREAM = 20270


@dataclass(frozen=True)
class DeformationRange:
    """Standard deviations of the parameters of a `Deformation`; draws are within two of them."""

    scale: float = 0.12
    taper: float = 0.12
    bulge: float = 0.08
    bend: float = 0.06
    front: float = 0.12

    def times(self, factor: float) -> DeformationRange:
        """The range with all deviations multiplied."""
        return DeformationRange(**{name: factor * x for name, x in vars(self).items()})


@dataclass(frozen=True)
class Deformation:
    """A map of space, in coordinates of -0.5 to 0.5 within the box of a model.

    Attributes:
        scale: (3,) natural logarithms of the factors along x, y and z.
        taper: by this share, cross sections grow from the middle to the top, and shrink to the
            bottom.
        bulge: by this share, they grow in the middle.
        bend: the ends move by this along x, in lengths of the box.
        front: by this share, lengths grow at the front, and shrink at the back.
    """

    scale: tuple[float, float, float] = (0.0, 0.0, 0.0)
    taper: float = 0.0
    bulge: float = 0.0
    bend: float = 0.0
    front: float = 0.0

    @classmethod
    def random(
        cls, rng: np.random.Generator, spread: DeformationRange, *, round_about_y: bool
    ) -> Deformation:
        """Draw a deformation; one that keeps a shape round has equal scales and no front."""

        def draw(deviation: float) -> float:
            return float(deviation * np.clip(rng.normal(), -_LIMIT, _LIMIT))

        x, y, z = (draw(spread.scale) for _ in range(3))
        found = cls((x, y, z), *map(draw, (spread.taper, spread.bulge, spread.bend, spread.front)))
        return replace(found, scale=(x, y, x), bend=0.0, front=0.0) if round_about_y else found

    def __call__(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Map points (N, 3), -0.5 to 0.5 along each axis."""
        x, y, z = np.asarray(points, dtype=np.float64).T
        # Each step is one to one within the box: lengths along x grow by 1 - |front| at least, and
        # widths are positive.
        x = x + self.front * (x * x - 0.25)
        width = (1.0 + 2.0 * self.taper * y) * (1.0 + self.bulge * (1.0 - 4.0 * y * y))
        x, z = width * x, width * z
        x = x + 4.0 * self.bend * y * y
        return np.stack([x, y, z], axis=1) * np.exp(self.scale)


def deformed_models(
    models: Sequence[CadModel],
    count: int,
    spread: DeformationRange,
    *,
    round_about_y: bool,
    size_log_sd: float,
    seed: int = 0,
) -> list[CadModel]:
    """Derive models from others, in turn, with random deformations and sizes.

    Args:
        models: solids, object frame; at least one.
        count: number of models to make.
        spread: how large deformations are.
        round_about_y: whether shapes have to stay round about y.
        size_log_sd: standard deviation of the logarithm of a factor on the diagonal of the model.
        seed: of the random draws; each model depends on its number alone.

    Returns:
        Models named ``NAME~NUMBER``.
    """
    fine = [_divided(x) for x in models[: min(count, len(models))]]
    found = []
    for i in range(count):
        rng = np.random.default_rng([_STREAM, seed, i])
        deformation = Deformation.random(rng, spread, round_about_y=round_about_y)
        size = float(np.exp(size_log_sd * rng.normal()))
        found.append(_deformed(fine[i % len(fine)], deformation, size, i))
    return found


def _divided(model: CadModel) -> CadModel:
    """The same surface with short edges: a map moves only its vertices."""
    solid = from_mesh(model.vertices, model.faces).refine_to_length(_MAX_EDGE * model.diagonal_m)
    return CadModel.centred(model.name, model.category, *triangles(solid))


def _deformed(model: CadModel, deformation: Deformation, size: float, number: int) -> CadModel:
    vertices = model.dimensions_m * deformation(model.vertices / model.dimensions_m)
    diagonal = float(np.linalg.norm(np.ptp(vertices, axis=0)))
    vertices *= size * model.diagonal_m / diagonal
    return CadModel.centred(f"{model.name}~{number}", model.category, vertices, model.faces)
