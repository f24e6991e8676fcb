"""`sdfpose bench`: measure accuracy and speed.

Other packages add benchmarks as entry points of the group `sdfpose.benchmarks`: modules with a
function ``add_parser(benchmarks)``, which sets the parser's default ``benchmark`` to the function
to run.
"""

from __future__ import annotations

import argparse
from importlib import metadata
from typing import Any

from sdfpose_core.cli.arguments import (
    bench_adaptation,
    bench_categories,
    bench_grasps,
    bench_masks,
    bench_pose,
    bench_rejection,
    bench_shapes,
    bench_world,
)

__all__ = ["add_parser", "run"]

_GROUP = "sdfpose.benchmarks"


def add_parser(subparsers: Any) -> None:
    """Add the parsers of all benchmarks."""
    parser = subparsers.add_parser(
        "bench",
        help="measure accuracy and speed",
        description="Measure accuracy and speed.",
        epilog="Run 'sdfpose bench BENCHMARK --help' for the options of a benchmark.",
    )
    benchmarks = parser.add_subparsers(title="benchmarks", metavar="BENCHMARK", required=True)
    bench_adaptation.add_parser(benchmarks)
    bench_categories.add_parser(benchmarks)
    bench_grasps.add_parser(benchmarks)
    bench_masks.add_parser(benchmarks)
    bench_pose.add_parser(benchmarks)
    bench_rejection.add_parser(benchmarks)
    bench_shapes.add_parser(benchmarks)
    bench_world.add_parser(benchmarks)
    for point in metadata.entry_points(group=_GROUP):
        point.load().add_parser(benchmarks)


def run(args: argparse.Namespace) -> int:
    """Run the chosen benchmark.

    Raises:
        SdfposeError: An argument is invalid, or the weights or data cannot be used.
    """
    return int(args.benchmark(args))
