"""`sdfpose bench speed`: compare the speed of each stage with the configuration of SSC-6D."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from sdfpose_core.benchmark.extents import MAX_OBJECTS, OBJECTS, REPETITIONS
from sdfpose_core.cli.choices import add_device_argument
from sdfpose_core.cli.numbers import integer, seed
from sdfpose_core.cli.output import (
    add_json_argument,
    new_table,
    print_problems,
    wide_console,
    write_json,
)
from sdfpose_core.cli.paths import check_output_file
from sdfpose_core.errors import ConfigurationError, SdfposeError
from sdfpose_ros.graph.arguments import parameter_arguments
from sdfpose_ros.graph.middleware import prepare_middleware
from sdfpose_ros.graph.startup import check_ros

__all__ = ["add_parser", "run"]

_NODE_LOGS = Path("out/bench_speed")
_NODE_OBJECTS = 6
_NODE_SECONDS, _NODE_WARM_UP_S = 5.0, 3.0


def add_parser(benchmarks: Any) -> None:
    """Declare the benchmark's arguments."""
    parser = benchmarks.add_parser(
        "speed",
        help="compare the speed of each stage with the configuration of SSC-6D",
        description=(
            "Time detection and tracking on simulated frames of a table, and on the same frames "
            "the pipeline of SSC-6D (Peng et al., AAAI 2022; 'paper' in the table): its encoder, "
            "DeepSDF on a dense 64^3 grid with marching cubes, and ICP. Also measure how tracking "
            "scales with the number of objects, which fraction of the machine's peak performance "
            "the decoder reaches, and the memory of the pose node. The exit status is 0, or 1 if "
            "the node fails."
        ),
        epilog="Example: sdfpose bench speed --objects 2 --no-node",
    )
    parser.add_argument(
        "--objects",
        type=integer(1, MAX_OBJECTS),
        default=OBJECTS,
        help=f"number of objects on the table, 1 to {MAX_OBJECTS} (default: %(default)s)",
    )
    add_json_argument(parser)
    parser.add_argument(
        "--threads",
        type=integer(0),
        default=0,
        help="CPU threads; 0 uses all cores but one, and all cores for detection (default: 0)",
    )
    add_device_argument(parser, "auto")
    parser.add_argument(
        "--seed", type=seed, default=0, help="random seed of the scene (default: 0)"
    )
    parser.add_argument(
        "--repetitions",
        type=integer(),
        default=REPETITIONS,
        help="repetitions per median (default: %(default)s)",
    )
    parser.add_argument(
        "--no-node", action="store_true", help="skip the memory measurement of the pose node"
    )
    parser.set_defaults(benchmark=run)


def run(args: argparse.Namespace) -> int:
    """Run the benchmark. Return 0, or 1 if the pose node failed.

    Raises:
        SdfposeError: An argument is invalid, or an object on the table is not detected.
    """
    check_output_file("--json", args.json)
    # Imported here, because they import torch, for which no help should wait.
    from sdfpose_core.benchmark.speed import SpeedBenchmark, benchmark_speed
    from sdfpose_core.device import set_threads

    set_threads(args.threads)
    options = SpeedBenchmark(
        objects=args.objects, repetitions=args.repetitions, seed=args.seed, device=args.device
    )
    with Console(stderr=True).status("speed") as status:
        figures = benchmark_speed(options, lambda part: status.update(f"speed: {part}"))
        status.update("speed: memory of the node")
        rss_mib, reason, exit_status = _node_rss_mib(args)
    figures["rss_mib"] = rss_mib
    if args.json is not None:
        write_json(args.json, figures)
    console = wide_console()
    for table in _tables(figures):
        console.print(table)
    if reason:
        print_problems([f"the memory of the node was not measured: {reason}"])
    return exit_status


def _node_rss_mib(args: argparse.Namespace) -> tuple[float | None, str, int]:
    """Measure the memory of the pose node, MiB. Return it or the reason, and the exit status."""
    if args.no_node:
        return None, "--no-node was given", 0
    prepare_middleware()
    try:
        check_ros()
    except ConfigurationError as error:
        return None, str(error), 0
    from sdfpose_ros.evaluation.node_benchmark import NodeBenchmark, benchmark_node

    options = NodeBenchmark(
        log_dir=_NODE_LOGS.resolve(),
        objects=min(args.objects, _NODE_OBJECTS),
        seconds=_NODE_SECONDS,
        warm_up_s=_NODE_WARM_UP_S,
        node_arguments=tuple(parameter_arguments(threads=args.threads, device=args.device)),
    )
    try:
        return benchmark_node(options, lambda line: None)["rss_mib"], "", 0
    except SdfposeError as error:  # keep the results of the other measurements
        return None, str(error), 1


def _tables(figures: Mapping[str, Any]) -> list[Table]:
    return [
        _stages(figures),
        _row("Tracking time (ms per frame) by number of objects", figures["scaling"]),
        _row("Detection time (ms per object) by number of surface points", figures["points"]),
        _row("Meshing time (ms) by grid cells per axis", figures["mesh_resolution"]),
        _machine(figures),
    ]


def _stages(figures: Mapping[str, Any]) -> Table:
    """Build the table of stages. The paper refines by ICP and does not time segmentation."""
    table = new_table(f"Time per object (ms), {figures['objects']} objects")
    table.add_column("")
    for name in (
        "segment",
        "encode",
        "refine",
        "mesh",
        "total",
        "95th\npercentile",
        "speed-up\nover paper",
    ):
        table.add_column(name, justify="right")
    paper = {**figures["paper"], "refine": figures["paper"]["icp"]}
    for name, row, ratio in (
        ("paper", paper, None),
        ("detection", figures["detect"], figures["ratio_detect"]),
        ("tracking", figures["track"], figures["ratio_track"]),
    ):
        stages = ("segment", "encode", "refine", "mesh", "total", "p95")
        cells = [f"{row[x]:.2f}" if x in row else "" for x in stages]
        table.add_row(name, *cells, "" if ratio is None else f"{ratio:.0f}")
    return table


def _row(title: str, milliseconds: Mapping[str, float]) -> Table:
    table = new_table(title)
    for name in milliseconds:
        table.add_column(name, justify="right")
    table.add_row(*(f"{x:.2f}" for x in milliseconds.values()))
    return table


def _machine(figures: Mapping[str, Any]) -> Table:
    machine, rss = figures["machine"], figures["rss_mib"]
    table = new_table("Machine")
    table.add_column("")
    table.add_column("", justify="right")
    table.add_row("CPU", machine["cpu"])
    table.add_row(
        "threads",
        f"{machine['threads']} to {machine['burst_threads']} of {machine['cpus']} cores",
    )
    table.add_row("device, PyTorch", f"{machine['device']}, {machine['torch']}")
    table.add_row("peak (float32 matmul), GFLOP/s", f"{figures['matmul_gflops']:.1f}")
    table.add_row("decoder, GFLOP/s", f"{figures['decoder_gflops']:.1f}")
    table.add_row("decoder, % of peak", f"{100.0 * figures['peak_fraction']:.0f}")
    table.add_row(
        "decoder with derivatives, % of peak", f"{100.0 * figures['peak_fraction_jacobian']:.0f}"
    )
    table.add_row("memory (RSS) of the node, MiB", "" if rss is None else f"{rss:.0f}")
    table.add_row("peak memory of this process, MiB", f"{figures['peak_rss_mib']:.0f}")
    return table
