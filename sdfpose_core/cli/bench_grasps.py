"""The work of `sdfpose bench grasps`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from itertools import chain
from typing import Any

from sdfpose_core.benchmark.grasps import run_grasps, summarise_grasps
from sdfpose_core.benchmark.poses import synthetic_cases
from sdfpose_core.cli.arguments.grasps import gripper_of
from sdfpose_core.cli.category_choice import given_packs, usable_categories
from sdfpose_core.cli.choices import estimator_config
from sdfpose_core.cli.output import (
    figure,
    new_table,
    note_few_objects,
    print_problems,
    wide_console,
    write_json,
)
from sdfpose_core.cli.paths import check_output_file
from sdfpose_core.cli.progress import progress_bar
from sdfpose_core.device import set_threads
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.estimation.estimator import PoseEstimator
from sdfpose_core.shapes.families import FAMILIES

__all__ = ["run"]


_COLUMNS = {
    "n": "n",
    "with_grasps": "any %",
    "hold": "hold %",
    "hold_confident": "sure %",
    "best_holds": "best %",
    "slip": "slip %",
    "miss": "miss %",
    "collide": "collide %",
    "through_table": "table %",
}


def run(args: argparse.Namespace) -> int:
    """Run the grasp benchmark.

    Raises:
        SdfposeError: An argument is invalid, or the weights cannot be used.
    """
    check_output_file("--json", args.json)
    gripper = gripper_of(args)
    if args.threads:
        set_threads(args.threads)
    packs = given_packs(args)
    problems: list[str] = []
    names = [x for x in usable_categories(packs, args.category, problems) if x in FAMILIES]
    if not names:
        raise ConfigurationError(
            f"--category: no procedural objects of {', '.join(args.category or packs)}: expected "
            f"one of {', '.join(FAMILIES)}"
        )
    estimator = PoseEstimator(estimator_config(args), packs)
    cases = chain.from_iterable(synthetic_cases(x, args.count, args.seed) for x in names)
    with progress_bar() as bar:
        task = bar.add_task("objects", total=args.count * len(names))
        outcomes = list(run_grasps(estimator, cases, gripper, progress=partial(bar.advance, task)))
    document = summarise_grasps(outcomes)
    if args.json is not None:
        write_json(args.json, document)
    print_problems(problems)
    _print(document)
    return 0


def _print(document: Mapping[str, Any]) -> None:
    table = new_table("sdfpose bench grasps")
    table.add_column("category", overflow="fold")
    for heading in _COLUMNS.values():
        table.add_column(heading, justify="right", no_wrap=True)
    rows = {**document["categories"], "all": document["overall"]}
    for name, row in rows.items():
        table.add_row(name, *(figure(row[key]) for key in _COLUMNS))
    note_few_objects(table, (x["n"] for x in document["categories"].values()))
    wide_console().print(table)
