"""`sdfpose eval nocs`: score predictions in the format of the NOCS benchmark."""

from __future__ import annotations

import argparse
from typing import Any

from sdfpose_core.cli.choices import add_protocol_arguments
from sdfpose_core.cli.output import (
    add_json_argument,
    precision_table,
    print_problems,
    wide_console,
    write_json,
)
from sdfpose_core.cli.paths import check_input_folder, check_output_file, path_argument
from sdfpose_core.datasets.nocs_results import read_nocs_results
from sdfpose_core.evaluation.nocs_results import average_metrics, figures

__all__ = ["add_parser", "run"]


def add_parser(evaluations: Any) -> None:
    """Declare the evaluation's arguments."""
    parser = evaluations.add_parser(
        "nocs",
        help="score predictions in the format of the NOCS benchmark",
        description=(
            "Compute the average precision of predictions from result pickles, one per image, in "
            "the format of NOCS and its successors. Several folders are treated as repeated runs: "
            "their mean and standard deviation are reported."
        ),
        epilog="Example: sdfpose eval nocs results/run1 results/run2 --json scores.json",
    )
    parser.add_argument(
        "results",
        type=path_argument,
        nargs="+",
        metavar="RESULTS_DIR",
        help="folder of result pickles; several folders are repeated runs",
    )
    add_protocol_arguments(parser)
    add_json_argument(parser)
    parser.set_defaults(evaluation=run)


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
