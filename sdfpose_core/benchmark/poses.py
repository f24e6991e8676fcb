"""The benchmark of poses: instances with known poses, and how well an estimator finds them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sdfpose_core.benchmark.mesh_folder import measurable_models
from sdfpose_core.categories import Categories
from sdfpose_core.datasets import read_frames
from sdfpose_core.estimation.estimator import PoseEstimator
from sdfpose_core.evaluation.average_precision import average_precision
from sdfpose_core.evaluation.calibration import expected_calibration_error, ranking_auroc
from sdfpose_core.evaluation.comparison import compare
from sdfpose_core.evaluation.shape_metrics import surface_distance
from sdfpose_core.evaluation.surfaces import Surface
from sdfpose_core.observation.frame import GroundTruth, Instance, ObjectEstimate
from sdfpose_core.observation.segmentation import segment
from sdfpose_core.shapes.families import HELD_OUT_SEED
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.simulation.instances import ModelPool, simulated_instances
from sdfpose_core.simulation.scenes import SceneStyle

__all__ = [
    "MEASURES",
    "MIN_VISIBILITY",
    "PoseCase",
    "PoseOutcome",
    "judge",
    "mesh_cases",
    "model_seeds",
    "real_cases",
    "run_cases",
    "summarise",
    "synthetic_cases",
]

MODELS = 64
"""Procedural models of each category that a suite draws from."""

_DISTRACTORS = 16

_FIRST_MODEL = HELD_OUT_SEED + 100_000
"""Seeds from here on serve the benchmark alone."""

STYLE = SceneStyle(held=0.0, lying=0.0, upside_down=0.0)
"""Objects stand on a table, as those of the NOCS benchmark do."""

MIN_VISIBILITY = 0.25
"""Instances of which less is visible are left out."""

_IMAGE_PIXELS = 640 * 480

MEASURES: dict[str, Callable[[PoseOutcome], bool]] = {
    "iou25": lambda x: x.iou >= 0.25,
    "iou50": lambda x: x.iou >= 0.50,
    "iou75": lambda x: x.iou >= 0.75,
    "deg5_cm2": lambda x: x.degrees <= 5.0 and x.centimetres <= 2.0,
    "deg5_cm5": lambda x: x.degrees <= 5.0 and x.centimetres <= 5.0,
    "deg10_cm2": lambda x: x.degrees <= 10.0 and x.centimetres <= 2.0,
    "deg10_cm5": lambda x: x.degrees <= 10.0 and x.centimetres <= 5.0,
}
"""What the average precisions count as right."""

_VISIBILITIES = (0.25, 0.5, 0.75, 0.9, 1.0)
_DISTANCES_M = (0.0, 0.6, 0.9, 1.3, 10.0)


@dataclass(frozen=True)
class PoseCase:
    """An instance to estimate, and what is true of it.

    Attributes:
        name: of the object.
        instance: what the estimator is given.
        truth: pose and size.
        model: its shape where it is known, at the size of `truth`.
        visibility: visible share of it, NaN where unknown.
    """

    name: str
    instance: Instance
    truth: GroundTruth
    model: CadModel | None = None
    visibility: float = float("nan")


@dataclass(frozen=True)
class PoseOutcome:
    """What became of a case; a miss has infinite errors, no overlap and no confidence.

    Attributes:
        case: the case.
        estimate: None for a miss.
        degrees, centimetres, iou: errors by the rules of the NOCS benchmark.
        chamfer_mm: between the reconstructed surface at its pose and the true one, NaN where
            either is missing.
        stage_ms: wall time by stage.
    """

    case: PoseCase
    estimate: ObjectEstimate | None
    degrees: float
    centimetres: float
    iou: float
    chamfer_mm: float
    stage_ms: Mapping[str, float]

    @property
    def confidence(self) -> float:
        """The estimate's, 0 for a miss."""
        return 0.0 if self.estimate is None else self.estimate.confidence


def model_seeds(seed: int) -> range:
    """Seeds of the procedural models in the test set of that number."""
    first = _FIRST_MODEL + MODELS * seed
    return range(first, first + MODELS)


def synthetic_cases(
    category: str, count: int, seed: int, *, colour: bool = False
) -> Iterator[PoseCase]:
    """Unseen procedural instances on cluttered tables.

    Args:
        category: one with a procedural family.
        count: how many.
        seed: another one draws other models, scenes, views and noise.
        colour: whether instances have a colour image.
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
) -> Iterator[PoseCase]:
    """The meshes of a folder on cluttered tables, among procedural objects.

    Args:
        files: metres, y up, front toward +x.
        category: of the meshes.
        count: how many instances.
        seed: another one draws other scenes, views and noise.
        problems: is told of each mesh that was left out.
        colour: whether instances have a colour image.
    """
    models = [model for _, model in measurable_models(files, category, problems)]
    if not models:
        return iter(())
    first = _FIRST_MODEL + MODELS * seed
    others = ModelPool.for_category(category, range(first, first + 1), distractors=_DISTRACTORS)
    pool = ModelPool(others.models | {category: models})
    return _simulated(category, pool, count, seed, colour)


def real_cases(
    data: Path, categories: Categories, problems: list[str], *, colour: bool = False
) -> Iterator[PoseCase]:
    """The instances with ground truth of the frame folders of a folder.

    Args:
        data: holds frame folders, or has them in its subfolder ``frames``.
        categories: the known ones.
        problems: is told of each frame and instance that was left out.
        colour: whether instances keep the frame's colour image, which takes memory.
    """
    root = data / "frames" if (data / "frames").is_dir() else data
    for frame in read_frames(root, problems):
        instances, skipped = segment(frame.frame, categories)
        seen = {x.mask_id: x if colour else replace(x, colour=None) for x in instances}
        reasons = {x.mask_id: x.reason for x in skipped}
        for truth in frame.ground_truth:
            name = f"{frame.name}/{frame.instances.get(truth.mask_id, truth.mask_id)}"
            if truth.mask_id in seen:
                yield PoseCase(name, seen[truth.mask_id], truth)
            else:
                problems.append(f"{name}: {reasons.get(truth.mask_id, 'not in the mask')}")


def run_cases(
    estimator: PoseEstimator,
    cases: Iterable[PoseCase],
    *,
    samples: int = 2000,
    progress: Callable[[], None] = lambda: None,
) -> Iterator[PoseOutcome]:
    """Estimate each case from nothing, one at a time.

    Args:
        estimator: what is measured.
        cases: to estimate.
        samples: points of each surface that the Chamfer distance is found from.
        progress: told after each case.
    """
    for number, case in enumerate(cases):
        start = time.perf_counter()
        result = estimator.estimate([case.instance])
        stage_ms = result.stage_ms | {"total": 1e3 * (time.perf_counter() - start)}
        estimate = result.estimates[0] if result.estimates else None
        yield judge(case, estimate, stage_ms, np.random.default_rng(number), samples)
        progress()


def judge(
    case: PoseCase,
    estimate: ObjectEstimate | None,
    stage_ms: Mapping[str, float],
    rng: np.random.Generator,
    samples: int = 2000,
) -> PoseOutcome:
    """What became of a case.

    Args:
        case: what is true; the instance is not looked at.
        estimate: of it, None for a miss.
        stage_ms: wall time by stage.
        rng: source of the samples.
        samples: points of each surface that the Chamfer distance is found from, 0 for none.
    """
    if estimate is None:
        return PoseOutcome(case, None, np.inf, np.inf, 0.0, np.nan, stage_ms)
    errors = compare(estimate, case.truth)
    return PoseOutcome(
        case,
        estimate,
        errors.rot_err_deg,
        errors.trans_err_cm,
        errors.iou3d_oriented,
        _chamfer_mm(estimate, case, samples, rng) if samples else np.nan,
        stage_ms,
    )


def summarise(outcomes: Mapping[str, Sequence[PoseOutcome]]) -> dict[str, Any]:
    """Figures by category, their unweighted mean, calibration over all, and time.

    Average precisions are in per cent: detections are ordered by confidence, and a miss counts as
    an object that was not found. Medians are None where most cases are missed, and means are over
    the categories that have the figure.
    """
    per_category = {name: _figures(some) for name, some in outcomes.items() if some}
    pooled = [x for some in outcomes.values() for x in some]
    confidence = np.array([x.confidence for x in pooled])
    right = np.array([MEASURES["deg10_cm5"](x) for x in pooled])
    mean: dict[str, Any] = {
        key: _mean([x[key] for x in per_category.values()]) if key != "n" else len(pooled)
        for key in next(iter(per_category.values()))
    }
    mean |= {
        "ece": expected_calibration_error(confidence, right),
        "auroc": _finite(ranking_auroc(confidence, right)),
    }
    stages = dict.fromkeys(stage for x in pooled for stage in x.stage_ms)
    return {
        "n": len(pooled),
        "per_category": per_category,
        "mean": mean,
        "time_ms": {
            stage: float(np.median([x.stage_ms[stage] for x in pooled])) for stage in stages
        },
        "by_visibility": _binned(pooled, [x.case.visibility for x in pooled], _VISIBILITIES),
        "by_distance_m": _binned(
            pooled, [float(x.case.truth.translation[2]) for x in pooled], _DISTANCES_M
        ),
    }


def _simulated(
    category: str, pool: ModelPool, count: int, seed: int, colour: bool
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
    ):
        yield PoseCase(x.model.name, x.instance, x.truth, x.model, x.visibility)


def _chamfer_mm(
    estimate: ObjectEstimate, case: PoseCase, samples: int, rng: np.random.Generator
) -> float:
    if case.model is None or len(estimate.faces) == 0:
        return float("nan")
    true_vertices = case.model.vertices * (case.truth.scale / case.model.diagonal_m)
    found = Surface(_posed(estimate, estimate.vertices), estimate.faces)
    true = Surface(_posed(case.truth, true_vertices), case.model.faces)
    return 1e3 * surface_distance(found, true, rng, samples)


def _posed(pose: ObjectEstimate | GroundTruth, vertices: np.ndarray) -> np.ndarray:
    return np.asarray(vertices @ pose.rotation.T + pose.translation, dtype=np.float64)


def _figures(outcomes: Sequence[PoseOutcome]) -> dict[str, Any]:
    confidence = np.array([x.confidence for x in outcomes])
    found: dict[str, Any] = {"n": len(outcomes)}
    for name, measure in MEASURES.items():
        right = np.array([measure(x) for x in outcomes])
        found[name] = 100.0 * average_precision(confidence, right, len(outcomes))
    found["rot_median_deg"] = _finite(float(np.median([x.degrees for x in outcomes])))
    found["trans_median_cm"] = _finite(float(np.median([x.centimetres for x in outcomes])))
    chamfer = [x.chamfer_mm for x in outcomes if np.isfinite(x.chamfer_mm)]
    found["chamfer_median_mm"] = float(np.median(chamfer)) if chamfer else None
    return found


def _mean(values: Sequence[float | None]) -> float | None:
    """Of the known ones, None where there is none."""
    known = [x for x in values if x is not None]
    return float(np.mean(known)) if known else None


def _finite(value: float) -> float | None:
    """None for what is no number (where half of the cases are missed, or all are right)."""
    return value if np.isfinite(value) else None


def _binned(
    outcomes: Sequence[PoseOutcome], values: Sequence[float], edges: Sequence[float]
) -> dict[str, dict[str, float]]:
    """Shares within 10 degrees and 5 cm, in per cent, by an attribute of the cases."""
    right = np.array([MEASURES["deg10_cm5"](x) for x in outcomes])
    which = np.digitize(np.asarray(values), edges[1:-1])
    known = np.isfinite(values)
    bins = {}
    for i in range(len(edges) - 1):
        members = known & (which == i)
        if members.any():
            bins[f"{edges[i]:g}-{edges[i + 1]:g}"] = {
                "n": int(members.sum()),
                "right_percent": 100.0 * float(right[members].mean()),
            }
    return bins
