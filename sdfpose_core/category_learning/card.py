"""The card of a learned pack."""

from __future__ import annotations

from sdfpose_core.category_learning.preparation import PreparedCategory
from sdfpose_core.category_learning.settings import LearningSettings
from sdfpose_core.category_learning.shape_sets import ShapeSets
from sdfpose_core.category_learning.validation import POSE_FIGURES, LearnedFigures
from sdfpose_core.packs.pack import own_version

__all__ = ["ALIGNMENT_PICTURE", "RECONSTRUCTIONS", "card_text", "figures_table"]

ALIGNMENT_PICTURE, RECONSTRUCTIONS = "alignment.webp", "reconstructions.webp"
"""Names of the pictures of orientations and of reconstructed models in the pack."""

_TITLES = {"deg10_cm5": "10°, 5 cm", "deg5_cm2": "5°, 2 cm", "iou50": "IoU50"}


def card_text(
    prepared: PreparedCategory,
    shapes: ShapeSets,
    settings: LearningSettings,
    figures: LearnedFigures,
) -> str:
    """The card in Markdown: where a pack comes from, what it is good for, and what it cannot do."""
    category = prepared.category
    about = {
        "none": "no symmetry",
        "y": "rotationally symmetric about y",
        "y_without_handle": "symmetric about y in views in which nothing stands out",
    }
    return f"""\
# {category.name}

Pack of the category `{category.name}`, learned by `sdfpose learn` of sdfpose {own_version()}.

- Frame: y up, front toward +x; {about[category.symmetry]}. The orientations of the models are in
  [{ALIGNMENT_PICTURE}]({ALIGNMENT_PICTURE}).
- Size prior: a median diagonal of {category.diagonal_m:g} m, whose logarithm has a standard
  deviation of {category.diagonal_log_sd:g}{_sizes(prepared)}.
- Decoder: trained on {len(shapes.training)} shapes: {_models(prepared, shapes)}, and deformations.
- Encoder: trained on {settings.views} simulated views of these shapes{_blends(settings)}.
- Confidence and ranking of modes: those that ship with sdfpose, fitted on its six categories;
  the log odds that a pose is precise are shifted by {figures.confidence_shift:+.2f}, which fits to
  the poses below.

## Accuracy
Measured on {_held_out(shapes)}, in {figures.cases} simulated views, the category
told. Average precisions are in per cent, Chamfer distances in per cent of the diagonal.

{figures_table(figures)}

| Chamfer distance | |
|---|---|
| from the whole surface, mean | {figures.chamfer_percent:.2f} % |
| from one view with known pose, median | {figures.chamfer_view_percent:.2f} % |

With the encoder, {figures.right_percent:.0f} % of the poses are within 10° and 5 cm; their mean
confidence is {figures.confidence_percent:.0f} %. It includes the doubt whether a
label is right: the colour and recognition networks do not know the category.

![Held-out models (grey) and their reconstructions]({RECONSTRUCTIONS})

## Limits
{_limits(prepared, shapes)}
"""


def figures_table(figures: LearnedFigures) -> str:
    """The accuracy of poses as a table in Markdown."""
    lines = [
        "| | " + " | ".join(_TITLES[x] for x in POSE_FIGURES) + " |",
        "|---" * (len(POSE_FIGURES) + 1) + "|",
    ]
    rows = {"with encoder": figures.with_encoder, "without encoder": figures.without_encoder}
    lines += [
        f"| {name} | " + " | ".join(f"{row[x]:.1f}" for x in POSE_FIGURES) + " |"
        for name, row in rows.items()
    ]
    return "\n".join(lines)


def _sizes(prepared: PreparedCategory) -> str:
    return "" if prepared.has_sizes else "; the models had no sizes, their range was given"


def _blends(settings: LearningSettings) -> str:
    return f" and of up to {settings.blends} blends of them" if settings.blends else ""


def _models(prepared: PreparedCategory, shapes: ShapeSets) -> str:
    count = len(prepared.models)
    if not shapes.held_out_are_deformed:
        count -= len(shapes.held_out)
    return "1 model" if count == 1 else f"{count} models"


def _held_out(shapes: ShapeSets) -> str:
    if shapes.held_out_are_deformed:
        return "deformed models of the training, as there are too few to hold one out"
    names = ", ".join(f"`{x.name}`" for x in shapes.held_out)
    count = len(shapes.held_out)
    return f"{count} held-out model{'s' if count > 1 else ''} ({names})"


def _limits(prepared: PreparedCategory, shapes: ShapeSets) -> str:
    lines = [
        "- Learned from simulated depth: figures on a real camera differ.",
        "- Shapes that differ from all models of the training are reconstructed and placed worse.",
    ]
    if len(prepared.models) == 1:
        lines.append(
            "- Learned from one model, for the pose of this object: other objects get its shape."
        )
    elif shapes.held_out_are_deformed:
        lines.append("- The figures above are not those of unseen objects.")
    return "\n".join(lines)
