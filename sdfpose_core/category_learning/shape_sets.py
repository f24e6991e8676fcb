"""The shapes of the learning: which models are held out, and which are derived from the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sdfpose_core.categories import Category
from sdfpose_core.category_learning.deformation import deformed_models
from sdfpose_core.category_learning.settings import LearningSettings
from sdfpose_core.shapes.model import CadModel

__all__ = ["ShapeSets", "divide_shapes"]

_LEAST_TO_DIVIDE = 4
"""Of fewer models, none is held out."""

_DEFORMED = 4
"""So many deformed models stand for held-out ones."""

_HELD_OUT_SEED = 1

_LEAST_SIZE_LOG_SD = 0.02


@dataclass(frozen=True)
class ShapeSets:
    """Shapes for training and validation.

    Attributes:
        training: models, and then deformed ones.
        held_out: models that nothing is learned from.
        held_out_are_deformed: whether they are deformed models of the training, because there are
            too few models to hold one out.
        size_log_sd: spread of the logarithm of the sizes of models derived from one.
    """

    training: tuple[CadModel, ...]
    held_out: tuple[CadModel, ...]
    held_out_are_deformed: bool
    size_log_sd: float


def divide_shapes(
    models: Sequence[CadModel], category: Category, settings: LearningSettings
) -> ShapeSets:
    """Hold out some models, and derive training shapes from the others.

    Args:
        models: in the object frame; at least one.
        category: its size prior is what the sizes of all shapes together follow.
        settings: numbers of shapes.
    """
    spread = float(np.log([x.diagonal_m for x in models]).std())
    size_log_sd = math.sqrt(max(category.diagonal_log_sd**2 - spread**2, _LEAST_SIZE_LOG_SD**2))
    round_about_y = category.symmetry == "y"

    def deformed(some: Sequence[CadModel], count: int, seed: int) -> list[CadModel]:
        return deformed_models(
            some,
            count,
            settings.deformation,
            round_about_y=round_about_y,
            size_log_sd=size_log_sd,
            seed=seed,
        )

    if len(models) < _LEAST_TO_DIVIDE:
        training, held_out = list(models), deformed(models, _DEFORMED, _HELD_OUT_SEED)
    else:
        every = min(settings.hold_out_every, len(models))
        chosen = [i % every == every // 2 for i in range(len(models))]
        held_out = [x for x, out in zip(models, chosen, strict=True) if out]
        training = [x for x, out in zip(models, chosen, strict=True) if not out]
    more = deformed(training, max(settings.shapes - len(training), 0), 0)
    return ShapeSets(
        (*training, *more), tuple(held_out), len(models) < _LEAST_TO_DIVIDE, size_log_sd
    )
