"""The work of `sdfpose bench pose`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from sdfpose_core.benchmark.ablation import PARTS, RANKING
from sdfpose_core.benchmark.extents import SEQUENCES
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
from sdfpose_core.benchmark.sequences import summarise_sequences, track_sequence
from sdfpose_core.cli.arguments.bench_pose import INSTANCES
from sdfpose_core.cli.bench_pose_tables import (
    print_categories,
    print_instances,
    print_poses,
    print_tracking,
)
from sdfpose_core.cli.category_choice import given_packs, usable_categories
from sdfpose_core.cli.choices import (
    estimator_config,
)
from sdfpose_core.cli.output import print_problems, write_json
from sdfpose_core.cli.paths import check_input_folder, check_output_file
from sdfpose_core.cli.progress import progress_bar
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.estimation.estimator import PoseEstimator
from sdfpose_core.estimation.mode_ranking import ModeRanking

__all__ = ["run"]


_NEEDS_DATA = ("meshes", "real")


def run(args: argparse.Namespace) -> int:
    """Run one suite.

    Raises:
        SdfposeError: An argument is invalid, or the weights or data cannot be used.
    """
    if args.count is None:
        args.count = SEQUENCES if args.suite == "sequence" else INSTANCES
    check_output_file("--json", args.json)
    check_output_file("--save-outcomes", args.save_outcomes)
    if args.suite in _NEEDS_DATA:
        if args.data is None:
            raise ConfigurationError(f"--suite {args.suite} needs --data DIR")
        layout = "frames/NAME" if args.suite == "real" else "meshes/CATEGORY/NAME.obj"
        check_input_folder("--data", args.data, layout)
    if args.camera_poses and args.suite != "sequence":
        raise ConfigurationError(
            f"--camera-poses: the suite {args.suite} has single images: expected --suite sequence"
        )
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
        if part != RANKING:
            config = PARTS[part](config)
    ranking = None
    if RANKING in args.without:
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
                camera_known=args.camera_poses,
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
