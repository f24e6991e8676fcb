"""The work of `sdfpose bench categories`."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sdfpose_core.benchmark.decoys import write_decoys
from sdfpose_core.benchmark.many_categories import (
    load_categories,
    run_screen,
    summarise_loading,
    summarise_screen,
)
from sdfpose_core.benchmark.poses import synthetic_cases
from sdfpose_core.cli.category_choice import given_packs, usable_categories
from sdfpose_core.cli.choices import estimator_config
from sdfpose_core.cli.output import (
    new_table,
    print_problems,
    wide_console,
    write_json,
)
from sdfpose_core.cli.paths import check_output_file
from sdfpose_core.cli.progress import progress_bar
from sdfpose_core.device import set_threads
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.estimation.estimator import PoseEstimator
from sdfpose_core.packs.collection import Packs

__all__ = ["run"]


_COLUMNS = {
    "tried": "tried",
    "kept": "kept\n%",
    "kept_kin": "kin\nkept %",
    "right": "right\n%",
    "right_kin": "kin\nright %",
    "ms": "ms",
    "ms_p95": "95 %\nms",
}


def run(args: argparse.Namespace) -> int:
    """Run the benchmark of many categories.

    Raises:
        SdfposeError: An argument is invalid, or the weights cannot be used.
    """
    check_output_file("--json", args.json)
    numbers = sorted(set(args.numbers))
    packs = given_packs(args)
    if numbers[0] < len(packs):
        raise ConfigurationError(
            f"--numbers {numbers[0]}: expected at least {len(packs)}, the number of packs"
        )
    if args.threads:
        set_threads(args.threads)
    problems: list[str] = []
    names = usable_categories(packs, args.category, problems, family=True)
    with tempfile.TemporaryDirectory() as folder:
        document = _measure(args, packs, names, numbers, Path(folder))
    if args.json is not None:
        write_json(args.json, document | {"problems": problems})
    print_problems(problems)
    _print(document)
    return 0


def _measure(
    args: argparse.Namespace,
    packs: Packs,
    names: Sequence[str],
    numbers: Sequence[int],
    folder: Path,
) -> dict[str, Any]:
    """The figures of loading, and those of detection by number of categories.

    Args:
        args: of the command.
        packs: without decoys.
        names: categories of the objects.
        numbers: of categories, ascending.
        folder: where decoys are written.
    """
    write_decoys(folder, packs, numbers[-1] - len(packs))
    decoys = [folder] if numbers[-1] > len(packs) else []
    estimator = PoseEstimator(
        estimator_config(args), Packs.beside_shipped([*args.weights, *decoys])
    )
    order = [*packs, *(x for x in estimator.packs if x not in packs)]
    # First, as memory that other work leaves free would be used again.
    costs = load_categories(estimator, order)
    colour, count = estimator.uses_colour, args.count
    cases = [x for name in names for x in synthetic_cases(name, count, args.seed, colour=colour)]
    rows = {}
    with progress_bar() as bar:
        task = bar.add_task("detections", total=len(numbers) * len(cases))
        for number in numbers:
            outcomes = run_screen(
                estimator, order[:number], cases, progress=partial(bar.advance, task)
            )
            rows[str(number)] = summarise_screen(outcomes)
    return {"loading": summarise_loading(costs), "categories": rows}


def _print(document: Mapping[str, Any]) -> None:
    table = new_table("sdfpose bench categories")
    for heading in ("categories", *_COLUMNS.values()):
        table.add_column(heading, justify="right", no_wrap=True)
    for number, row in document["categories"].items():
        table.add_row(number, *(f"{row[key]:.1f}" for key in _COLUMNS))
    console = wide_console()
    console.print(table)
    loading = document["loading"]
    text = f"a category takes {loading['ms']:.0f} ms and {loading['mib']:.1f} MiB to load"
    console.print(f"{text} (medians of {loading['n']})", highlight=False)
