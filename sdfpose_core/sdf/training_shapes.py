"""The shapes that a decoder is trained on and judged by, from a family or from a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from sdfpose_core.errors import CategoryError, ConfigurationError, MeshError
from sdfpose_core.sdf.fitting import Distances, fit_codes
from sdfpose_core.sdf.shape_decoder import ShapeDecoder
from sdfpose_core.shapes.families import FAMILIES, HELD_OUT_SEED, sample_model
from sdfpose_core.shapes.imports import load_collection
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.shapes.sdf_samples import SdfSamples, cached_samples, sample_sdf

__all__ = [
    "SampleCounts",
    "TrainingShapes",
    "folder_shapes",
    "model_codes",
    "procedural_codes",
    "procedural_shapes",
    "read_exclusions",
]

_HELD_OUT_SHARE = 0.1
"""Of the models of a folder; they serve validation."""

_FITTED_SAMPLES = (2000, 400, 400)
"""Surface, uniform and boundary samples that a code is fitted to."""

_FITTED_AT_ONCE = 48

LogLine = Callable[[str], None]
"""Called with the name of each shape that is ready."""


@dataclass(frozen=True)
class SampleCounts:
    """Samples of each shape, see `sample_sdf`."""

    surface: int = 12_000
    uniform: int = 5_000
    boundary: int = 4_000


@dataclass(frozen=True)
class TrainingShapes:
    """Samples of the shapes of one category.

    Attributes:
        training: all of one length.
        validation: of shapes that are not among them.
        report: what became of the files of a folder; empty for procedural shapes.
        diagonals_m: (S,) diagonals of the training shapes' boxes, metres: the size prior of a new
            category.
    """

    training: list[SdfSamples]
    validation: list[SdfSamples]
    report: str
    diagonals_m: np.ndarray


def procedural_shapes(
    category: str,
    counts: SampleCounts,
    cache: Path,
    *,
    training: int,
    validation: int,
    told: LogLine = lambda name: None,
) -> TrainingShapes:
    """The first `training` shapes of a category's family, and the first held-out ones.

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
    return _sampled(models, held_out, counts, cache / category, "", told)


def procedural_codes(
    category: str, decoder: ShapeDecoder, count: int, told: LogLine = lambda name: None
) -> Tensor:
    """Latent codes (count, D) of the first shapes of a category's family.

    They are fitted to the decoder as it is, so that an encoder can be trained without the
    training of its decoder.

    Args:
        category: with a procedural family.
        decoder: trained on these shapes.
        count: of them.
        told: called with the name of each shape that is ready.
    """
    return model_codes((sample_model(category, seed) for seed in range(count)), decoder, told)


def model_codes(
    models: Iterable[CadModel], decoder: ShapeDecoder, told: LogLine = lambda name: None
) -> Tensor:
    """Latent codes (S, D) of models, fitted to the decoder as it is.

    Args:
        models: solids of the decoder's category.
        decoder: theirs.
        told: called with the name of each shape that is ready.
    """
    rng = np.random.default_rng(0)
    codes = []
    models = iter(models)
    while batch := list(islice(models, _FITTED_AT_ONCE)):
        some = []
        for model in batch:
            some.append(sample_sdf(model, rng, *_FITTED_SAMPLES, threads=1))
            told(model.name)
        points = torch.from_numpy(np.stack([x.points for x in some])).to(decoder.code_mean.device)
        sdf = torch.from_numpy(np.stack([x.sdf for x in some])).to(decoder.code_mean.device)
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
    told: LogLine = lambda name: None,
) -> TrainingShapes:
    """The models of a folder (ShapeNet's, NOCS's, or flat); every tenth serves validation.

    Args:
        category: of the models.
        folder: see `load_collection`.
        counts: samples of each model.
        cache: folder of the samples.
        exclude: names of models to leave out.
        unit_m: length of the files' unit in metres.
        yaw_deg: turn about y that brings the models' fronts toward +x.
        told: called with the name of each shape that is ready.

    Raises:
        MeshError: the folder holds fewer than three models that can be used.
        SampleCacheError: the samples cannot be written to `cache`.
    """
    collection = load_collection(
        folder, category, frozenset(exclude), unit_m=unit_m, yaw_deg=yaw_deg
    )
    models = collection.models
    if len(models) < 3:
        raise MeshError(
            f"{folder}: only {len(models)} models can be used: expected at least three, better "
            f"some hundred\n{collection.report()}"
        )
    every = max(2, round(1.0 / _HELD_OUT_SHARE))
    held_out = [x for i, x in enumerate(models) if i % every == every // 2] or [models[-1]]
    names = {x.name for x in held_out}
    training = [x for x in models if x.name not in names]
    return _sampled(training, held_out, counts, cache / category, collection.report(), told)


def read_exclusions(path: Path, folder: Path) -> frozenset[str]:
    """Names of models to leave out, from a YAML file.

    The file holds a list of names, or a mapping of folder names (ShapeNet's synsets) to such
    lists, of which that of `folder` is taken.

    Raises:
        ConfigurationError: the file cannot be read, or holds something else.
    """
    try:
        content: Any = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path}: cannot be read as YAML: {error}") from error
    if isinstance(content, dict):
        lists = {str(key): value for key, value in content.items()}
        if folder.name not in lists:
            raise ConfigurationError(
                f"{path}: holds no list for '{folder.name}': expected one of its keys "
                f"{', '.join(lists)} to be the folder's name"
            )
        content = lists[folder.name]
    if not isinstance(content, list) or not all(isinstance(x, str | int) for x in content):
        raise ConfigurationError(
            f"{path}: expected a list of model names, or a mapping of folder names to such lists"
        )
    return frozenset(str(x) for x in content)


def _sampled(
    training: Sequence[CadModel],
    validation: Sequence[CadModel],
    counts: SampleCounts,
    cache: Path,
    report: str,
    told: LogLine,
) -> TrainingShapes:
    def samples(model: CadModel) -> SdfSamples:
        made = cached_samples(model, cache, counts.surface, counts.uniform, counts.boundary)
        told(model.name)
        return made

    return TrainingShapes(
        [samples(x) for x in training],
        [samples(x) for x in validation],
        report,
        np.array([x.diagonal_m for x in training]),
    )
