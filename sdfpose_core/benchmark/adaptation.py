"""Adaptation benchmark: the gain of a network from unlabelled images of another domain.

The network was trained on procedural shapes seen by a good camera. The new domain has other objects
(meshes), a poor camera with other intrinsics, and masks that leak. The network is trained without
labels on some of the objects, by several methods with equal time, and evaluated on the others.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sdfpose_core.benchmark.mesh_folder import measurable_models
from sdfpose_core.benchmark.outcomes import PoseCase, PoseOutcome
from sdfpose_core.benchmark.pose_figures import MEASURES, summarise
from sdfpose_core.benchmark.poses import run_cases
from sdfpose_core.encoder.fast import FastEncoder
from sdfpose_core.encoder.pretraining import EncoderTraining
from sdfpose_core.encoder.views import TrainingViews, Views
from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.estimation.estimator import EstimatorConfig, PoseEstimator
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.sdf.training_shapes import model_codes, procedural_codes
from sdfpose_core.selfsup.losses_name import LossesName
from sdfpose_core.selfsup.teacher import pseudo_labels, teacher
from sdfpose_core.selfsup.training import (
    SelfSupervision,
    TooFewLabelsError,
    self_supervised_training,
)
from sdfpose_core.shapes.families import HELD_OUT_SEED
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.simulation.instances import ModelPool, SimulatedInstance, simulated_instances
from sdfpose_core.simulation.mask_noise import MaskNoise
from sdfpose_core.simulation.scenes import SceneStyle
from sdfpose_core.simulation.sensor import SensorNoise

__all__ = [
    "ROWS",
    "AdaptationPlan",
    "AdaptationRun",
    "adapt_and_measure",
    "split_models",
    "summarise_adaptation",
]

ROWS = ("before", "after_paper", "after", "supervised")

_CAMERA = PinholeCamera(848, 480, 430.0, 430.0, 421.5, 236.8)
"""A wide-angle depth camera that does not occur in the training data."""

_DISTRACTORS = 16
_FIRST_DISTRACTOR = HELD_OUT_SEED + 500_000

_SYNTHETIC_MODELS = 40

_TIMING_STEPS = 6
"""Instances and training steps from which the training speed is measured."""

_MESH_RESOLUTION, _MESH_TOLERANCE, _CHAMFER_SAMPLES = 32, 0.0, 500

_BOOTSTRAP_SAMPLES = 2000
"""Number of bootstrap samples."""

_JUDGED_GAP = 5.0
"""Percentage points; a smaller gap between 'before' and 'supervised' is not judged."""

_JUDGED = ("deg5_cm2", "deg10_cm5")


@dataclass(frozen=True)
class AdaptationPlan:
    """Amount of training and test data, per category and seed.

    Attributes:
        unlabelled: number of instances to train on.
        tested: number of instances of other objects on which the network alone is evaluated.
        refined: how many of these the whole estimator is evaluated on.
        synthetic: number of simulated views of the original domain mixed into every training.
        seconds: duration of each training, seconds.
    """

    unlabelled: int = 160
    tested: int = 100
    refined: int = 30
    synthetic: int = 600
    seconds: float = 60.0


@dataclass(frozen=True)
class AdaptationRun:
    """Results of one category with one seed.

    Attributes:
        category: category name.
        seed: random seed of scenes, views, noise and batches.
        alone: outcomes of the network alone, by row; all rows have the same cases in order.
        refined: outcomes of the whole estimator, by row.
        steps: number of steps of each training, by row.
    """

    category: str
    seed: int
    alone: dict[str, list[PoseOutcome]]
    refined: dict[str, list[PoseOutcome]]
    steps: dict[str, int]


def split_models(
    files: Sequence[Path], category: str, problems: list[str]
) -> tuple[list[CadModel], list[CadModel]]:
    """Split the meshes alternately, in order of name, into training and test objects.

    Args:
        files: meshes of one category.
        category: category of the meshes.
        problems: receives a message for each skipped mesh.
    """
    models = [model for _, model in measurable_models(files, category, problems)]
    return models[::2], models[1::2]


def adapt_and_measure(
    start: CategoryModel,
    learnt: Sequence[CadModel],
    measured: Sequence[CadModel],
    plan: AdaptationPlan,
    seed: int,
    *,
    progress: Callable[[str], None] = lambda what: None,
) -> AdaptationRun:
    """Adapt the network of one category by every method, and evaluate all results.

    Args:
        start: model with the decoder and the initial encoder of every training.
        learnt: objects to train on.
        measured: objects to evaluate on.
        plan: amount of training and test data.
        seed: random seed of scenes, views, noise and batches.
        progress: called with a description of the current step.
    """
    category = start.category.name
    assert isinstance(start.encoder, FastEncoder)
    progress("views")
    seen = _domain(category, learnt, plan.unlabelled, 2 * seed)
    cases = [
        PoseCase(x.model.name, [x.instance], x.truth, x.model, x.visibility)
        for x in _domain(category, measured, plan.tested, 2 * seed + 1)
    ]
    synthetic = _synthetic(start, plan.synthetic, seed)
    encoders: dict[str, FastEncoder] = {"before": start.encoder}
    steps = {"before": 0}
    for row in ROWS[1:]:
        progress(row)
        training = _training(row, start, synthetic, seen, learnt, plan.seconds, seed)
        try:
            encoders[row] = training.run()
            steps[row] = training.config.steps
        except TooFewLabelsError as error:
            progress(f"{row}: not trained: {error}")
            encoders[row], steps[row] = start.encoder, 0
    whole = EstimatorConfig(
        device=str(start.device),
        mesh_resolution=_MESH_RESOLUTION,
        mesh_tolerance=_MESH_TOLERANCE,
    )
    alone: dict[str, list[PoseOutcome]] = {}
    refined: dict[str, list[PoseOutcome]] = {}
    for row in ROWS:
        progress(f"measuring {row}")
        model = replace(start, encoder=encoders[row].eval())
        alone[row] = _outcomes(replace(whole, refine="none"), model, cases)
        refined[row] = _outcomes(whole, model, cases[: plan.refined])
    return AdaptationRun(category, seed, alone, refined, steps)


def summarise_adaptation(runs: Sequence[AdaptationRun], left_out: Sequence[str]) -> dict[str, Any]:
    """Average the metrics of `benchmark.pose_figures.summarise` over seeds, and compute the gains.

    Args:
        runs: one run per category and seed.
        left_out: names of the categories with too few meshes.

    Returns:
        The rows, ``refined`` with the same rows, ``left_out`` and ``seeds``. ``gap_closed`` has,
        by measure, the gap between ``before`` and ``supervised`` in percentage points, and the
        fractions of it that ``after`` and ``after_paper`` close. ``change`` has the 95 % intervals,
        in percentage points, of the change in the share of poses within 10 degrees and 5 cm;
        ``worse`` lists the categories in which this share drops significantly.
    """
    document: dict[str, Any] = {
        row: _row([(x.category, x.seed, x.alone[row]) for x in runs]) for row in ROWS
    }
    document["refined"] = {
        row: _row([(x.category, x.seed, x.refined[row]) for x in runs]) for row in ROWS
    }
    change = {
        category: _change([x for x in runs if x.category == category])
        for category in dict.fromkeys(x.category for x in runs)
    }
    return document | {
        "left_out": list(left_out),
        "seeds": len({x.seed for x in runs}),
        "steps": {row: int(np.median([x.steps[row] for x in runs])) for row in ROWS},
        "gap_closed": {name: _gap(document, name) for name in _JUDGED},
        "change": change,
        "worse": [category for category, (_, high) in change.items() if high < 0.0],
    }


def _domain(
    category: str, models: Sequence[CadModel], count: int, stream: int
) -> list[SimulatedInstance]:
    """Simulate views of the models by a poor camera with other intrinsics and leaking masks."""
    pool = ModelPool.with_models(category, models, _FIRST_DISTRACTOR, distractors=_DISTRACTORS)
    return list(
        simulated_instances(
            category,
            zlib.crc32(b"adaptation") + stream,
            count,
            pool=pool,
            style=SceneStyle.upright(),
            camera=_CAMERA,
            noise=SensorNoise.strong(),
            mask_noise=MaskNoise.realistic(),
            views_per_scene=2,
            min_visibility=0.25,
        )
    )


def _synthetic(start: CategoryModel, count: int, seed: int) -> tuple[Views, Tensor]:
    """Simulate labelled views of the original domain; return them with the codes of the models."""
    category = start.category.name
    codes = procedural_codes(category, start.decoder, _SYNTHETIC_MODELS)
    views = simulated_instances(
        category,
        seed,
        count,
        model_seeds=range(_SYNTHETIC_MODELS),
        noise=SensorNoise.mild(),
        mask_noise=MaskNoise.mild(),
    )
    return Views.collect(views), codes.cpu()


def _training(
    row: str,
    start: CategoryModel,
    synthetic: tuple[Views, Tensor],
    seen: Sequence[SimulatedInstance],
    learnt: Sequence[CadModel],
    seconds: float,
    seed: int,
) -> EncoderTraining:
    """Set up the training of a row, with as many steps as its time allows."""
    losses: LossesName = "paper" if row == "after_paper" else "certified"
    real = [x.instance for x in seen]

    def setup(steps: int) -> SelfSupervision:
        setup = SelfSupervision(
            losses=losses, synthetic_batch=12, real_batch=12, rounds=1, fast_teacher=True
        )
        return replace(setup, training=replace(setup.training, seed=seed, steps=steps))

    def made(labels: bool, steps: int) -> EncoderTraining:
        if labels:
            return _supervised(start, synthetic, seen, learnt, setup(steps))
        return self_supervised_training(start, synthetic, real, setup(steps))

    if row == "after":
        config = setup(_TIMING_STEPS)
        labelling_s = _seconds(
            lambda: pseudo_labels(
                teacher(start, fast=True), real[:_TIMING_STEPS], config.certificate
            )
        )
        seconds -= config.rounds * labelling_s * len(real) / _TIMING_STEPS
    # A step with labels of the teacher takes as long as one with true labels.
    step_s = _seconds(made(row != "after_paper", _TIMING_STEPS).run) / _TIMING_STEPS
    return made(row == "supervised", max(round(seconds / step_s), _TIMING_STEPS))


def _seconds(work: Callable[[], object]) -> float:
    """Time a call, seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _supervised(
    start: CategoryModel,
    synthetic: tuple[Views, Tensor],
    seen: Sequence[SimulatedInstance],
    learnt: Sequence[CadModel],
    setup: SelfSupervision,
) -> EncoderTraining:
    """Set up the training on the same instances with true labels."""
    codes = model_codes(learnt, start.decoder)
    assert isinstance(start.encoder, FastEncoder)
    return EncoderTraining(
        [
            TrainingViews(*synthetic, setup.synthetic_batch),
            TrainingViews(Views.collect(seen), codes.cpu(), setup.real_batch),
        ],
        start.decoder.code_mean,
        start.decoder.code_covariance,
        start.category.diagonal_m,
        setup.training,
        start.device,
        start.encoder,
    )


def _outcomes(
    config: EstimatorConfig, model: CategoryModel, cases: Sequence[PoseCase]
) -> list[PoseOutcome]:
    """Run the cases with the networks of a category."""
    estimator = PoseEstimator(config, models=[model])
    return list(run_cases(estimator, cases, samples=_CHAMFER_SAMPLES))


def _row(runs: Sequence[tuple[str, int, list[PoseOutcome]]]) -> dict[str, Any]:
    """Average the metrics per category and overall over the seeds, with their spread.

    Args:
        runs: category, seed and outcomes of each run.
    """
    of_seed = [
        summarise({category: outcomes for category, of, outcomes in runs if of == seed})
        for seed in sorted({x[1] for x in runs})
    ]
    categories = dict.fromkeys(x[0] for x in runs)
    return {
        "per_category": {
            name: _average([x["per_category"][name] for x in of_seed]) for name in categories
        },
        "mean": _average([x["mean"] for x in of_seed]),
        "spread": {name: float(np.std([x["mean"][name] for x in of_seed])) for name in MEASURES},
    }


def _average(figures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Average each metric that all seeds have; numbers of instances are summed."""
    found: dict[str, Any] = {}
    for name in figures[0]:
        values = [x[name] for x in figures]
        if name == "n":
            found[name] = sum(values)
        else:
            found[name] = None if None in values else float(np.mean(values))
    return found


def _gap(document: Mapping[str, Any], measure: str) -> dict[str, Any]:
    """Compute the gap in percentage points and the fraction closed by each method."""
    before, paper, after, supervised = (document[row]["mean"][measure] for row in ROWS)
    gap = supervised - before
    return {
        "points": gap,
        "judged": gap >= _JUDGED_GAP,
        "after": (after - before) / gap if gap > 0.0 else None,
        "after_paper": (paper - before) / gap if gap > 0.0 else None,
    }


def _change(runs: Sequence[AdaptationRun]) -> tuple[float, float]:
    """Bootstrap the paired change in the share of correct poses: 95 % interval, points."""
    right = MEASURES["deg10_cm5"]
    gained: NDArray[np.float64] = np.array(
        [
            float(right(after)) - float(right(before))
            for x in runs
            for before, after in zip(x.alone["before"], x.alone["after"], strict=True)
        ]
    )
    rng = np.random.default_rng(0)
    drawn = gained[rng.integers(len(gained), size=(_BOOTSTRAP_SAMPLES, len(gained)))].mean(axis=1)
    low, high = 100.0 * np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)
