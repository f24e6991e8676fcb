#!/usr/bin/env python3
"""Fit the confidence model on simulated views of unseen procedural models.

    python training/calibrate_confidence.py --weights sdfpose_core/weights

Writes confidence.json to the weights folder and prints calibration and ranking quality on views
that were not used for fitting.
"""

from __future__ import annotations

import sdfpose_core  # isort: skip  # noqa: F401  # sets how threads wait before torch is loaded

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from sdfpose_core.benchmark.poses import STYLE
from sdfpose_core.categories import default_categories
from sdfpose_core.cli.category_choice import usable_categories
from sdfpose_core.cli.execution import execute
from sdfpose_core.cli.numbers import integer
from sdfpose_core.cli.output import print_problems
from sdfpose_core.cli.paths import check_input_folder, check_output_folder
from sdfpose_core.estimation.confidence import CONFIDENCE_FILE, ConfidenceModel
from sdfpose_core.estimation.estimator import EstimatorConfig, PoseEstimator
from sdfpose_core.evaluation import (
    expected_calibration_error,
    ranking_auroc,
    rotation_error_deg,
    translation_error_m,
)
from sdfpose_core.observation.frame import Instance, ObjectEstimate
from sdfpose_core.shapes.families import HELD_OUT_SEED
from sdfpose_core.simulation.instances import SimulatedInstance, simulated_instances

# Disjoint from the models for encoder validation and for benchmarks.
MODELS = range(HELD_OUT_SEED + 10_000, HELD_OUT_SEED + 10_060)

RIGHT_DEG, RIGHT_M = 10.0, 0.05

TABLE, ANYHOW, FOREIGN = 0.7, 0.2, 0.1
"""Shares of views as in the benchmark, as in training, and of another category's objects."""

Check = Callable[[ObjectEstimate], bool]


def is_correct(estimate: ObjectEstimate, item: SimulatedInstance) -> bool:
    """Check whether a pose is within 10 degrees and 5 cm."""
    degrees = rotation_error_deg(
        estimate.rotation, item.truth.rotation, item.truth.symmetric_about_y
    )
    metres = translation_error_m(estimate.translation, item.truth.translation)
    return bool(degrees <= RIGHT_DEG and metres <= RIGHT_M)


def view_counts(others: Sequence[str], views: int) -> list[int]:
    """Return the numbers of views of the benchmark, of training, and of each other category."""
    foreign = max(1, round(FOREIGN * views / max(len(others), 1)))
    counts = [max(1, round(share * views)) for share in (TABLE, ANYHOW)]
    return counts + [foreign] * len(others)


def cases(category: str, others: Sequence[str], views: int) -> Iterator[tuple[Instance, Check]]:
    """Generate instances to estimate, each with a function that checks its estimate.

    Most views are like those of the benchmark, some like those of training, in which objects are
    also held in the air. Some objects belong to another category than their label; no estimate of
    these is right.
    """
    on_table, anyhow, *foreign = view_counts(others, views)
    streams = (
        simulated_instances(category, 1, on_table, model_seeds=MODELS, style=STYLE),
        simulated_instances(category, 2, anyhow, model_seeds=MODELS),
    )
    for stream in streams:
        for item in stream:
            yield item.instance, partial(is_correct, item=item)
    for other, count in zip(others, foreign, strict=True):
        for item in simulated_instances(other, 3, count, model_seeds=MODELS, style=STYLE):
            yield replace(item.instance, category=category), lambda estimate: False


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True, help="weights folder")
    parser.add_argument("--views", type=integer(), default=200, help="views per category")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--threads", type=integer(0), default=0, help="CPU threads, 0 for all cores"
    )
    args = parser.parse_args()
    check_input_folder("--weights", args.weights, "CATEGORY.encoder.safetensors")
    check_output_folder("--weights", args.weights)
    problems: list[str] = []
    names = usable_categories(
        default_categories(),
        None,
        problems,
        family=True,
        networks=("decoder", "encoder"),
        weights=args.weights,
    )
    print_problems(problems)
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    estimator = PoseEstimator(
        EstimatorConfig(weights_dir=args.weights, device=args.device),
        confidence=ConfidenceModel.unfitted(),
    )
    features: list[dict[str, float]] = []
    success: list[bool] = []
    for category in names:
        others = [x for x in names if x != category]
        stream = cases(category, others, args.views)
        total = sum(view_counts(others, args.views))
        for instance, evaluate_case in track(stream, description=category, total=total):
            for estimate in estimator.estimate([instance]).estimates:
                features.append(dict(estimate.diagnostics))
                success.append(evaluate_case(estimate))
    # Test a model fitted to every second view on the others; the shipped model uses all views.
    half_model = ConfidenceModel.fit(features[::2], success[::2])
    probability = np.array([half_model.probability(x) for x in features[1::2]])
    right = np.array(success[1::2])
    ConfidenceModel.fit(features, success).save(args.weights / CONFIDENCE_FILE)
    print(
        json.dumps(
            {
                "views": len(success),
                "right_percent": 100.0 * float(np.mean(success)),
                "ece": expected_calibration_error(probability, right),
                "auroc": ranking_auroc(probability, right),
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(execute("calibrate_confidence", main))
