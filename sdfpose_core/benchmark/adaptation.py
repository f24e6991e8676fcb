"""The benchmark of adaptation: what a network gains from unlabelled images of another domain.

A network that was trained on procedural shapes seen by a good camera meets other objects (meshes),
a bad camera with other intrinsics, and masks that leak. It learns from some of the objects without
labels, in several ways that take the same time, and is measured on the others.
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
from sdfpose_core.benchmark.poses import (
    MEASURES,
    STYLE,
    PoseCase,
    PoseOutcome,
    run_cases,
    summarise,
)
from sdfpose_core.encoder.fast import FastEncoder
from sdfpose_core.encoder.pretraining import EncoderTraining
from sdfpose_core.encoder.views import TrainingViews, Views
from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.estimation.estimator import EstimatorConfig, PoseEstimator
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.sdf.training_shapes import model_codes, procedural_codes
from sdfpose_core.selfsup.teacher import pseudo_labels, teacher
from sdfpose_core.selfsup.training import (
    LossesName,
    SelfSupervision,
    TooFewLabelsError,
    self_supervised_training,
)
from sdfpose_core.shapes.families import HELD_OUT_SEED
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.simulation.instances import ModelPool, SimulatedInstance, simulated_instances
from sdfpose_core.simulation.sensor import MaskNoise, SensorNoise

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
"""A wide-angle depth camera, as no view of the training's has it."""

_DISTRACTORS = 16
_FIRST_DISTRACTOR = HELD_OUT_SEED + 500_000

_SYNTHETIC_MODELS = 40

_TIMED = 6
"""Instances, and steps, that the speed of a training is found from."""

_MESH_RESOLUTION, _MESH_TOLERANCE, _CHAMFER_SAMPLES = 32, 0.0, 500

_RESAMPLINGS = 2000
"""Of the bootstrap."""

_JUDGED_GAP = 5.0
"""Points; a smaller gap between 'before' and 'supervised' is reported, not judged."""

_JUDGED = ("deg5_cm2", "deg10_cm5")


@dataclass(frozen=True)
class AdaptationPlan:
    """How much is trained and measured, for each category and seed.

    Attributes:
        unlabelled: instances to learn from.
        tested: instances of other objects that the network alone is measured on.
        refined: of these, how many the whole estimator is measured on.
        synthetic: simulated views of the start domain that every training mixes in.
        seconds: time of each training.
    """

    unlabelled: int = 160
    tested: int = 100
    refined: int = 30
    synthetic: int = 600
    seconds: float = 60.0


@dataclass(frozen=True)
class AdaptationRun:
    """What became of one category with one seed.

    Attributes:
        category: its name.
        seed: another one draws other scenes, views, noise, and batches.
        alone: outcomes of the network alone, by row, of the same cases in the same order.
        refined: those of the whole estimator.
        steps: that each training took.
    """

    category: str
    seed: int
    alone: dict[str, list[PoseOutcome]]
    refined: dict[str, list[PoseOutcome]]
    steps: dict[str, int]


def split_models(
    files: Sequence[Path], category: str, problems: list[str]
) -> tuple[list[CadModel], list[CadModel]]:
    """Objects to learn from, and others to measure on: every second one, in order of name.

    Args:
        files: meshes of one category.
        category: theirs.
        problems: is told of each mesh that was left out.
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
    """Adapt the network of one category in every way, and measure all of them.

    Args:
        start: decoder, and the encoder that every training starts from.
        learnt: objects whose images are learnt from.
        measured: objects whose images are measured on.
        plan: how much of all.
        seed: of scenes, views, noise and batches.
        progress: told what begins.
    """
    category = start.category.name
    assert isinstance(start.encoder, FastEncoder)
    progress("views")
    seen = _domain(category, learnt, plan.unlabelled, 2 * seed)
    cases = [
        PoseCase(x.model.name, x.instance, x.truth, x.model, x.visibility)
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
            progress(f"{row}: stays as it was: {error}")
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
    """Means over seeds of the figures of `benchmark.poses.summarise`, and what adaptation gained.

    Args:
        runs: each category with each seed.
        left_out: categories with too few meshes.

    Returns:
        The rows, ``refined`` with the same rows, ``left_out``, ``seeds``; ``gap_closed`` has, by
        measure, the gap between ``before`` and ``supervised`` in points, and the shares of it that
        ``after`` and ``after_paper`` close; ``worse`` names the categories of which the share of
        poses within 10 degrees and 5 cm is significantly smaller after than before, ``change`` has
        the 95 % intervals of the difference in points.
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
    """Views of the models by a bad camera of other intrinsics, with masks that leak."""
    others = ModelPool.for_category(
        category, range(_FIRST_DISTRACTOR, _FIRST_DISTRACTOR + 1), distractors=_DISTRACTORS
    )
    return list(
        simulated_instances(
            category,
            zlib.crc32(b"adaptation") + stream,
            count,
            pool=ModelPool(others.models | {category: models}),
            style=STYLE,
            camera=_CAMERA,
            noise=SensorNoise.strong(),
            mask_noise=MaskNoise.realistic(),
            views_per_scene=2,
            min_visibility=0.25,
        )
    )


def _synthetic(start: CategoryModel, count: int, seed: int) -> tuple[Views, Tensor]:
    """Labelled views of the domain that the network was trained on, and their models' codes."""
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
    """The training of a row, with as many steps as fit into its time."""
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
        config = setup(_TIMED)
        labelling_s = _seconds(
            lambda: pseudo_labels(teacher(start, swift=True), real[:_TIMED], config.certificate)
        )
        seconds -= config.rounds * labelling_s * len(real) / _TIMED
    # Steps with labels of a teacher take the time of those with true ones.
    step_s = _seconds(made(row != "after_paper", _TIMED).run) / _TIMED
    return made(row == "supervised", max(round(seconds / step_s), _TIMED))


def _seconds(work: Callable[[], object]) -> float:
    """Wall time of some work."""
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
    """Training on the same instances with their labels."""
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
    """What becomes of the cases with the networks of a category."""
    estimator = PoseEstimator(config, models=[model])
    return [_slim(x) for x in run_cases(estimator, cases, samples=_CHAMFER_SAMPLES)]


def _slim(outcome: PoseOutcome) -> PoseOutcome:
    """The outcome without surfaces: there are thousands."""
    if outcome.estimate is None:
        return outcome
    empty = np.zeros((0, 3), dtype=np.float32)
    estimate = replace(
        outcome.estimate, vertices=empty, faces=np.zeros((0, 3), dtype=np.int32), normals=empty
    )
    return replace(outcome, estimate=estimate)


def _row(runs: Sequence[tuple[str, int, list[PoseOutcome]]]) -> dict[str, Any]:
    """Figures by category and their mean: means over the seeds, and how these differ.

    Args:
        runs: category, seed and outcomes of each.
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
    """Of each figure that all seeds have; numbers of instances add up."""
    found: dict[str, Any] = {}
    for name in figures[0]:
        values = [x[name] for x in figures]
        if name == "n":
            found[name] = sum(values)
        else:
            found[name] = None if None in values else float(np.mean(values))
    return found


def _gap(document: Mapping[str, Any], measure: str) -> dict[str, Any]:
    """The gap in points, and which share of it is closed without labels and by the paper."""
    before, paper, after, supervised = (document[row]["mean"][measure] for row in ROWS)
    gap = supervised - before
    return {
        "points": gap,
        "judged": gap >= _JUDGED_GAP,
        "after": (after - before) / gap if gap > 0.0 else None,
        "after_paper": (paper - before) / gap if gap > 0.0 else None,
    }


def _change(runs: Sequence[AdaptationRun]) -> tuple[float, float]:
    """95 % interval of the change in the share of right poses, points; a paired bootstrap."""
    right = MEASURES["deg10_cm5"]
    gained: NDArray[np.float64] = np.array(
        [
            float(right(after)) - float(right(before))
            for x in runs
            for before, after in zip(x.alone["before"], x.alone["after"], strict=True)
        ]
    )
    rng = np.random.default_rng(0)
    drawn = gained[rng.integers(len(gained), size=(_RESAMPLINGS, len(gained)))].mean(axis=1)
    low, high = 100.0 * np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)
