"""Contact sheets of models beside their reconstructions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import Category
from sdfpose_core.evaluation.reconstruction import reconstruct_models
from sdfpose_core.sdf.shape_decoder import ShapeDecoder
from sdfpose_core.shapes.contact_sheet import contact_sheet
from sdfpose_core.shapes.model import CadModel

__all__ = ["reconstruction_sheet", "soft_colour"]

_GREY = (225, 225, 225)


def soft_colour(category: Category) -> tuple[int, int, int]:
    """Light version of a category's colour, RGB, for surfaces."""
    red, green, blue = category.colour
    return (red + 510) // 3, (green + 510) // 3, (blue + 510) // 3


def reconstruction_sheet(
    decoder: ShapeDecoder,
    models: Sequence[CadModel],
    category: Category,
    columns: int = 8,
    size: int = 200,
) -> NDArray[np.uint8]:
    """Render each model (grey) beside its reconstruction (coloured).

    The decoder reconstructs it from points on the whole surface; the caption is the Chamfer
    distance in per cent of the diagonal.

    Args:
        decoder: decoder of the category.
        models: at least one.
        category: category of the models.
        columns: images per row; one more if the number is odd.
        size: side of one image, pixels.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        MeshError: the code of a model has no surface.
    """
    found = reconstruct_models(decoder, models, vessel=category.vessel)
    pairs = [x for model, (made, _) in zip(models, found, strict=True) for x in (model, made)]
    captions = [
        text
        for model, (_, errors) in zip(models, found, strict=True)
        for text in (model.name, f"{100.0 * errors.chamfer:.2f} %")
    ]
    return contact_sheet(
        pairs, columns + columns % 2, size, captions, [_GREY, soft_colour(category)]
    )
