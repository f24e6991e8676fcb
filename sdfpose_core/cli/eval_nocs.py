"""The work of `sdfpose eval nocs`."""

from __future__ import annotations

import argparse

from sdfpose_core.cli.output import (
    precision_table,
    print_problems,
    wide_console,
    write_json,
)
from sdfpose_core.cli.paths import check_input_folder, check_output_file
from sdfpose_core.datasets.nocs_results import read_nocs_results
from sdfpose_core.evaluation.nocs_results import average_metrics, figures

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Score the results.

    Raises:
        ConfigurationError: A folder does not exist, or the JSON file cannot be written.
        FrameError: A folder has no results.
    """
    check_output_file("--json", args.json)
    for folder in args.results:
        check_input_folder("RESULTS_DIR", folder, "result pickles")
    problems: list[str] = []
    runs = []
    for folder in args.results:
        results = read_nocs_results(folder, problems)
        runs.append(figures(results, iou=args.iou, misses=args.misses) | {"images": len(results)})
    document = runs[0] if len(runs) == 1 else average_metrics(runs)
    document |= {"iou": args.iou, "misses": args.misses, "problems": len(problems)}
    if args.json is not None:
        write_json(args.json, document)
    print_problems(problems)
    wide_console().print(precision_table(document))
    return 0
