"""`sdfpose bench node`: rate and latency of the pose node in a running graph."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from sdfpose_core.cli.output import write_json
from sdfpose_core.errors import ConfigurationError
from sdfpose_ros.cli.ros_arguments import add_ros_arguments, prepare_middleware

__all__ = ["add_parser", "run"]


def add_parser(benchmarks: Any) -> None:
    """Declare the benchmark's arguments."""
    parser = benchmarks.add_parser(
        "node",
        help="rate and latency of the pose node in a running graph",
        description=(
            "Run a simulated camera, whose frames are made before, and the pose node as processes "
            "of a ROS 2 graph; measure how many results come, how long after their image, and what "
            "became of every frame."
        ),
    )
    parser.add_argument(
        "--objects", type=int, default=4, help="on the table, 1 to 6 (default: %(default)s)"
    )
    parser.add_argument(
        "--rate", type=float, default=30.0, help="frames per second (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds", type=float, default=30.0, help="of the measurement (default: %(default)s)"
    )
    parser.add_argument(
        "--warm-up",
        type=float,
        default=10.0,
        metavar="S",
        help="seconds between the first result and the measurement (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=7, help="of the scene (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument(
        "--logs",
        type=Path,
        default=Path("out/bench_node"),
        help="folder of the processes' logs (default: %(default)s)",
    )
    add_ros_arguments(parser)
    parser.set_defaults(benchmark=run)


def run(args: argparse.Namespace) -> int:
    """Run the benchmark; gives the exit status: 0 if every frame is accounted for.

    Raises:
        SdfposeError: an argument is wrong, or the graph does not work.
    """
    if args.rate <= 0.0 or args.seconds <= 0.0 or args.warm_up < 0.0:
        raise ConfigurationError("--rate, --seconds, --warm-up: expected numbers above 0")
    prepare_middleware(args)
    from sdfpose_ros.evaluation.node_benchmark import NodeBenchmark, benchmark_node

    console = Console()
    figures = benchmark_node(
        NodeBenchmark(
            log_dir=args.logs.resolve(),
            objects=args.objects,
            rate_hz=args.rate,
            seconds=args.seconds,
            warm_up_s=args.warm_up,
            seed=args.seed,
            node_arguments=tuple(args.ros_args),
        ),
        lambda line: console.print(f"bench node: {line}", highlight=False),
    )
    console.print(_table(figures))
    if args.json is not None:
        write_json(args.json, figures)
    return 0 if figures["unaccounted"] == 0 else 1


def _table(figures: dict[str, Any]) -> Table:
    table = Table(title=f"Pose node, {figures['objects']} objects", title_justify="left")
    table.add_column("")
    table.add_column("", justify="right")
    table.add_row("images, Hz", f"{figures['input_hz']:.1f}")
    table.add_row("results, Hz", f"{figures['output_hz']:.1f}")
    table.add_row("latency, median, ms", f"{figures['latency_ms']['p50']:.0f}")
    table.add_row("latency, 95 %, ms", f"{figures['latency_ms']['p95']:.0f}")
    table.add_row("of one core, %", f"{figures['cpu_percent']:.0f}")
    table.add_row("memory of the node, MiB", f"{figures['rss_mib']:.0f}")
    for name in ("processed", "dropped", "unaccounted"):
        table.add_row(f"frames {name}", str(figures[name]))
    return table
