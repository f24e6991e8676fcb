"""Pose benchmark: instances with known poses, simulated or real, and their estimates."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sdfpose_core.benchmark.mesh_folder import measurable_models
from sdfpose_core.benchmark.outcomes import PoseCase, PoseOutcome, evaluate_case
from sdfpose_core.categories import Categories
from sdfpose_core.datasets import frame_folders, read_frames
from sdfpose_core.estimation.estimator import PoseEstimator
from sdfpose_core.estimation.modes import as_alternative
from sdfpose_core.observation.frame import Instance, RgbdFrame
from sdfpose_core.observation.segmentation import ANY_CATEGORY, segment
from sdfpose_core.shapes.families import HELD_OUT_SEED
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.simulation.appearance import AppearanceName
from sdfpose_core.simulation.instances import ModelPool, simulated_instances
from sdfpose_core.simulation.scenes import SceneStyle

__all__ = [
    "APPEARANCE",
    "MIN_VISIBILITY",
    "by_mask_id",
    "mesh_cases",
    "model_cases",
    "model_seeds",
    "real_cases",
    "real_folders",
    "run_cases",
    "synthetic_cases",
    "with_unknown_categories",
]

MODELS = 64
"""Number of procedural models per category in a suite."""

_DISTRACTORS = 16

_FIRST_MODEL = HELD_OUT_SEED + 100_000
"""First model seed reserved for the benchmark."""

STYLE = SceneStyle(held=0.0, lying=0.05, leaning=0.05, upside_down=0.02, hard=0.5)
"""Objects on a table, as in the NOCS benchmark, but a tenth of them lie or lean, 2 % are upside
down, and half of the views are hard ones."""

APPEARANCE: AppearanceName = "printed"
"""Domain of the colour images."""

MIN_VISIBILITY = 0.25
"""Smallest visible fraction of an instance that is used."""

_IMAGE_PIXELS = 640 * 480


def model_seeds(seed: int) -> range:
    """Return the seeds of the procedural models of a test set."""
    first = _FIRST_MODEL + MODELS * seed
    return range(first, first + MODELS)


def synthetic_cases(
    category: str, count: int, seed: int, *, colour: bool = False
) -> Iterator[PoseCase]:
    """Simulate unseen procedural instances on cluttered tables.

    Args:
        category: category with a procedural family.
        count: number of instances.
        seed: random seed of models, scenes, views and noise.
        colour: whether to render colour images.
    """
    pool = ModelPool.for_category(category, model_seeds(seed), distractors=_DISTRACTORS)
    return _simulated(category, pool, count, seed, colour)


def mesh_cases(
    files: Sequence[Path],
    category: str,
    count: int,
    seed: int,
    problems: list[str],
    *,
    colour: bool = False,
    categories: Categories | None = None,
) -> Iterator[PoseCase]:
    """Simulate given meshes on cluttered tables, among procedural objects.

    Args:
        files: mesh files; metres, y up, front toward +x.
        category: category of the meshes.
        count: number of instances.
        seed: random seed of scenes, views and noise.
        problems: receives a message for each skipped mesh.
        colour: whether to render colour images.
        categories: the known ones; by default the six shipped ones.
    """
    models = [model for _, model in measurable_models(files, category, problems)]
    if not models:
        return iter(())
    return model_cases(models, category, count, seed, colour=colour, categories=categories)


def model_cases(
    models: Sequence[CadModel],
    category: str,
    count: int,
    seed: int,
    *,
    colour: bool = False,
    categories: Categories | None = None,
) -> Iterator[PoseCase]:
    """Simulate given models, at least one, like `mesh_cases`."""
    first = _FIRST_MODEL + MODELS * seed
    pool = ModelPool.with_models(category, models, first, distractors=_DISTRACTORS)
    return _simulated(category, pool, count, seed, colour, categories)


def real_folders(data: Path) -> list[Path]:
    """List the frame folders of the suite ``real``.

    Args:
        data: folder of frame folders, directly or in its subfolder ``frames``.
    """
    return frame_folders(data / "frames" if (data / "frames").is_dir() else data)


def real_cases(
    folders: Sequence[Path],
    categories: Categories,
    names: Collection[str],
    problems: list[str],
    *,
    colour: bool = False,
    depth_unit: float | None = None,
    category_known: bool = True,
    progress: Callable[[], None] = lambda: None,
) -> Iterator[PoseCase]:
    """Read the instances with ground truth from frame folders.

    Args:
        folders: frame folders, see `real_folders`.
        categories: known categories.
        names: categories of the instances; others are ignored.
        problems: receives a message for each skipped frame and instance.
        colour: whether instances have the colour image of the frame.
        depth_unit: metres per unit of depth, instead of the one in ``meta.json``.
        category_known: whether the estimator is told the category.
        progress: called after each frame.
    """
    for folder in folders:
        for frame in read_frames(folder, problems, depth_unit=depth_unit):
            image = frame.frame if category_known else with_unknown_categories(frame.frame)
            instances, skipped = segment(image, categories)
            seen = by_mask_id([x if colour else replace(x, colour=None) for x in instances])
            reasons = {x.mask_id: x.reason for x in skipped}
            for truth in frame.ground_truth:
                if truth.category not in names:
                    continue
                name = f"{frame.name}/{frame.instances.get(truth.mask_id, truth.mask_id)}"
                if truth.mask_id in seen:
                    yield PoseCase(name, seen[truth.mask_id], truth)
                else:
                    problems.append(f"{name}: {reasons.get(truth.mask_id, 'not in the mask')}")
        progress()


def with_unknown_categories(frame: RgbdFrame) -> RgbdFrame:
    """Replace the categories of all labels by `ANY_CATEGORY`."""
    labels = {i: replace(x, category=ANY_CATEGORY) for i, x in frame.labels.items()}
    return replace(frame, labels=labels)


def by_mask_id(instances: Iterable[Instance]) -> dict[int, list[Instance]]:
    """Group instances by their mask ids: there are several where the category is unknown."""
    found: dict[int, list[Instance]] = {}
    for x in instances:
        found.setdefault(x.mask_id, []).append(x)
    return found


def run_cases(
    estimator: PoseEstimator,
    cases: Iterable[PoseCase],
    *,
    samples: int = 2000,
    progress: Callable[[], None] = lambda: None,
) -> Iterator[PoseOutcome]:
    """Estimate each case from scratch, one at a time.

    Args:
        estimator: estimator to measure.
        cases: cases to estimate.
        samples: points sampled on each surface for the Chamfer distance.
        progress: called after each case.
    """
    for number, case in enumerate(cases):
        start = time.perf_counter()
        result = estimator.estimate(case.instances)
        stage_ms = result.stage_ms | {"total": 1e3 * (time.perf_counter() - start)}
        estimate = result.estimates[0] if result.estimates else None
        modes = () if estimate is None else result.modes.get(estimate.mask_id, ())
        yield evaluate_case(
            case,
            estimate,
            stage_ms,
            np.random.default_rng(number),
            samples,
            rivals=map(as_alternative, modes[1:]),
        )
        progress()


def _simulated(
    category: str,
    pool: ModelPool,
    count: int,
    seed: int,
    colour: bool,
    categories: Categories | None = None,
) -> Iterator[PoseCase]:
    for x in simulated_instances(
        category,
        seed,
        count,
        pool=pool,
        style=STYLE,
        views_per_scene=2,
        pixels=_IMAGE_PIXELS,
        max_points=_IMAGE_PIXELS,
        min_visibility=MIN_VISIBILITY,
        colour=colour,
        appearance=APPEARANCE,
        categories=categories,
    ):
        yield PoseCase(x.model.name, [x.instance], x.truth, x.model, x.visibility, x.hard_view)
