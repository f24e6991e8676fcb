"""Shape benchmark: reconstruct shapes that the decoders were not trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sdfpose_core.benchmark.mesh_folder import measurable_models, mesh_files
from sdfpose_core.categories import Categories, Category
from sdfpose_core.errors import MeshError
from sdfpose_core.evaluation.reconstruction import (
    SURFACE_NOISE,
    VIEW_NOISE,
    evidence_from_surface,
    evidence_from_view,
    reconstruct,
)
from sdfpose_core.evaluation.shape_metrics import ShapeErrors, compare_surfaces, volume_iou
from sdfpose_core.evaluation.surfaces import Surface, visible_surface
from sdfpose_core.packs.collection import Packs
from sdfpose_core.sdf.loading import load_decoder
from sdfpose_core.sdf.shape_decoder import ShapeDecoder
from sdfpose_core.shapes.families import FAMILIES, HELD_OUT_SEED, sample_model
from sdfpose_core.shapes.imports import is_solid
from sdfpose_core.shapes.model import CadModel

__all__ = ["ShapeBenchmarkConfig", "benchmark_shapes", "measure_models"]

_BAND = 0.02
"""Half-width of the band around the surface in which the gradient norm is measured, diagonals."""

_NORM_POINTS = 2000

_NO_SURFACE = ShapeErrors(chamfer=0.5, fscore=0.0, normal_consistency=0.0)
"""Worst possible errors, for a reconstruction without a surface."""


@dataclass(frozen=True)
class ShapeBenchmarkConfig:
    """Configuration of the shape benchmark.

    Attributes:
        procedural: number of held-out procedural shapes per category.
        views: number of simulated depth images per shape.
        resolution: grid cells per axis of the compared meshes.
        seed: random seed of held-out shapes, views and samples.
    """

    procedural: int = 24
    views: int = 2
    resolution: int = 128
    seed: int = 0


@dataclass(frozen=True)
class _Target:
    """A shape to reconstruct."""

    model: CadModel
    surface: Surface
    solid: bool


@dataclass(frozen=True)
class _Result:
    """Errors of one shape, reconstructed from the whole surface and from each view."""

    name: str
    full: ShapeErrors
    volume_iou: float | None
    views: tuple[ShapeErrors, ...]


def benchmark_shapes(
    packs: Packs,
    names: Sequence[str],
    config: ShapeBenchmarkConfig,
    *,
    data: Path | None = None,
    device: torch.device | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> tuple[dict[str, Any], list[str]]:
    """Reconstruct held-out procedural shapes and the meshes of a folder.

    Args:
        packs: with the decoders.
        names: names of the categories to measure.
        config: configuration of the benchmark.
        data: folder with ``CATEGORY/NAME.obj`` (or another mesh type), directly or in its subfolder
            ``meshes``; metres, y up, front toward +x. None uses procedural shapes only.
        device: device of the decoders; default: CPU.
        progress: called with a description of the current step.

    Returns:
        Metrics by category as a JSON document, and a message for each skipped mesh.

    Raises:
        MeshError: `data` is not a folder, or has no mesh of the named categories.
        WeightsError: A decoder is missing or damaged.
    """
    problems: list[str] = []
    categories = packs.categories
    files = {} if data is None else mesh_files(data, names, problems)
    document: dict[str, Any] = {}
    for name in names:
        decoder = load_decoder(packs[name].verified("decoder"), device)
        category = categories[name]
        entry: dict[str, Any] = {}
        if name in FAMILIES:
            progress(f"{name}: {config.procedural} procedural shapes")
            first = HELD_OUT_SEED + 10_000 * config.seed
            models = [sample_model(name, first + i) for i in range(config.procedural)]
            targets = [
                _Target(model, _normalised_surface(model, category), True) for model in models
            ]
            results, norm_error = _reconstruct_all(decoder, categories, targets, config)
            entry["procedural"] = _summary(results)
            entry["grad_norm_err"] = norm_error
        if files.get(name):
            progress(f"{name}: {len(files[name])} meshes")
            targets = list(_imported(files[name], category, problems))
            if targets:
                results, norm_error = _reconstruct_all(decoder, categories, targets, config)
                per_mesh = {x.name: _one(x) for x in results}
                entry["meshes"] = _summary(results) | {"per_mesh": per_mesh}
                entry.setdefault("grad_norm_err", norm_error)
        entry["weights_mib"] = packs[name].file("decoder").stat().st_size / 2**20
        document[name] = entry
    return document, problems


def measure_models(
    decoder: ShapeDecoder,
    categories: Categories,
    models: Sequence[CadModel],
    config: ShapeBenchmarkConfig,
) -> dict[str, Any]:
    """Reconstruct given solids of one category.

    Args:
        decoder: decoder of the category.
        categories: the known ones.
        models: at least one.
        config: configuration of the benchmark.

    Returns:
        Their metrics, as a JSON document.
    """
    targets = [_Target(x, _normalised_surface(x, categories[x.category]), True) for x in models]
    return _summary(_reconstruct_all(decoder, categories, targets, config)[0])


def _imported(files: Sequence[Path], category: Category, problems: list[str]) -> Iterator[_Target]:
    for path, model in measurable_models(files, category.name, problems):
        try:
            yield _Target(model, _normalised_surface(model, category), is_solid(path))
        except MeshError as error:
            problems.append(f"{error}; skipped")


def _normalised_surface(model: CadModel, category: Category) -> Surface:
    return visible_surface(model.normalised_vertices, model.faces, vessel=category.vessel)


def _reconstruct_all(
    decoder: ShapeDecoder,
    categories: Categories,
    targets: Sequence[_Target],
    config: ShapeBenchmarkConfig,
) -> tuple[list[_Result], float]:
    """Reconstruct all targets; also return the mean gradient-norm error near their surfaces."""
    rngs = [np.random.default_rng([config.seed, i]) for i in range(len(targets))]
    full = [
        evidence_from_surface(x.surface, rng, vessel=categories[x.model.category].vessel)
        for x, rng in zip(targets, rngs, strict=True)
    ]
    codes, found = reconstruct(decoder, full, config.resolution, SURFACE_NOISE)
    views: list[list[ShapeErrors]] = [[] for _ in targets]
    for _ in range(config.views):
        seen = [
            evidence_from_view(x.model, categories, rng)
            for x, rng in zip(targets, rngs, strict=True)
        ]
        for errors, made, x, rng in zip(
            views,
            reconstruct(decoder, seen, config.resolution, VIEW_NOISE)[1],
            targets,
            rngs,
            strict=True,
        ):
            errors.append(_errors(made, x, rng))
    results = [
        _Result(
            x.model.name,
            _errors(made, x, rng),
            None if made is None or not x.solid else volume_iou(made, x.surface, rng),
            tuple(errors),
        )
        for x, made, errors, rng in zip(targets, found, views, rngs, strict=True)
    ]
    return results, _norm_error(decoder, codes, targets, rngs)


def _errors(made: Surface | None, target: _Target, rng: np.random.Generator) -> ShapeErrors:
    if made is None:
        return _NO_SURFACE
    return compare_surfaces(made, target.surface, rng)


@torch.no_grad()
def _norm_error(
    decoder: ShapeDecoder,
    codes: Tensor,
    targets: Sequence[_Target],
    rngs: Sequence[np.random.Generator],
) -> float:
    near = [
        x.surface.sample(rng, _NORM_POINTS) + rng.uniform(-_BAND, _BAND, size=(_NORM_POINTS, 3))
        for x, rng in zip(targets, rngs, strict=True)
    ]
    points = torch.from_numpy(np.stack(near).astype(np.float32)).to(codes.device)
    _, gradient = decoder.value_and_gradient(points, codes)
    return float((gradient.norm(dim=-1) - 1.0).abs().mean())


def _summary(results: Sequence[_Result]) -> dict[str, Any]:
    full = [x.full.chamfer for x in results]
    ious = [x.volume_iou for x in results if x.volume_iou is not None]
    return {
        "n": len(results),
        "chamfer_mean": float(np.mean(full)),
        "chamfer_median": float(np.median(full)),
        "chamfer_view_median": float(np.median([v.chamfer for x in results for v in x.views])),
        "fscore": float(np.mean([x.full.fscore for x in results])),
        "normal_consistency": float(np.mean([x.full.normal_consistency for x in results])),
        "volume_iou": float(np.mean(ious)) if ious else None,
    }


def _one(result: _Result) -> dict[str, Any]:
    return {
        "chamfer": result.full.chamfer,
        "chamfer_view": float(np.median([v.chamfer for v in result.views])),
        "fscore": result.full.fscore,
        "normal_consistency": result.full.normal_consistency,
        "volume_iou": result.volume_iou,
    }
