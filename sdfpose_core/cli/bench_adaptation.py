"""`sdfpose bench adaptation`: what a network gains from unlabelled images of another domain."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from sdfpose_core.benchmark.adaptation import (
    ROWS,
    AdaptationPlan,
    AdaptationRun,
    adapt_and_measure,
    split_models,
    summarise_adaptation,
)
from sdfpose_core.benchmark.mesh_folder import mesh_files
from sdfpose_core.benchmark.poses import MEASURES
from sdfpose_core.categories import default_categories
from sdfpose_core.cli.output import write_json
from sdfpose_core.device import resolve_device
from sdfpose_core.encoder.fast import FastEncoder
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.weights import MILD, weights_file

__all__ = ["add_parser", "run"]

_SEEDS = 3
_QUICK = AdaptationPlan(unlabelled=60, tested=40, refined=10, synthetic=200, seconds=25.0)
_FEWEST_MESHES = 2

_TITLES = {
    "before": "before",
    "after_paper": "after, the paper's losses",
    "after": "after, certified",
    "supervised": "with labels",
}


def add_parser(benchmarks: Any) -> None:
    """Declare the benchmark's arguments."""
    parser = benchmarks.add_parser(
        "adaptation",
        help="what a network gains from unlabelled images of another domain",
        description=(
            "Start from networks that know procedural shapes seen by a good camera. Learn from "
            "some of the meshes of --data, seen by a bad one, without labels and with them, and "
            "measure on the other meshes. All ways take the same time."
        ),
    )
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder with meshes/CATEGORY/NAME.obj",
    )
    parser.add_argument("--category", nargs="+", metavar="NAME", help="only these categories")
    parser.add_argument(
        "--start",
        type=Path,
        default=MILD,
        metavar="DIR",
        help="folder of the encoders to start from (default: %(default)s)",
    )
    parser.add_argument(
        "--seeds", type=int, default=_SEEDS, help="repetitions (default: %(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="one seed, fewer views, less time")
    parser.add_argument("--device", default="cpu", help="cpu or cuda[:N] (default: %(default)s)")
    parser.add_argument(
        "--workers", type=int, default=2, help="categories at once (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.set_defaults(benchmark=run)


def run(args: argparse.Namespace) -> int:
    """Run the benchmark.

    Raises:
        SdfposeError: an argument is wrong, or weights or meshes cannot be used.
    """
    if args.seeds < 1 or args.workers < 1:
        raise ConfigurationError(
            f"--seeds is {args.seeds} and --workers {args.workers}: expected at least 1 of both"
        )
    plan = _QUICK if args.quick else AdaptationPlan()
    seeds = range(1 if args.quick else args.seeds)
    categories = default_categories()
    names = [categories[name].name for name in args.category or categories]
    files = mesh_files(args.data, names)
    usable = [name for name in names if len(files[name]) >= _FEWEST_MESHES]
    left_out = [name for name in names if name not in usable]
    if not usable:
        raise ConfigurationError(
            f"{args.data}: no category has {_FEWEST_MESHES} meshes: expected at least one to learn "
            "from and one to measure on"
        )
    lacking = [x for x in usable if not weights_file(x, "encoder", args.start).is_file()]
    if lacking:
        raise ConfigurationError(
            f"{args.start}: holds no encoder to start from of {', '.join(lacking)}: train them "
            "(training/pretrain.py --config config/training/encoder_mild.yaml) and give their "
            "folder as --start"
        )
    errors = Console(stderr=True)
    runs: list[AdaptationRun] = []
    with (
        Progress(console=errors, transient=True) as bar,
        ProcessPoolExecutor(args.workers, mp_context=get_context("spawn")) as pool,
    ):
        task = bar.add_task("runs", total=len(usable) * len(seeds))
        jobs = [
            pool.submit(_one, name, files[name], args.start, args.device, plan, seed)
            for seed in seeds
            for name in usable
        ]
        problems: dict[str, None] = {}
        for job in as_completed(jobs):
            if job.exception() is not None:
                pool.shutdown(wait=False, cancel_futures=True)
            found, told = job.result()
            problems |= dict.fromkeys(told)
            runs.append(found)
            bar.advance(task)
    for problem in problems:
        errors.print(f"sdfpose: {problem}", markup=False, highlight=False, soft_wrap=True)
    runs.sort(key=lambda x: (names.index(x.category), x.seed))
    document = summarise_adaptation(runs, left_out)
    _print(document)
    if args.json is not None:
        write_json(args.json, document)
    return 0


def _one(
    name: str, files: Sequence[Path], start: Path, device: str, plan: AdaptationPlan, seed: int
) -> tuple[AdaptationRun, list[str]]:
    """One category with one seed, in a process of its own."""
    torch.set_num_threads(1)
    problems: list[str] = []
    learnt, measured = split_models(files, name, problems)
    if not learnt or not measured:
        raise ConfigurationError(
            f"{name}: {len(learnt) + len(measured)} meshes can be used: expected at least "
            f"{_FEWEST_MESHES} ({'; '.join(problems)})"
        )
    where = resolve_device(device)
    model = CategoryModel.load(default_categories()[name], "none", None, where)
    encoder = FastEncoder.load(weights_file(name, "encoder", start), where)
    model = replace(model, encoder=encoder)
    found = adapt_and_measure(model, learnt, measured, plan, seed)
    if not found.steps["after"]:
        problems.append(f"{name}, seed {seed}: too few certified instances; nothing was learnt")
    return found, problems


def _print(document: Mapping[str, Any]) -> None:
    console = Console()
    console = console if console.is_terminal else Console(width=140)
    for title, rows in (("the network alone", document), ("refined", document["refined"])):
        table = Table(title=f"sdfpose bench adaptation: {title}", title_justify="left")
        table.add_column("")
        for heading in (*MEASURES, "rot. deg", "trans. cm", "Chamfer mm"):
            table.add_column(heading.replace("_", " "), justify="right")
        for row in ROWS:
            mean, spread = rows[row]["mean"], rows[row]["spread"]
            table.add_row(
                _TITLES[row],
                *(f"{mean[x]:.1f} ± {spread[x]:.1f}" for x in MEASURES),
                *(
                    "-" if mean[x] is None else f"{mean[x]:.2f}"
                    for x in ("rot_median_deg", "trans_median_cm", "chamfer_median_mm")
                ),
            )
        console.print(table)
    for measure, gap in document["gap_closed"].items():
        if gap["after"] is None:
            line = f"{measure}: labels gain nothing ({gap['points']:.1f} points)"
        else:
            line = (
                f"{measure}: of the gap of {gap['points']:.1f} points, {100 * gap['after']:.0f} % "
                f"are closed without labels, {100 * gap['after_paper']:.0f} % by the paper's losses"
            )
        console.print(line, highlight=False)
    for category, (low, high) in document["change"].items():
        console.print(
            f"{category}: change within 10 deg and 5 cm {low:+.1f} to {high:+.1f} points (95 %)",
            highlight=False,
        )
    if document["left_out"]:
        console.print(f"left out, too few meshes: {', '.join(document['left_out'])}")
