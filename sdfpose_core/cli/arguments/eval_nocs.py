"""`sdfpose eval nocs`: score predictions in the format of the NOCS benchmark."""

from __future__ import annotations

from typing import Any

from sdfpose_core.cli.arguments.work import run_of
from sdfpose_core.cli.choices import add_protocol_arguments
from sdfpose_core.cli.output import add_json_argument
from sdfpose_core.cli.paths import path_argument

__all__ = ["add_parser"]


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
    parser.set_defaults(evaluation=run_of("sdfpose_core.cli.eval_nocs"))
