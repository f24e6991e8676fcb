"""Rotational symmetry of a category, found from its models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sdfpose_core.categories import Symmetry
from sdfpose_core.evaluation.surfaces import Surface
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.simulation.rotations import yaw

__all__ = ["SymmetryProposal", "is_round", "propose_symmetry"]

_MEAN = 0.01
_REST, _LARGEST = 0.05, 0.025
"""A model is round if, turned about y, its surface is this near to the unturned one, in diagonals,
on average and but for this share. A pull tab is less than that, a handle or a spout is more."""

_ANGLES_DEG = (25.0, 60.0, 90.0, 130.0, 180.0)
_SAMPLES = 800

_SHARE = 0.8
"""Share of the models that are round in a symmetric category."""


@dataclass(frozen=True)
class SymmetryProposal:
    """Proposed symmetry.

    Attributes:
        symmetry: ``y`` or ``none``.
        round_models: number of models that are round.
        models: number of all models.
    """

    symmetry: Symmetry
    round_models: int
    models: int

    def __str__(self) -> str:
        return f"{self.symmetry}: {self.round_models} of {self.models} models are round about y"


def is_round(model: CadModel) -> bool:
    """Whether a model, y up, is rotationally symmetric about the vertical axis of its box."""
    surface = Surface(model.normalised_vertices, model.faces)
    points = surface.sample(np.random.default_rng(0), _SAMPLES)
    for angle in _ANGLES_DEG:
        distance, _ = surface.nearest(points @ yaw(np.deg2rad(angle)).T)
        if distance.mean() > _MEAN or np.quantile(distance, 1.0 - _REST) > _LARGEST:
            return False
    return True


def propose_symmetry(models: Sequence[CadModel]) -> SymmetryProposal:
    """Propose the symmetry of a category from its models, y up."""
    count = sum(map(is_round, models))
    return SymmetryProposal("y" if count >= _SHARE * len(models) else "none", count, len(models))
