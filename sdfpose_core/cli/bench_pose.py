"""`sdfpose bench pose`: measure accuracy, calibration and speed of pose estimation."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from sdfpose_core.benchmark.mesh_folder import mesh_files
from sdfpose_core.benchmark.outcomes import PoseOutcome
from sdfpose_core.benchmark.pose_figures import summarise, summarise_categories
from sdfpose_core.benchmark.poses import (
    mesh_cases,
    real_cases,
    real_folders,
    run_cases,
    synthetic_cases,
)
from sdfpose_core.benchmark.sequences import SEQUENCES, summarise_sequences, track_sequence
from sdfpose_core.cli.bench_pose_tables import (
    print_categories,
    print_instances,
    print_poses,
    print_tracking,
)
from sdfpose_core.cli.category_choice import given_packs, usable_categories
from sdfpose_core.cli.choices import (
    add_depth_unit_argument,
    add_estimator_arguments,
    add_threads_argument,
    estimator_config,
)
from sdfpose_core.cli.numbers import integer, seed
from sdfpose_core.cli.output import add_json_argument, print_problems, write_json
from sdfpose_core.cli.paths import check_input_folder, check_output_file, path_argument
from sdfpose_core.cli.progress import progress_bar
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.estimation.estimator import EstimatorConfig, PoseEstimator
from sdfpose_core.estimation.mode_ranking import ModeRanking

__all__ = ["add_parser", "run"]

_INSTANCES = 300
"""Default number of instances per category."""

_NEEDS_DATA = ("meshes", "real")

_PARTS: dict[str, Callable[[EstimatorConfig], EstimatorConfig]] = {
    "support": lambda x: replace(
        x, solver=replace(x.solver, support_weight=0.0, contact_weight=0.0)
    ),
    "free-space": lambda x: replace(x, solver=replace(x.solver, free_space_weight=0.0)),
    "rotation-prior": lambda x: replace(
        x, network_prior=replace(x.network_prior, rotation_weight=0.0)
    ),
    "shape-prior": lambda x: replace(
        x, network_prior=replace(x.network_prior, shape_sd_factor=math.inf)
    ),
    "yaw-starts": lambda x: replace(x, yaw_starts=0),
    "half-turns": lambda x: replace(x, half_turns=False),
    "upright": lambda x: replace(x, upright="free"),
    "colour": lambda x: replace(x, colour="none"),
}
"""Parts of the estimator that its configuration can switch off."""

_RANKING = "ranking"
"""Without the fitted ranking of the modes, the cost and the network's density decide."""

_FORMER_PARTS = {"belief": "rotation-prior", "shape-belief": "shape-prior", "turns": "yaw-starts"}
"""Former names of parts, still accepted."""


def add_parser(benchmarks: Any) -> None:
    """Declare the benchmark's arguments."""
    parser = benchmarks.add_parser(
        "pose",
        help="measure accuracy, calibration and speed of pose estimation",
        description=(
            "Estimate instances with known poses, each from a single image and its mask. Average "
            "precisions are in per cent and follow the NOCS benchmark with oriented boxes: "
            "detections are ordered by confidence, and a missed object lowers the recall."
        ),
        epilog="Example: sdfpose bench pose --suite synthetic --category mug can --count 50",
    )
    parser.add_argument(
        "--suite",
        required=True,
        choices=("synthetic", "meshes", "real", "sequence"),
        help=(
            "synthetic: unseen procedural objects on simulated tables; meshes: the meshes of "
            "--data on simulated tables; real: the labelled frames of --data; sequence: tracking "
            "of moving simulated objects"
        ),
    )
    parser.add_argument(
        "--data",
        type=path_argument,
        metavar="DIR",
        help="folder with meshes/CATEGORY/NAME.obj (suite meshes) or frames/NAME/ (suite real)",
    )
    parser.add_argument("--category", nargs="+", metavar="NAME", help="categories (default: all)")
    parser.add_argument(
        "--count",
        type=integer(),
        help=(
            f"simulated instances per category (default: {_INSTANCES}), or number of sequences "
            f"for the suite sequence (default: {SEQUENCES})"
        ),
    )
    parser.add_argument(
        "--seed", type=seed, default=0, help="random seed of the test set (default: 0)"
    )
    add_estimator_arguments(parser, device="cpu")
    add_depth_unit_argument(parser)
    parser.add_argument(
        "--any",
        action="store_true",
        help="do not tell the category: all categories are tried",
    )
    parser.add_argument(
        "--without",
        nargs="+",
        default=[],
        type=_part,
        choices=(*_PARTS, _RANKING),
        metavar="PART",
        help=(
            f"switch off parts of the estimator, for an ablation: {', '.join((*_PARTS, _RANKING))}"
        ),
    )
    add_json_argument(parser)
    parser.add_argument(
        "--save-outcomes",
        type=path_argument,
        metavar="FILE",
        help=(
            "write the errors of each instance as JSON; instances of runs with the same suite, "
            "categories, count and seed are the same, in the same order"
        ),
    )
    add_threads_argument(parser)
    parser.set_defaults(benchmark=run)


def run(args: argparse.Namespace) -> int:
    """Run one suite.

    Raises:
        SdfposeError: An argument is invalid, or the weights or data cannot be used.
    """
    if args.count is None:
        args.count = SEQUENCES if args.suite == "sequence" else _INSTANCES
    check_output_file("--json", args.json)
    check_output_file("--save-outcomes", args.save_outcomes)
    if args.suite in _NEEDS_DATA:
        if args.data is None:
            raise ConfigurationError(f"--suite {args.suite} needs --data DIR")
        layout = "frames/NAME" if args.suite == "real" else "meshes/CATEGORY/NAME.obj"
        check_input_folder("--data", args.data, layout)
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    estimator = _estimator(args)
    problems: list[str] = []
    names = usable_categories(
        estimator.packs,
        args.category,
        problems,
        family=args.suite not in _NEEDS_DATA,
    )
    candidates = names
    if args.any:
        candidates = list(estimator.packs)
    for name in candidates:
        estimator.load(name)
    if args.suite == "sequence":
        figures, outcomes = _tracked(args, estimator, names)
    else:
        figures, outcomes = _estimated(args, estimator, names, candidates, problems)
    document = {"suite": args.suite, **figures, "problems": problems}
    if args.save_outcomes is not None:
        write_json(args.save_outcomes, {"outcomes": [_instance(x) for x in outcomes]})
    if args.json is not None:
        write_json(args.json, document)
    print_problems(problems)
    _print(document)
    return 0


def _print(document: dict[str, Any]) -> None:
    if "instances" in document:
        print_instances(document["instances"])
    print_poses(document)
    if "confusion" in document:
        print_categories(document)
    if "flips" in document:
        print_tracking(document)


def _estimator(args: argparse.Namespace) -> PoseEstimator:
    config = estimator_config(args)
    for part in args.without:
        if part != _RANKING:
            config = _PARTS[part](config)
    ranking = None
    if _RANKING in args.without:
        ranking = ModeRanking.by_cost(config.network_prior.rotation_weight)
    return PoseEstimator(config, given_packs(args), ranking=ranking)


def _estimated(
    args: argparse.Namespace,
    estimator: PoseEstimator,
    names: Sequence[str],
    candidates: Sequence[str],
    problems: list[str],
) -> tuple[dict[str, Any], list[PoseOutcome]]:
    """Compute the figures of a suite of single images; for the arguments, see `_outcomes`."""
    found = _outcomes(args, estimator, names, candidates, problems)
    outcomes = [x for some in found.values() for x in some]
    if not outcomes:
        reasons = "; ".join(["no usable instance", *problems[:1]])
        raise ConfigurationError(f"--suite {args.suite}: {args.data or ''}: {reasons}")
    figures = summarise(found)
    if args.any:
        figures |= summarise_categories(found)
    if args.suite == "real":
        figures["instances"] = [_instance(x) for x in outcomes]
    return figures, outcomes


def _outcomes(
    args: argparse.Namespace,
    estimator: PoseEstimator,
    names: Sequence[str],
    candidates: Sequence[str],
    problems: list[str],
) -> dict[str, list[PoseOutcome]]:
    """Estimate the instances of a suite one by one; only the outcomes are kept in memory.

    Args:
        args: of the command.
        estimator: estimator to measure.
        names: categories of the instances.
        candidates: categories that are tried if the estimator is not told.
        problems: receives a message for each skipped mesh, frame and instance.
    """
    colour = estimator.uses_colour
    outcomes: dict[str, list[PoseOutcome]] = {name: [] for name in names}
    with progress_bar() as bar:
        if args.suite == "real":
            folders = real_folders(args.data)
            task = bar.add_task("frames", total=len(folders))
            cases = real_cases(
                folders,
                estimator.categories,
                names,
                problems,
                colour=colour,
                depth_unit=args.depth_unit,
                category_known=not args.any,
                progress=partial(bar.advance, task),
            )
            for outcome in run_cases(estimator, cases):
                outcomes[outcome.truth.category].append(outcome)
                estimator.shapes.forget()
            return outcomes
        files = mesh_files(args.data, names, problems) if args.suite == "meshes" else {}
        for name in names:
            if args.suite == "synthetic":
                cases = synthetic_cases(name, args.count, args.seed, colour=colour)
            elif files[name]:
                cases = mesh_cases(
                    files[name],
                    name,
                    args.count,
                    args.seed,
                    problems,
                    colour=colour,
                    categories=estimator.categories,
                )
            else:
                continue
            if args.any:
                cases = (x.of_unknown_category(candidates) for x in cases)
            task = bar.add_task(name, total=args.count)
            for outcome in run_cases(estimator, cases, progress=partial(bar.advance, task)):
                outcomes[name].append(outcome)
                estimator.shapes.forget()
            bar.update(task, total=len(outcomes[name]))
    return outcomes


def _part(name: str) -> str:
    """Return the current name of a part; former names are accepted."""
    return _FORMER_PARTS.get(name, name)


def _tracked(
    args: argparse.Namespace, estimator: PoseEstimator, names: Sequence[str]
) -> tuple[dict[str, Any], list[PoseOutcome]]:
    """Compute the figures of the suite of sequences."""
    with progress_bar() as bar:
        task = bar.add_task("sequences", total=args.count)
        sequences = [
            track_sequence(
                estimator,
                names,
                number,
                args.seed,
                category_known=not args.any,
                progress=partial(bar.advance, task),
            )
            for number in range(args.count)
        ]
    figures = summarise_sequences(sequences)
    return figures, [x for sequence in sequences for x in sequence.tracked]


def _instance(outcome: PoseOutcome) -> dict[str, Any]:
    reported = outcome.reported
    return {
        "name": outcome.name,
        "category": outcome.truth.category,
        "reported_category": None if reported is None else reported.category,
        "rot_err_deg": outcome.degrees,
        "trans_err_cm": outcome.centimetres,
        "iou": outcome.iou,
        "confidence": outcome.confidence,
        "right_rank": outcome.right_rank,
    }
