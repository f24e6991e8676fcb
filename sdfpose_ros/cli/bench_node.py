"""`sdfpose bench node`: measure rate and latency of the pose node in a ROS 2 graph."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.table import Table

from sdfpose_core.cli.numbers import integer, positive, real, seed
from sdfpose_core.cli.output import add_json_argument, new_table, wide_console, write_json
from sdfpose_core.cli.paths import check_output_file, check_output_folder, path_argument
from sdfpose_ros.cli.ros_arguments import add_ros_arguments
from sdfpose_ros.graph.middleware import prepare_middleware
from sdfpose_ros.graph.startup import check_ros
from sdfpose_ros.pose.mask_names import MASKS

__all__ = ["add_parser", "run"]


def add_parser(benchmarks: Any) -> None:
    """Declare the benchmark's arguments."""
    parser = benchmarks.add_parser(
        "node",
        help="measure rate and latency of the pose node in a ROS 2 graph",
        description=(
            "Start a simulated camera with frames rendered in advance and the pose node, each as a "
            "process in a ROS 2 graph. Measure the output rate, the latency from image to result, "
            "and the numbers of processed, dropped, lost and unaccounted frames. The exit status "
            "is 0 if every frame is accounted for, else 1."
        ),
        epilog="Example: sdfpose bench node --objects 2 --seconds 60",
    )
    parser.add_argument(
        "--objects",
        type=integer(1, 6),
        default=4,
        help="number of objects on the table, 1 to 6 (default: %(default)s)",
    )
    parser.add_argument(
        "--rate", type=positive, default=30.0, help="camera rate, Hz (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds",
        type=positive,
        default=30.0,
        metavar="S",
        help="duration of the measurement, seconds (default: %(default)s)",
    )
    parser.add_argument(
        "--warm-up",
        type=real(),
        default=10.0,
        metavar="S",
        help="time from the first result to the measurement, seconds (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=seed, default=7, help="random seed of the scene (default: %(default)s)"
    )
    parser.add_argument(
        "--load",
        type=integer(0),
        default=0,
        metavar="N",
        help="busy processes beside the graph, as other programs on a robot (default: %(default)s)",
    )
    parser.add_argument(
        "--masks",
        choices=MASKS,
        default="topic",
        help="source of the masks: topic takes those of the camera, the others make them in the "
        "pose node, of unknown category (default: %(default)s)",
    )
    add_json_argument(parser)
    parser.add_argument(
        "--logs",
        type=path_argument,
        default=Path("out/bench_node"),
        help="folder for the logs of the processes (default: %(default)s)",
    )
    add_ros_arguments(parser)
    parser.set_defaults(benchmark=run)


def run(args: argparse.Namespace) -> int:
    """Run the benchmark. Return 0 if every frame is accounted for, else 1.

    Raises:
        SdfposeError: An argument is invalid, or the graph does not start or fails.
    """
    check_output_file("--json", args.json)
    check_output_folder("--logs", args.logs)
    prepare_middleware(network=args.network)
    check_ros()
    from sdfpose_ros.evaluation.node_benchmark import NodeBenchmark, benchmark_node

    console = wide_console()
    figures = benchmark_node(
        NodeBenchmark(
            log_dir=args.logs.resolve(),
            objects=args.objects,
            rate_hz=args.rate,
            seconds=args.seconds,
            warm_up_s=args.warm_up,
            seed=args.seed,
            load=args.load,
            masks=args.masks,
            node_arguments=tuple(args.ros_args),
        ),
        lambda line: console.print(f"bench node: {line}", highlight=False),
    )
    if args.json is not None:
        write_json(args.json, figures)
    console.print(_table(figures))
    return 0 if figures["unaccounted"] == 0 else 1


def _table(figures: dict[str, Any]) -> Table:
    table = new_table("Pose node")
    table.add_column("")
    table.add_column("", justify="right")
    table.add_row("objects", str(figures["objects"]))
    table.add_row("busy processes beside it", str(figures["load"]))
    table.add_row("masks", figures["masks"])
    table.add_row("first result after, s", f"{figures['first_result_s']:.1f}")
    table.add_row("input rate, Hz", f"{figures['input_hz']:.1f}")
    table.add_row("output rate, Hz", f"{figures['output_hz']:.1f}")
    table.add_row("latency, median, ms", f"{figures['latency_ms']['p50']:.0f}")
    table.add_row("latency, 95th percentile, ms", f"{figures['latency_ms']['p95']:.0f}")
    table.add_row("CPU load, % of one core", f"{figures['cpu_percent']:.0f}")
    table.add_row("memory (RSS) of the node, MiB", f"{figures['rss_mib']:.0f}")
    for name in ("processed", "dropped", "lost", "unaccounted"):
        table.add_row(f"frames {name}", str(figures[name]))
    return table
