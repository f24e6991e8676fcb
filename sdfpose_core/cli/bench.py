"""`sdfpose bench`: measure accuracy and speed.

Other packages add benchmarks as entry points of the group `sdfpose.benchmarks`: modules with
``add_parser(benchmarks)``, which sets the default ``benchmark`` to what is to be run.
"""

from __future__ import annotations

import argparse
from importlib import metadata
from typing import Any

from sdfpose_core.cli import bench_adaptation, bench_pose, bench_shapes

__all__ = ["add_parser", "run"]

_GROUP = "sdfpose.benchmarks"


def add_parser(subparsers: Any) -> None:
    """Declare the command's benchmarks."""
    parser = subparsers.add_parser(
        "bench", help="measure accuracy and speed", description="Measure accuracy and speed."
    )
    benchmarks = parser.add_subparsers(title="benchmarks", metavar="BENCHMARK", required=True)
    bench_adaptation.add_parser(benchmarks)
    bench_pose.add_parser(benchmarks)
    bench_shapes.add_parser(benchmarks)
    for point in metadata.entry_points(group=_GROUP):
        point.load().add_parser(benchmarks)


def run(args: argparse.Namespace) -> int:
    """Run the benchmark that was asked for.

    Raises:
        SdfposeError: an argument is wrong, or weights or data cannot be used.
    """
    return int(args.benchmark(args))
