"""Pose benchmark: estimate instances with known poses and measure the errors."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sdfpose_core.benchmark.mesh_folder import measurable_models
from sdfpose_core.categories import Categories
from sdfpose_core.datasets import frame_folders, read_frames
from sdfpose_core.estimation.estimator import PoseEstimator
from sdfpose_core.evaluation.average_precision import average_precision
from sdfpose_core.evaluation.calibration import expected_calibration_error, ranking_auroc
from sdfpose_core.evaluation.comparison import compare
from sdfpose_core.evaluation.frame_evaluation import ReportedObject
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
    "evaluate_case",
    "mesh_cases",
    "model_seeds",
    "real_cases",
    "real_folders",
    "run_cases",
    "summarise",
    "synthetic_cases",
]

MODELS = 64
"""Number of procedural models per category in a suite."""

_DISTRACTORS = 16

_FIRST_MODEL = HELD_OUT_SEED + 100_000
"""First model seed reserved for the benchmark."""

STYLE = SceneStyle(held=0.0, lying=0.05, leaning=0.05, upside_down=0.02, hard=0.5)
"""Objects on a table, as in the NOCS benchmark, but a tenth of them lie or lean, 2 % are upside
down, and half of the views are hard ones."""

MIN_VISIBILITY = 0.25
"""Smallest visible fraction of an instance that is used."""

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
"""Criteria by which an estimate counts as correct, by the name of the average precision."""

_VISIBILITIES = (0.25, 0.5, 0.75, 0.9, 1.0)
_DISTANCES_M = (0.0, 0.6, 0.9, 1.3, 10.0)


@dataclass(frozen=True)
class PoseCase:
    """An instance to estimate, with its ground truth.

    Attributes:
        name: name of the object.
        instance: input of the estimator.
        truth: true pose and size.
        model: true shape, if known; scaled to the size of `truth`.
        visibility: visible fraction of the object, NaN if unknown.
    """

    name: str
    instance: Instance
    truth: GroundTruth
    model: CadModel | None = None
    visibility: float = float("nan")


@dataclass(frozen=True)
class PoseOutcome:
    """Result of a case. A miss has infinite errors, an IoU of 0 and a confidence of 0.

    Of an estimate, only the pose is kept: there are thousands of outcomes.

    Attributes:
        name: name of the object.
        truth: true pose and size.
        visibility: visible fraction of the object, NaN if unknown.
        reported: estimated pose, None for a miss.
        degrees, centimetres, iou: rotation error, translation error and 3D IoU by the rules of the
            NOCS benchmark.
        chamfer_mm: Chamfer distance between the reconstructed and the true surface, both at their
            poses, millimetres; NaN if either is missing.
        stage_ms: wall-clock time by stage, milliseconds.
    """

    name: str
    truth: GroundTruth
    visibility: float
    reported: ReportedObject | None
    degrees: float
    centimetres: float
    iou: float
    chamfer_mm: float
    stage_ms: Mapping[str, float]

    @property
    def confidence(self) -> float:
        """Confidence of the estimate, 0 for a miss."""
        return 0.0 if self.reported is None else self.reported.confidence


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
) -> Iterator[PoseCase]:
    """Simulate given meshes on cluttered tables, among procedural objects.

    Args:
        files: mesh files; metres, y up, front toward +x.
        category: category of the meshes.
        count: number of instances.
        seed: random seed of scenes, views and noise.
        problems: receives a message for each skipped mesh.
        colour: whether to render colour images.
    """
    models = [model for _, model in measurable_models(files, category, problems)]
    if not models:
        return iter(())
    first = _FIRST_MODEL + MODELS * seed
    pool = ModelPool.with_models(category, models, first, distractors=_DISTRACTORS)
    return _simulated(category, pool, count, seed, colour)


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
        progress: called after each frame.
    """
    for folder in folders:
        for frame in read_frames(folder, problems, depth_unit=depth_unit):
            instances, skipped = segment(frame.frame, categories)
            seen = {x.mask_id: x if colour else replace(x, colour=None) for x in instances}
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
        result = estimator.estimate([case.instance])
        stage_ms = result.stage_ms | {"total": 1e3 * (time.perf_counter() - start)}
        estimate = result.estimates[0] if result.estimates else None
        yield evaluate_case(case, estimate, stage_ms, np.random.default_rng(number), samples)
        progress()


def evaluate_case(
    case: PoseCase,
    estimate: ObjectEstimate | None,
    stage_ms: Mapping[str, float],
    rng: np.random.Generator,
    samples: int = 2000,
) -> PoseOutcome:
    """Compare an estimate with the ground truth of its case.

    Args:
        case: the case; its instance is not used.
        estimate: estimate of the case, None for a miss.
        stage_ms: wall-clock time by stage, milliseconds.
        rng: random generator of the surface samples.
        samples: points sampled on each surface for the Chamfer distance, 0 to skip it.
    """
    known = (case.name, case.truth, case.visibility)
    if estimate is None:
        return PoseOutcome(*known, None, np.inf, np.inf, 0.0, np.nan, stage_ms)
    errors = compare(estimate, case.truth)
    return PoseOutcome(
        *known,
        ReportedObject.of(estimate),
        errors.rot_err_deg,
        errors.trans_err_cm,
        errors.iou3d_oriented,
        _chamfer_mm(estimate, case, samples, rng) if samples else np.nan,
        stage_ms,
    )


def summarise(outcomes: Mapping[str, Sequence[PoseOutcome]]) -> dict[str, Any]:
    """Compute metrics per category, their unweighted mean, the overall calibration, and times.

    Average precisions are in per cent: detections are ordered by confidence, and a miss counts as
    an object that was not found. Medians are None if most cases are missed. Means are over the
    categories that have the metric.
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
        "by_visibility": _binned(pooled, [x.visibility for x in pooled], _VISIBILITIES),
        "by_distance_m": _binned(
            pooled, [float(x.truth.translation[2]) for x in pooled], _DISTANCES_M
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
    """Average the known values; None if there are none."""
    known = [x for x in values if x is not None]
    return float(np.mean(known)) if known else None


def _finite(value: float) -> float | None:
    """Replace a value that is not finite (half of the cases missed, or all correct) by None."""
    return value if np.isfinite(value) else None


def _binned(
    outcomes: Sequence[PoseOutcome], values: Sequence[float], edges: Sequence[float]
) -> dict[str, dict[str, float]]:
    """Compute the percentage within 10 degrees and 5 cm per bin of a case attribute."""
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
