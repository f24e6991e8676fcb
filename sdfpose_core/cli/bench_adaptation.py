"""The work of `sdfpose bench adaptation`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from sdfpose_core.benchmark.adaptation import (
    ROWS,
    AdaptationPlan,
    AdaptationRun,
    adapt_and_measure,
    split_models,
    summarise_adaptation,
)
from sdfpose_core.benchmark.mesh_folder import mesh_files
from sdfpose_core.benchmark.pose_figures import MEASURES
from sdfpose_core.cli.category_choice import usable_categories
from sdfpose_core.cli.output import (
    measure_heading,
    new_table,
    print_problems,
    wide_console,
    write_json,
)
from sdfpose_core.cli.paths import check_input_folder, check_output_file
from sdfpose_core.cli.progress import progress_bar
from sdfpose_core.device import resolve_device
from sdfpose_core.encoder.fast import FastEncoder
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.packs.collection import Packs
from sdfpose_core.processes import end_with_parent
from sdfpose_core.weights import weights_file

__all__ = ["run"]

_QUICK = AdaptationPlan(unlabelled=60, tested=40, refined=10, synthetic=200, seconds=25.0)
_MIN_MESHES = 2

_TITLES = {
    "before": "before",
    "after_paper": "paper losses",
    "after": "certified",
    "supervised": "supervised",
}


def run(args: argparse.Namespace) -> int:
    """Run the benchmark.

    Raises:
        SdfposeError: An argument is invalid, or the weights or meshes cannot be used.
    """
    check_output_file("--json", args.json)
    check_input_folder("--data", args.data, "meshes/CATEGORY/NAME.obj")
    plan = _QUICK if args.quick else AdaptationPlan()
    seeds = range(1 if args.quick else args.seeds)
    problems: list[str] = []
    names = usable_categories(Packs.beside_shipped(), args.category, problems, family=True)
    files = mesh_files(args.data, names, problems)
    usable = [name for name in names if len(files[name]) >= _MIN_MESHES]
    left_out = [name for name in names if name not in usable]
    if not usable:
        raise ConfigurationError(
            f"{args.data}: no category has {_MIN_MESHES} meshes: expected at least one to "
            "train on and one to evaluate on"
        )
    missing = [x for x in usable if not weights_file(x, "encoder", args.start).is_file()]
    if missing:
        raise ConfigurationError(
            f"{args.start}: no encoder of {', '.join(missing)}: train it with "
            "training/pretrain.py --config config/training/encoder_mild.yaml and give its folder "
            "as --start"
        )
    runs: list[AdaptationRun] = []
    with (
        progress_bar() as bar,
        ProcessPoolExecutor(args.workers, get_context("spawn"), end_with_parent) as pool,
    ):
        task = bar.add_task("runs", total=len(usable) * len(seeds))
        jobs = [
            pool.submit(_run_one, name, files[name], args.start, args.device, plan, seed)
            for seed in seeds
            for name in usable
        ]
        for job in as_completed(jobs):
            if job.exception() is not None:
                pool.shutdown(wait=False, cancel_futures=True)
            finished, reported = job.result()
            problems += [x for x in reported if x not in problems]
            runs.append(finished)
            bar.advance(task)
    runs.sort(key=lambda x: (names.index(x.category), x.seed))
    document = summarise_adaptation(runs, left_out) | {"problems": problems}
    if args.json is not None:
        write_json(args.json, document)
    print_problems(problems)
    _print(document)
    return 0


def _run_one(
    name: str, files: Sequence[Path], start: Path, device: str, plan: AdaptationPlan, seed: int
) -> tuple[AdaptationRun, list[str]]:
    """Run one category with one seed; the entry point of a worker process."""
    torch.set_num_threads(1)
    problems: list[str] = []
    training, test = split_models(files, name, problems)
    if not training or not test:
        raise ConfigurationError(
            f"{name}: {len(training) + len(test)} usable meshes: expected at least "
            f"{_MIN_MESHES} ({'; '.join(problems)})"
        )
    torch_device = resolve_device(device)
    model = CategoryModel.load(Packs.beside_shipped()[name], "none", torch_device)
    encoder = FastEncoder.load(weights_file(name, "encoder", start), torch_device)
    model = replace(model, encoder=encoder)
    finished = adapt_and_measure(model, training, test, plan, seed)
    if not finished.steps["after"]:
        problems.append(
            f"{name}, seed {seed}: too few certified instances; the network was not trained"
        )
    return finished, problems


def _print(document: Mapping[str, Any]) -> None:
    console = wide_console()
    for title, rows in (("network only", document), ("refined", document["refined"])):
        table = new_table(f"sdfpose bench adaptation: {title}")
        table.add_column("", overflow="fold")
        figures = ("rot.\ndeg", "trans.\ncm", "Cham-\nfer mm")
        for heading in (*map(measure_heading, MEASURES), *figures):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in ROWS:
            mean, spread = rows[row]["mean"], rows[row]["spread"]
            table.add_row(
                _TITLES[row],
                *(f"{mean[x]:.1f}\n±{spread[x]:.1f}" for x in MEASURES),
                *(
                    "-" if mean[x] is None else f"{mean[x]:.2f}"
                    for x in ("rot_median_deg", "trans_median_cm", "chamfer_median_mm")
                ),
            )
        console.print(table)
    for measure, gap in document["gap_closed"].items():
        if gap["after"] is None:
            line = f"{measure}: labels do not help ({gap['points']:.1f} points)"
        else:
            line = (
                f"{measure}: certified labels close {100 * gap['after']:.0f} % and SSC-6D's "
                f"losses {100 * gap['after_paper']:.0f} % of the gap of {gap['points']:.1f} points"
            )
        console.print(line, highlight=False)
    for category, (low, high) in document["change"].items():
        console.print(
            f"{category}: share within 10 deg and 5 cm changes by {low:+.1f} to {high:+.1f} points "
            "(95 % interval)",
            highlight=False,
        )
    if document["left_out"]:
        console.print(f"skipped, too few meshes: {', '.join(document['left_out'])}")
