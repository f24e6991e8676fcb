"""From meshes and scans to models in the object frame and the entry of their category."""

from __future__ import annotations

import colorsys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import (
    Category,
    Resting,
    Symmetry,
    category_of,
    default_categories,
)
from sdfpose_core.category_learning.alignment import propose_alignment
from sdfpose_core.category_learning.alignment_file import read_orientations, write_orientations
from sdfpose_core.category_learning.importing import ImportedModels, import_models
from sdfpose_core.category_learning.orientation import Orientation, oriented
from sdfpose_core.category_learning.orientation_names import ALIGNMENT_FILE, ALIGNMENT_SHEET, Front
from sdfpose_core.category_learning.sheets import alignment_sheet
from sdfpose_core.category_learning.sizes import SizeRange
from sdfpose_core.category_learning.symmetry import propose_symmetry
from sdfpose_core.errors import CategoryError, ConfigurationError
from sdfpose_core.sdf.training_shapes import size_prior
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.storage.files import write_atomically

__all__ = [
    "PreparedCategory",
    "SymmetryChoice",
    "new_category",
    "prepare_category",
]

SymmetryChoice = Literal["auto"] | Symmetry

_FEW_LOG_SD = 0.1
"""Smallest spread of the size prior: a dozen models do not have the extremes of their category."""

_ALONE_LOG_SD = 0.02
"""The size of a single object is known."""

_USUAL_RESTING = Resting()


@dataclass(frozen=True)
class PreparedCategory:
    """Models to learn from.

    Attributes:
        category: the entry of the category.
        models: in the object frame, metres, in the order of their names.
        has_sizes: whether their files say how large the objects are.
        report: what was found, as lines of text.
        sheet: (H, W, 3) uint8, RGB, the picture of the orientations.
        sheet_file: the file of this picture.
    """

    category: Category
    models: tuple[CadModel, ...]
    has_sizes: bool
    report: str
    sheet: NDArray[np.uint8]
    sheet_file: Path


def new_category(
    name: str,
    labels: Sequence[str] = (),
    *,
    vessel: bool = False,
    resting: Resting = _USUAL_RESTING,
) -> Category:
    """The entry of a new category, whose symmetry and size are still to be found.

    Args:
        name: its name.
        labels: further names that detectors use for it.
        vessel: see `Category`.
        resting: how often its objects stand, lie and are upside down.

    Raises:
        CategoryError: a shipped category has the name as a label.
        ConfigurationError: the name is not valid.
    """
    red, green, blue = colorsys.hsv_to_rgb(zlib.crc32(name.encode()) % 360 / 360.0, 0.7, 0.8)
    category = Category(
        name=name,
        nocs_id=0,
        symmetry="none",
        vessel=vessel,
        diagonal_m=1.0,
        diagonal_log_sd=1.0,
        labels=tuple(dict.fromkeys((name, *labels))),
        colour=(round(255 * red), round(255 * green), round(255 * blue)),
        resting=resting,
    )
    category = category_of({"category": category.as_entry()}, "the new category")
    for label in category.labels:
        other = default_categories().by_label(label)
        if other is not None and other.name != name:
            raise CategoryError(
                f"'{label}' is a label of the category '{other.name}' that ships with sdfpose: "
                "choose another name"
            )
    return category


def prepare_category(
    category: Category,
    meshes: Path | None,
    work: Path,
    *,
    scans: Sequence[Path] = (),
    front: Front = "auto",
    symmetry: SymmetryChoice = "auto",
    size: SizeRange | None = None,
    unit_m: float | None = None,
) -> PreparedCategory:
    """Import models, turn them into the object frame, and complete the entry of the category.

    The orientations come from `ALIGNMENT_FILE` in the work folder where it has them. Others are
    proposed and added to it. `ALIGNMENT_SHEET` shows them.

    Args:
        category: from `new_category`.
        meshes: folder of the meshes, one object per file; None if there are only scans.
        work: the work folder.
        scans: meshes of scanned objects, in metres.
        front: where files have the front, see `propose_alignment`.
        symmetry: of the category; ``auto`` finds it from the models.
        size: plausible diagonals.
        unit_m: length of the files' unit in metres; by default it is guessed.

    Raises:
        ConfigurationError: the unit cannot be guessed, `ALIGNMENT_FILE` is invalid, or no model is
            to be used.
        MeshError: the folder is missing or has no usable model.
        OSError: the work folder cannot be written.
    """
    imported = import_models(meshes, category.name, unit_m=unit_m, size=size, scans=scans)
    lines = [imported.report()]
    if category.name in default_categories():
        lines.append(
            f"warning: '{category.name}' ships with sdfpose: where this pack is given, it takes "
            "the place of the shipped one"
        )
    asked: Front = "none" if symmetry == "y" else front
    orientations, notes = _orientations(imported.models, work / ALIGNMENT_FILE, asked, lines)
    turned = [oriented(x, orientations[x.name]) for x in imported.models]
    unused = {x.name: "not used" for x in turned if not orientations[x.name].use}
    sheet = alignment_sheet(turned, {**notes, **unused})
    write_atomically(work / ALIGNMENT_SHEET, cv2.imencode(".png", sheet[..., ::-1])[1].tobytes())
    models = tuple(x for x in turned if orientations[x.name].use)
    if not models:
        raise ConfigurationError(
            f"{work / ALIGNMENT_FILE}: no model is to be used: set use: true for some"
        )
    if len(models) == 1:
        lines.append(
            "one model: its exact shape is learned, for the pose of this object; objects of other "
            "shapes are not recognised, and nothing is known of how shape and size vary"
        )
    found = symmetry
    if found == "auto":
        proposal = propose_symmetry(models)
        found = proposal.symmetry
        lines.append(f"symmetry {proposal}; --symmetry decides otherwise")
    diagonal_m, log_sd = _size_prior(models, imported, size)
    lines.append(f"size prior: {diagonal_m:.4g} m, spread {log_sd:.3f} (log)")
    entry = {
        **category.as_entry(),
        "symmetry": found,
        "diagonal_m": round(diagonal_m, 4),
        "diagonal_log_sd": round(log_sd, 3),
    }
    return PreparedCategory(
        category_of({"category": entry}, "the new category"),
        models,
        imported.has_sizes,
        "\n".join(lines),
        sheet,
        work / ALIGNMENT_SHEET,
    )


def _orientations(
    models: Sequence[CadModel], path: Path, front: Front, lines: list[str]
) -> tuple[Mapping[str, Orientation], Mapping[str, str]]:
    """Orientations and remarks by the names of the models; the file gets those that it lacks."""
    known = read_orientations(path) if path.exists() else {}
    names = {x.name for x in models}
    notes: Mapping[str, str] = {}
    lines += [f"warning: {path}: no usable model is named '{x}'" for x in known if x not in names]
    if names <= set(known):
        lines.append(f"orientations of {path}; delete it to have them proposed again")
        return known, notes
    proposal = propose_alignment(models, front, known)
    notes = proposal.notes
    lines.append(proposal.summary)
    lines += [f"check {x}: {note}" for x, note in notes.items()]
    orientations = {**proposal.orientations, **known}
    write_orientations(path, orientations)
    lines.append(f"orientations were written to {path}: edit it if they are wrong")
    return orientations, notes


def _size_prior(
    models: Sequence[CadModel], imported: ImportedModels, size: SizeRange | None
) -> tuple[float, float]:
    """Median diagonal, metres, and the spread of its logarithm."""
    median, log_sd = size_prior(np.array([x.diagonal_m for x in models]))
    if not imported.has_sizes and size is not None:
        return size.middle_m, max(size.log_sd, _ALONE_LOG_SD)
    if len(models) == 1:
        return median, _ALONE_LOG_SD
    return median, max(log_sd, _FEW_LOG_SD, 0.0 if size is None else size.log_sd)
