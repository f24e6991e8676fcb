#!/usr/bin/env python3
"""Evaluate poses on prepared images with ground truth.

    python training/evaluate.py --data PREPARED --part Real/test --weights WEIGHTS --json FILE
    python training/evaluate.py --data PREPARED --part Real/test --refine icp --shard 1/4 ...
    python training/evaluate.py --data PREPARED --part Real/test --nocs RESULTS

The figures are those of `sdfpose bench pose`: average precision by the rules of the NOCS benchmark,
with the masks of the data and oriented boxes; misses count. ``--nocs`` writes objects and estimates
in the format of the NOCS repositories, for `sdfpose eval nocs` and other evaluators.
"""

from __future__ import annotations

import sdfpose_core  # isort: skip  # noqa: F401  # sets how threads wait before torch is loaded

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from rich.progress import Progress

from sdfpose_core.benchmark.poses import PoseCase, PoseOutcome, run_cases, summarise
from sdfpose_core.categories import default_categories
from sdfpose_core.cli.choices import (
    add_estimator_arguments,
    add_threads_argument,
    estimator_config,
    shard_of,
)
from sdfpose_core.cli.execution import execute
from sdfpose_core.cli.output import print_problems, write_json
from sdfpose_core.cli.paths import (
    check_input_folder,
    check_output_file,
    check_output_folder,
)
from sdfpose_core.datasets.nocs_preparation import prepared_instances
from sdfpose_core.datasets.nocs_results import write_nocs_result
from sdfpose_core.errors import ConfigurationError, FrameError
from sdfpose_core.estimation.estimator import PoseEstimator
from sdfpose_core.evaluation.frame_metrics import nocs_result


def cases_of(data: Path, part: str, category: str, problems: list[str]) -> list[PoseCase]:
    """Load the instances that have a pose."""
    return [
        PoseCase(f"{x.image}/{x.truth.instance}", x.instance, x.truth)
        for x in prepared_instances(data, part, category, problems)
        if x.truth is not None
    ]


def write_results(folder: Path, outcomes: Mapping[str, Sequence[PoseOutcome]]) -> int:
    """Write one pickle in NOCS format per image; return their number."""
    images: dict[str, list[PoseOutcome]] = {}
    for outcome in (x for some in outcomes.values() for x in some):
        images.setdefault(outcome.name.rpartition("/")[0], []).append(outcome)
    for image, some in images.items():
        reported = [x.reported for x in some if x.reported is not None]
        result = nocs_result(image, reported, [x.truth for x in some])
        write_nocs_result(folder / f"{image.replace('/', '_')}.pkl", result)
    return len(images)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the prepared data")
    parser.add_argument("--part", required=True, help="part of the data, e.g. Real/test")
    parser.add_argument("--category", nargs="+", metavar="NAME", help="only these categories")
    parser.add_argument("--shard", type=shard_of, default=(0, 1), metavar="i/n")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--nocs", type=Path, metavar="DIR", help="write results in NOCS format")
    add_threads_argument(parser)
    add_estimator_arguments(parser, device="auto")
    args = parser.parse_args(arguments)
    if args.nocs is not None and args.shard[1] > 1:
        raise ConfigurationError(
            "--nocs with --shard: expected only one of them, because a shard has only some of the "
            "objects of an image"
        )
    check_output_file("--json", args.json)
    check_output_folder("--nocs", args.nocs)
    check_input_folder("--data", args.data, "prepared data")
    check_input_folder("--part", args.data / args.part, "prepared images")
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    categories = default_categories()
    names = [categories[name].name for name in args.category or categories]
    estimator = PoseEstimator(estimator_config(args), categories)
    problems: list[str] = []
    outcomes: dict[str, list[PoseOutcome]] = {}
    with Progress() as bar:
        for name in names:
            try:
                cases = cases_of(args.data, args.part, name, problems)
            except FrameError as error:
                problems.append(str(error))
                continue
            cases = cases[args.shard[0] :: args.shard[1]]
            task = bar.add_task(name, total=len(cases))
            outcomes[name] = list(run_cases(estimator, cases, progress=partial(bar.advance, task)))
    if not any(outcomes.values()):
        raise FrameError(f"{args.data / args.part}: no instance has a pose: expected labelled data")
    document = {"part": args.part, "left_out": len(problems)} | summarise(outcomes)
    if args.json is not None:
        write_json(args.json, document)
    if args.nocs is not None:
        print(f"{write_results(args.nocs, outcomes)} results written to {args.nocs}")
    print_problems(problems, "evaluate")
    print(json.dumps(document["mean"]))
    return 0


if __name__ == "__main__":
    sys.exit(execute("evaluate", main))
