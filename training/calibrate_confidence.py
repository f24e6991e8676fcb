#!/usr/bin/env python3
"""Fit the ranking of modes and the confidence model on simulated views of unseen models.

    python training/calibrate_confidence.py --weights sdfpose_core/weights

Every view is searched under every category. The ranking learns from views of objects of the
categories, the confidence also from clutter, in which many things are of none. Writes
mode_ranking.json and confidence.json to the folder of packs, and prints how often the right mode
and category are chosen, calibration and ranking quality, and how many things of no category are
rejected, on views that were not used for fitting.
"""

from __future__ import annotations

import sdfpose_core  # isort: skip  # noqa: F401  # sets how threads wait before torch is loaded

import argparse
import itertools
import json
import math
import multiprocessing
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from sdfpose_core.benchmark.poses import STYLE
from sdfpose_core.cli.category_choice import usable_categories
from sdfpose_core.cli.execution import execute
from sdfpose_core.cli.numbers import integer
from sdfpose_core.cli.output import print_problems
from sdfpose_core.cli.paths import check_output_folder
from sdfpose_core.device import set_threads
from sdfpose_core.estimation.confidence import (
    ConfidenceCase,
    ConfidenceModel,
    bounded_log_odds,
)
from sdfpose_core.estimation.detection import Detection
from sdfpose_core.estimation.estimator import EstimatorConfig, PoseEstimator
from sdfpose_core.estimation.mode_ranking import ModeRanking
from sdfpose_core.estimation.modes import as_alternative, mode_cues, ranking_features
from sdfpose_core.evaluation import (
    expected_calibration_error,
    ranking_auroc,
    rotation_error_deg,
    translation_error_m,
)
from sdfpose_core.observation.frame import GroundTruth, Instance
from sdfpose_core.packs.collection import Packs
from sdfpose_core.processes import end_with_parent
from sdfpose_core.recognition.views import network_masks
from sdfpose_core.shapes.families import HELD_OUT_SEED
from sdfpose_core.simulation.clutter import CLUTTER, EMPTY, ClutterStyle
from sdfpose_core.simulation.clutter_instances import clutter_instances, detected_masks
from sdfpose_core.simulation.instances import simulated_instances
from sdfpose_core.weights import CONFIDENCE_FILE, MASKS_FILE, RANKING_FILE

# Disjoint from the models for encoder validation and for benchmarks.
MODELS = range(HELD_OUT_SEED + 10_000, HELD_OUT_SEED + 10_060)

RIGHT_DEG, RIGHT_M = 10.0, 0.05

SAME_MODE_DEG = 20.0
"""A mode is the right one if its rotation is off by less than this, and it is not far off."""

FOREIGN_EVERY = 5
"""One in this many views is also presented under another category."""

BLIND_EVERY = 5
"""One in this many views also counts as if it had no colour, and as many as if neither the colour
network nor the recognition network knew the category."""

LEAST_KNOWN = EstimatorConfig().min_known
"""Masks with a smaller probability of being known count as rejected."""

CLUTTER_SEED = 2000
"""First seed of the scenes of clutter."""

TABLE = 0.6
"""Share of views with the style of the benchmark; the others are those of the training."""


COLOUR_FEATURES = ("colour_pose", "colour_category")

PRINTED: dict[str, Any] = {"colour": True, "appearance": "printed"}
"""Colour images of the same kind as those of the colour network's training."""


@dataclass(frozen=True)
class ClutterPart:
    """A part of the views of clutter.

    Attributes:
        seed: of the scenes.
        style: of the scenes.
        network: whether the mask network makes the masks; if not, they are the true ones with the
            errors of a detector, and parts of the room.
    """

    seed: int
    style: ClutterStyle
    network: bool


CLUTTER_PARTS = (
    *(ClutterPart(CLUTTER_SEED + i, CLUTTER, network=False) for i in range(3)),
    *(ClutterPart(CLUTTER_SEED + i, CLUTTER, network=True) for i in range(3, 7)),
    *(ClutterPart(CLUTTER_SEED + i, EMPTY, network=True) for i in range(7, 9)),
)


@dataclass(frozen=True)
class CandidateMode:
    """A refined hypothesis with what is known of it.

    Attributes:
        category: under which it was found.
        ranking: features of the ranking.
        confidence: features of the confidence.
        same_mode: whether it is the right mode.
        right: whether it is within 10 degrees and 5 cm.
    """

    category: str
    ranking: Mapping[str, float]
    confidence: Mapping[str, float]
    same_mode: bool
    right: bool


@dataclass(frozen=True)
class View:
    """A simulated instance and its modes under all categories.

    Attributes:
        category: true one, empty for none.
        modes: under all categories.
        shape_alone: what the feature ``shape_known`` would be if there were no colour.
    """

    category: str
    modes: Sequence[CandidateMode]
    shape_alone: float = 0.0

    def told(self, category: str) -> Sequence[CandidateMode]:
        """The modes under one category."""
        return [x for x in self.modes if x.category == category]


def simulated_views(
    estimator: PoseEstimator, category: str, names: Sequence[str], count: int
) -> Iterator[View]:
    """Search simulated instances of a category under all categories."""
    standing = round(TABLE * count)
    streams = (
        simulated_instances(category, 1, standing, model_seeds=MODELS, style=STYLE, **PRINTED),
        simulated_instances(category, 2, count - standing, model_seeds=MODELS, **PRINTED),
    )
    for item in itertools.chain.from_iterable(streams):
        yield view([replace(item.instance, category=x) for x in names], item.truth, estimator)


def clutter_views(
    estimator: PoseEstimator, part: ClutterPart, names: Sequence[str], count: int, weights: Path
) -> Iterator[View]:
    """Search masks of clutter under all categories."""
    shared = Packs.beside_shipped([weights]).shared(MASKS_FILE)
    masks = network_masks(shared) if part.network else detected_masks
    for item in clutter_instances(part.seed, count, part.style, masks=masks, model_seeds=MODELS):
        some = [x for x in item.candidates if x.category in names]
        if some and (item.truth is None or item.truth.category in names):
            yield view(some, item.truth, estimator)


def view(
    instances: Sequence[Instance], truth: GroundTruth | None, estimator: PoseEstimator
) -> View:
    """Search one mask under all categories."""
    alone = 0.0
    if (recognition := estimator.recognition) is not None:
        alone = recognition.told_known(instances, colour=False)[0].shape_log_odds
        instances = recognition.told_known(instances)
    _, colour = estimator.look(instances)
    seen = instances if colour is None else [colour.told_known(x) for x in instances]
    groups, _ = estimator.by_category(seen)
    found = estimator.refine(estimator.search(estimator.encode(groups), colour))
    (features,) = ranking_features([found], estimator.config, colour)
    return View(
        "" if truth is None else truth.category,
        [candidate(truth, x, y) for x, y in zip(found, features, strict=True)],
        bounded_log_odds(alone),
    )


def part_of_views(
    part: str | ClutterPart, *, names: Sequence[str], count: int, clutter: int, weights: Path
) -> list[View]:
    """The views of one category, or a part of clutter, in a process of its own."""
    set_threads(1)
    estimator = PoseEstimator(
        EstimatorConfig(device="cpu"),
        [weights],
        confidence=ConfidenceModel.constant(),
        ranking=ModeRanking.by_cost(),
    )
    if isinstance(part, str):
        return list(simulated_views(estimator, part, names, count))
    return list(clutter_views(estimator, part, names, clutter, weights))


def candidate(
    truth: GroundTruth | None, mode: Detection, ranking: Mapping[str, float]
) -> CandidateMode:
    """Compare a mode with the truth."""
    same = right = False
    if truth is not None and truth.category == mode.instance.category:
        pose = as_alternative(mode)
        degrees = rotation_error_deg(pose.rotation, truth.rotation, truth.symmetric_about_y)
        near = translation_error_m(pose.translation, truth.translation) <= RIGHT_M
        same, right = (bool(degrees <= x and near) for x in (SAME_MODE_DEG, RIGHT_DEG))
    return CandidateMode(mode.instance.category, ranking, mode.features, same, right)


def fit_ranking(views: Sequence[View]) -> ModeRanking:
    """Fit the ranking to the modes of the known category and to those of all.

    Colour may be missing, so every view also counts without it.
    """
    sets = [modes for x in views for modes in (x.modes, x.told(x.category))]
    cases = []
    for modes in sets:
        same = [x.same_mode for x in modes]
        for absent in ((), COLOUR_FEATURES):
            cases.append(([{**x.ranking, **dict.fromkeys(absent, 0.0)} for x in modes], same))
    return ModeRanking.fit(cases)


def chosen(ranking: ModeRanking, modes: Sequence[CandidateMode]) -> tuple[float, CandidateMode]:
    """The likeliest mode and its probability."""
    probabilities = ranking.probabilities([x.ranking for x in modes])
    best = int(probabilities.argmax())
    return float(probabilities[best]), modes[best]


def cases(
    ranking: ModeRanking, views: Sequence[View], names: Sequence[str]
) -> list[ConfidenceCase]:
    """What is chosen with the known category, with an unknown one, and, less often, a wrong one."""
    found: list[ConfidenceCase] = []

    def add(modes: Sequence[CandidateMode], *, told: bool, known: bool) -> None:
        if told:
            modes = [replace(x, ranking={**x.ranking, "colour_category": 0.0}) for x in modes]
        probability, best = chosen(ranking, modes)
        cues = mode_cues(best.ranking, probability)
        features = {**best.confidence, **cues, "told": float(told)}
        found.append(ConfidenceCase(features, probability, known, best.right))

    for i, x in enumerate(views):
        if own := x.told(x.category):
            add(own, told=True, known=True)
        add(x.modes, told=False, known=bool(x.category))
        others = [told for y in names if y != x.category and (told := x.told(y))]
        if i % FOREIGN_EVERY == 0 and others:
            add(others[i // FOREIGN_EVERY % len(others)], told=True, known=False)
    return found


def without_colour(view: View, *, shape: bool) -> View:
    """The view as if there were no colour, and shape said nothing of the category, either."""
    nothing = dict.fromkeys(COLOUR_FEATURES, 0.0)
    known = {"colour_known": 0.0, "shape_known": view.shape_alone if shape else 0.0}
    return replace(
        view,
        modes=[
            replace(
                x,
                ranking={**x.ranking, **nothing},
                confidence={**x.confidence, **nothing, **known},
            )
            for x in view.modes
        ],
    )


def fit_confidence(
    ranking: ModeRanking, views: Sequence[View], names: Sequence[str]
) -> ConfidenceModel:
    """Fit the confidence to estimates; colour and shape may say nothing of a category."""
    blind = [without_colour(x, shape=True) for x in views[::BLIND_EVERY]]
    blind += [without_colour(x, shape=False) for x in views[1::BLIND_EVERY]]
    return ConfidenceModel.fit(cases(ranking, [*views, *blind], names))


def figures(
    ranking: ModeRanking, confidence: ConfidenceModel, views: Sequence[View], names: Sequence[str]
) -> dict[str, float]:
    """How good both models are on some views."""
    judged = cases(ranking, views, names)
    unknown_masks = [x for x in judged if not x.features["told"]]
    rejected: dict[bool, list[bool]] = {False: [], True: []}
    for x in unknown_masks:
        rejected[x.known].append(confidence.known(x.features) < LEAST_KNOWN)
    confident = [
        confidence.probability(x.features, x.mode_probability) >= 0.5
        for x in unknown_masks
        if not x.known
    ]
    ours = [x for x in views if x.category]
    told = [chosen(ranking, modes)[1] for x in ours if (modes := x.told(x.category))]
    unknown = [chosen(ranking, x.modes)[1] for x in ours]
    probability = np.array([confidence.probability(x.features, x.mode_probability) for x in judged])
    right = np.array([x.right for x in judged])
    return {
        "views": len(views),
        "right_mode_percent": 100.0 * float(np.mean([x.same_mode for x in told])),
        "oracle_percent": 100.0
        * float(np.mean([any(y.same_mode for y in x.told(x.category)) for x in ours])),
        "right_percent": 100.0 * float(np.mean([x.right for x in told])),
        "category_percent": 100.0
        * float(np.mean([x.category == y.category for x, y in zip(ours, unknown, strict=True)])),
        "none_rejected_percent": 100.0 * float(np.mean(rejected[False])),
        "ours_rejected_percent": 100.0 * float(np.mean(rejected[True])),
        "none_confident_percent": 100.0 * float(np.mean(confident)),
        "ece": expected_calibration_error(probability, right),
        "auroc": ranking_auroc(probability, right),
    }


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True, help="folder of packs")
    parser.add_argument("--views", type=integer(), default=200, help="views per category")
    parser.add_argument(
        "--clutter", type=integer(), default=1200, help="views of clutter (default: 1200)"
    )
    parser.add_argument(
        "--workers", type=integer(), default=2, help="processes, of one thread each (default: 2)"
    )
    args = parser.parse_args()
    check_output_folder("--weights", args.weights)
    problems: list[str] = []
    names = usable_categories(
        Packs.beside_shipped([args.weights]),
        None,
        problems,
        family=True,
        encoder=True,
    )
    print_problems(problems)
    job = partial(
        part_of_views,
        names=names,
        count=args.views,
        clutter=math.ceil(args.clutter / len(CLUTTER_PARTS)),
        weights=args.weights,
    )
    parts = [*names, *CLUTTER_PARTS]
    with ProcessPoolExecutor(
        args.workers, multiprocessing.get_context("spawn"), end_with_parent
    ) as pool:
        found = list(track(pool.map(job, parts), description="views", total=len(parts)))
    views = list(itertools.chain.from_iterable(found[: len(names)]))
    clutter = list(itertools.chain.from_iterable(found[len(names) :]))
    # Test models fitted to every second view on the others; the shipped ones use all views.
    ranking = fit_ranking(views[::2])
    confidence = fit_confidence(ranking, [*views[::2], *clutter[::2]], names)
    print(json.dumps(figures(ranking, confidence, [*views[1::2], *clutter[1::2]], names)))
    ranking = fit_ranking(views)
    ranking.save(args.weights / RANKING_FILE)
    confidence = fit_confidence(ranking, [*views, *clutter], names)
    confidence.save(args.weights / CONFIDENCE_FILE)
    return 0


if __name__ == "__main__":
    sys.exit(execute("calibrate_confidence", main))
