"""Import of models and scans, with a report of what happened to each file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sdfpose_core.category_learning.sizes import SizeRange, find_scaling
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.shapes.imports import import_model, load_collection
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.shapes.solids import simplified

__all__ = ["ImportedModels", "import_models"]

_MAX_FACES = 40_000
"""Models with more faces are simplified: rays and distances become slow, and no camera sees the
difference."""

_TOLERANCES = (2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3)
"""Simplification may move the surface by so much, in diagonals; the first that suffices is used."""


@dataclass(frozen=True)
class ImportedModels:
    """Solids in metres, in the orientation of their files.

    Attributes:
        models: usable models.
        notes: by the names of models, what was mended or is doubtful.
        refused: reasons why files are not used.
        has_sizes: whether the files say how large the objects are.
        size_summary: how they got their sizes.
    """

    models: tuple[CadModel, ...]
    notes: Mapping[str, tuple[str, ...]]
    refused: tuple[str, ...]
    has_sizes: bool
    size_summary: str

    def report(self) -> str:
        """One line on each file, after a summary."""
        lines = [
            f"{_count(len(self.models), 'model')} used, {_count(len(self.refused), 'file')} not",
            self.size_summary,
        ]
        for model in self.models:
            sides = " x ".join(f"{1000.0 * x:.0f}" for x in model.dimensions_m)
            notes = self.notes.get(model.name)
            lines.append(
                f"used {model.name}: {sides} mm" + (f"; {'; '.join(notes)}" if notes else "")
            )
        return "\n".join([*lines, *(f"refused {x}" for x in self.refused)])


def import_models(
    folder: Path | None,
    category: str,
    *,
    unit_m: float | None = None,
    size: SizeRange | None = None,
    scans: Sequence[Path] = (),
) -> ImportedModels:
    """Import all models of a folder, and scans; a file of the folder that cannot be used does not
    stop the others.

    Args:
        folder: folder with one object per file, see `load_collection`; None if there are only
            scans.
        category: name of the category.
        unit_m: length of the unit of the folder's files in metres; by default it is guessed, see
            `find_scaling`.
        size: plausible diagonals of the objects. Scans are measured, and never rescaled.
        scans: meshes of scanned objects, in metres.

    Raises:
        ConfigurationError: the unit cannot be guessed, the models are normalised, or two models
            have the same name.
        MeshError: the folder is missing or has no usable model, or a scan cannot be used.
    """
    measured = _import_scans(scans, category, size)
    if folder is None:
        return measured
    given = _import_folder(folder, category, unit_m, size)
    if not scans:
        return given
    names = {x.name for x in given.models}
    if same := sorted(x.name for x in measured.models if x.name in names):
        raise ConfigurationError(
            f"a mesh and a scan are both named {', '.join(same)}: rename the recording"
        )
    return ImportedModels(
        tuple(sorted((*given.models, *measured.models), key=lambda x: x.name)),
        {**given.notes, **measured.notes},
        given.refused,
        given.has_sizes,
        f"{given.size_summary}; {measured.size_summary}",
    )


def _import_scans(scans: Sequence[Path], category: str, size: SizeRange | None) -> ImportedModels:
    notes: dict[str, tuple[str, ...]] = {}
    models = []
    for path in scans:
        imported = import_model(path, category)
        model = _simplified(imported.model)
        models.append(model)
        notes[model.name] = ("scanned", *imported.notes)
        if size is not None and not size.low_m <= model.diagonal_m <= size.high_m:
            notes[model.name] += (
                f"its diagonal of {model.diagonal_m:.3f} m is outside --size, but it was measured",
            )
    models.sort(key=lambda x: x.name)
    return ImportedModels(tuple(models), notes, (), True, "scans are in metres")


def _import_folder(
    folder: Path, category: str, unit_m: float | None, size: SizeRange | None
) -> ImportedModels:
    collection = load_collection(folder, category)
    scaling = find_scaling(
        [x.diagonal_m for x in collection.models],
        lengths=_lengths(collection.models),
        unit_m=unit_m,
        size=size,
    )
    notes: dict[str, tuple[str, ...]] = {}
    models = []
    for i, (model, factor) in enumerate(zip(collection.models, scaling.factors, strict=True)):
        model = CadModel.centred(model.name, category, factor * model.vertices, model.faces)
        light = _simplified(model)
        own = [*collection.notes.get(model.name, ())]
        if light is not model:
            own.append(f"{len(model.faces):,} faces were simplified to {len(light.faces):,}")
        own += filter(None, [scaling.notes.get(i)])
        if own:
            notes[model.name] = tuple(own)
        models.append(light)
    return ImportedModels(
        tuple(models),
        notes,
        tuple(collection.rejected.values()),
        scaling.has_sizes,
        scaling.summary,
    )


def _lengths(models: Sequence[CadModel]) -> dict[str, list[float]]:
    """Lengths to which collections normalise their models, in the unit of the files."""
    return {
        "longest side": [float(x.dimensions_m.max()) for x in models],
        "radius": [float(np.linalg.norm(x.vertices, axis=1).max()) for x in models],
        "radius about the mean vertex": [
            float(np.linalg.norm(x.vertices - x.vertices.mean(axis=0), axis=1).max())
            for x in models
        ],
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun} is" if number == 1 else f"{number} {noun}s are"


def _simplified(model: CadModel) -> CadModel:
    """The same model with at most `_MAX_FACES` faces, if a small change of its surface suffices."""
    if len(model.faces) <= _MAX_FACES:
        return model
    vertices, faces = model.normalised_vertices.astype(np.float32), model.faces
    for tolerance in _TOLERANCES:
        vertices, faces = simplified(vertices, faces, tolerance)
        if len(faces) <= _MAX_FACES:
            break
    return CadModel.centred(
        model.name, model.category, model.diagonal_m * vertices.astype(np.float64), faces
    )
