"""Training and validation shapes of a decoder, from a procedural family or a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sdfpose_core.categories import Category
from sdfpose_core.errors import CategoryError, ConfigurationError, MeshError
from sdfpose_core.sdf.fitting import Distances, fit_codes
from sdfpose_core.sdf.shape_decoder import ShapeDecoder
from sdfpose_core.shapes.families import FAMILIES, HELD_OUT_SEED, sample_model
from sdfpose_core.shapes.imports import load_collection
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.shapes.sdf_samples import SdfSamples, cached_samples, sample_sdf
from sdfpose_core.storage.text import read_text, read_yaml

__all__ = [
    "SampleCounts",
    "TrainingShapes",
    "folder_shapes",
    "model_codes",
    "procedural_codes",
    "procedural_shapes",
    "read_exclusions",
    "sampled_shapes",
    "size_prior",
]

_HELD_OUT_SHARE = 0.1
"""Share of a folder's models that are held out for validation."""

_FIT_SAMPLES = (2000, 400, 400)
"""Surface, uniform and boundary samples for fitting a code."""

_FIT_BATCH = 48
"""Number of shapes whose codes are fitted at once."""

LogLine = Callable[[str], None]
"""Callback that receives one line of text."""


@dataclass(frozen=True)
class SampleCounts:
    """Number of samples per shape, see `sample_sdf`."""

    surface: int = 12_000
    uniform: int = 5_000
    boundary: int = 4_000


@dataclass(frozen=True)
class TrainingShapes:
    """Samples of the shapes of one category.

    Attributes:
        training: samples of training shapes, in equal number.
        validation: samples of held-out shapes.
        report: import report of a folder's files; empty for procedural shapes.
        diagonals_m: (S,) bounding box diagonals of the training shapes, metres; they give the size
            prior of a new category.
        names: names of the training shapes.
    """

    training: list[SdfSamples]
    validation: list[SdfSamples]
    report: str
    diagonals_m: np.ndarray
    names: tuple[str, ...]


def procedural_shapes(
    category: str,
    counts: SampleCounts,
    cache: Path,
    *,
    training: int,
    validation: int,
    log: LogLine = lambda name: None,
) -> TrainingShapes:
    """Sample the first `training` and the first held-out shapes of a procedural family.

    Raises:
        CategoryError: the category has no family.
        SampleCacheError: the samples cannot be written to `cache`.
    """
    if category not in FAMILIES:
        raise CategoryError(
            f"no procedural family '{category}': expected one of {', '.join(FAMILIES)}, or a "
            "folder of meshes"
        )
    models = [sample_model(category, seed) for seed in range(training)]
    held_out = [sample_model(category, HELD_OUT_SEED + seed) for seed in range(validation)]
    return sampled_shapes(models, held_out, counts, cache / category, log=log)


def procedural_codes(
    category: str, decoder: ShapeDecoder, count: int, log: LogLine = lambda name: None
) -> Tensor:
    """Fit latent codes (count, D) to the first shapes of a category's procedural family.

    The decoder stays fixed. An encoder can thus be trained without training its decoder again.

    Args:
        category: category with a procedural family.
        decoder: decoder trained on these shapes.
        count: number of shapes.
        log: called with the name of each finished shape.
    """
    return model_codes((sample_model(category, seed) for seed in range(count)), decoder, log)


def model_codes(
    models: Iterable[CadModel], decoder: ShapeDecoder, log: LogLine = lambda name: None
) -> Tensor:
    """Fit latent codes (S, D) to models with a fixed decoder.

    Args:
        models: solids of the decoder's category.
        decoder: decoder of the category.
        log: called with the name of each finished shape.
    """
    rng = np.random.default_rng(0)
    codes = []
    models = iter(models)
    while batch := list(islice(models, _FIT_BATCH)):
        samples = []
        for model in batch:
            samples.append(sample_sdf(model, rng, *_FIT_SAMPLES, threads=1))
            log(model.name)
        device = decoder.code_mean.device
        points = torch.from_numpy(np.stack([x.points for x in samples])).to(device)
        sdf = torch.from_numpy(np.stack([x.sdf for x in samples])).to(device)
        codes.append(fit_codes(decoder, Distances(points, sdf)))
    return torch.cat(codes)


def folder_shapes(
    category: str,
    folder: Path,
    counts: SampleCounts,
    cache: Path,
    *,
    exclude: Iterable[str] = (),
    unit_m: float = 1.0,
    yaw_deg: float = 0.0,
    left_handed: bool = False,
    expected: Category | None = None,
    log: LogLine = lambda name: None,
) -> TrainingShapes:
    """Sample the models of a folder (ShapeNet, NOCS or flat); every tenth is held out.

    Args:
        category: category of the models.
        folder: see `load_collection`.
        counts: samples per model.
        cache: folder of the sample cache.
        exclude: names of models to exclude.
        unit_m: length of the files' unit in metres.
        yaw_deg: rotation about y that turns the models' fronts towards +x.
        left_handed: see `import_model`.
        expected: category with the size that the models should have; the report has a warning if
            they have another.
        log: called with the name of each finished shape.

    Raises:
        MeshError: the folder contains fewer than three usable models.
        SampleCacheError: the samples cannot be written to `cache`.
    """
    collection = load_collection(
        folder,
        category,
        frozenset(exclude),
        unit_m=unit_m,
        yaw_deg=yaw_deg,
        left_handed=left_handed,
    )
    models = collection.models
    if len(models) < 3:
        raise MeshError(
            f"{folder}: only {len(models)} models are usable: expected at least three, preferably "
            f"some hundred\n{collection.report()}"
        )
    every = max(2, round(1.0 / _HELD_OUT_SHARE))
    held_out = [x for i, x in enumerate(models) if i % every == every // 2] or [models[-1]]
    names = {x.name for x in held_out}
    training = [x for x in models if x.name not in names]
    report = collection.report()
    median = float(np.median([x.diagonal_m for x in models]))
    size = None if expected is None else expected.implausible_size(median)
    if size is not None:
        report += (
            f"\nwarning: {folder}: {size}; give the unit of the files with --unit-m, unless they "
            "are normalised, like the CAD models of NOCS"
        )
    return sampled_shapes(training, held_out, counts, cache / category, report, log)


def read_exclusions(path: Path, folder: Path) -> frozenset[str]:
    """Read the names of models to exclude.

    Args:
        path: a YAML file with a list of names, or with a mapping of folder names (e.g. ShapeNet
            synsets) to such lists, of which that of `folder` is used; or a text file with one name
            a line, as SSC-6D's ``removed_models/SYNSET.txt``; or a folder of such text files, of
            which that with the name of `folder` is used.
        folder: folder of the models.

    Raises:
        ConfigurationError: the file cannot be read or has another format.
    """
    if path.is_dir():
        lists = sorted(x.stem for x in path.glob("*.txt"))
        if folder.name not in lists:
            raise ConfigurationError(
                f"{path}: contains no list for '{folder.name}': expected a file {folder.name}.txt "
                f"with one model name a line (found {', '.join(lists) or 'none'})"
            )
        path = path / f"{folder.name}.txt"
    if path.suffix == ".txt":
        return _names_by_line(path)
    try:
        content: Any = read_yaml(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: cannot be read as YAML: {error}") from error
    if isinstance(content, dict):
        by_folder = {str(key): value for key, value in content.items()}
        if folder.name not in by_folder:
            raise ConfigurationError(
                f"{path}: contains no list for '{folder.name}': expected the folder name to be one "
                f"of its keys {', '.join(by_folder)}"
            )
        content = by_folder[folder.name]
    if not isinstance(content, list) or not all(isinstance(x, str | int) for x in content):
        raise ConfigurationError(
            f"{path}: expected a list of model names, or a mapping of folder names to such lists; "
            "give a file with one name a line the suffix .txt"
        )
    return frozenset(str(x) for x in content)


def _names_by_line(path: Path) -> frozenset[str]:
    """Read names, one a line; empty lines do not count."""
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{path}: cannot be read as text: {error}; expected one model name a line"
        ) from error
    return frozenset(x.strip() for x in lines if x.strip())


def size_prior(diagonals_m: np.ndarray) -> tuple[float, float]:
    """Median of diagonals (S,), metres, and the standard deviation of their logarithms."""
    logarithms = np.log(diagonals_m)
    return float(np.exp(np.median(logarithms))), float(logarithms.std())


def sampled_shapes(
    training: Sequence[CadModel],
    validation: Sequence[CadModel],
    counts: SampleCounts,
    cache: Path,
    report: str = "",
    log: LogLine = lambda name: None,
) -> TrainingShapes:
    """Sample given models.

    Args:
        training: solids to learn from.
        validation: held-out solids.
        counts: samples per model.
        cache: folder of the sample cache.
        report: import report of the models.
        log: called with the name of each finished shape.

    Raises:
        SampleCacheError: the samples cannot be written to `cache`.
    """

    def samples(model: CadModel) -> SdfSamples:
        result = cached_samples(model, cache, counts.surface, counts.uniform, counts.boundary)
        log(model.name)
        return result

    return TrainingShapes(
        [samples(x) for x in training],
        [samples(x) for x in validation],
        report,
        np.array([x.diagonal_m for x in training]),
        tuple(x.name for x in training),
    )
