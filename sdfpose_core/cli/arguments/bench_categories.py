"""`sdfpose bench categories`: measure what many categories cost, and what the screen keeps."""

from __future__ import annotations

from typing import Any

from sdfpose_core.cli.arguments.procedural_objects import add_object_arguments
from sdfpose_core.cli.arguments.work import run_of
from sdfpose_core.cli.choices import add_estimator_arguments, add_threads_argument
from sdfpose_core.cli.numbers import integer
from sdfpose_core.cli.output import add_json_argument

__all__ = ["add_parser"]


_NUMBERS = (6, 12, 30)


def add_parser(benchmarks: Any) -> None:
    """Declare the benchmark's arguments."""
    parser = benchmarks.add_parser(
        "categories",
        help="measure what many categories cost",
        description=(
            "Detect simulated objects of unknown category among more and more categories: those of "
            "the packs, and decoys, which are copies of them of other sizes and stretched. Prints "
            "how many categories are searched in full, in per cent of the objects whether the true "
            "one is among them and is found (also where decoys of it count), the time of a "
            "detection, and time and memory of loading each category."
        ),
        epilog="Example: sdfpose bench categories --count 20 --numbers 6 30 --json categories.json",
    )
    parser.add_argument(
        "--numbers",
        type=integer(),
        nargs="+",
        default=list(_NUMBERS),
        metavar="N",
        help=f"numbers of categories (default: {' '.join(map(str, _NUMBERS))})",
    )
    add_object_arguments(parser)
    add_json_argument(parser)
    add_estimator_arguments(parser, device="cpu")
    add_threads_argument(parser)
    parser.set_defaults(benchmark=run_of("sdfpose_core.cli.bench_categories"))
