"""`sdfpose bench speed`: the paper's configuration against ours, stage by stage."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from sdfpose_core.benchmark.speed import MOST_OBJECTS, SpeedBenchmark, benchmark_speed
from sdfpose_core.cli.output import tell, wide_console, write_json
from sdfpose_core.device import use_threads
from sdfpose_core.errors import ConfigurationError, SdfposeError
from sdfpose_ros.cli.ros_arguments import stay_on_one_machine

__all__ = ["add_parser", "run"]

_NODE_LOGS = Path("out/bench_speed")
_NODE_OBJECTS = 6
_NODE_SECONDS, _NODE_WARM_UP_S = 5.0, 3.0


def add_parser(benchmarks: Any) -> None:
    """Declare the benchmark's arguments."""
    parser = benchmarks.add_parser(
        "speed",
        help="the paper's configuration against ours, stage by stage",
        description=(
            "Time detection and tracking on simulated frames of a table, and on the same frames "
            "what the paper computes: SSC-6D's encoder, DeepSDF's network on a dense 64^3 grid "
            "with marching cubes, and ICP. Also: how tracking grows with the number of objects, "
            "what share of the machine's peak the decoder reaches, and how much memory the pose "
            "node needs. Exit status 0; 1 where the node fails; 2 for an error."
        ),
    )
    parser.add_argument(
        "--objects",
        type=int,
        default=SpeedBenchmark.objects,
        help=f"on the table, 1 to {MOST_OBJECTS} (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument(
        "--threads",
        type=int,
        default=0,
        help="CPU threads (default: as the node has it, all cores but one, and all for detections)",
    )
    parser.add_argument(
        "--device", default="auto", help="auto | cpu | cuda[:N] (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="another one draws another table (default: 0)"
    )
    parser.add_argument(
        "--repetitions",
        type=int,
        default=SpeedBenchmark.repetitions,
        help="of which medians are taken (default: %(default)s)",
    )
    parser.add_argument(
        "--no-node", action="store_true", help="do not measure the memory of the pose node"
    )
    parser.set_defaults(benchmark=run)


def run(args: argparse.Namespace) -> int:
    """Run the benchmark; gives the exit status: 1 if the pose node failed.

    Raises:
        SdfposeError: an argument is wrong, or an object of the table is not found.
    """
    if not 1 <= args.objects <= MOST_OBJECTS:
        raise ConfigurationError(f"--objects {args.objects}: expected 1 to {MOST_OBJECTS}")
    for name, least in (("threads", 0), ("seed", 0), ("repetitions", 1)):
        if getattr(args, name) < least:
            raise ConfigurationError(f"--{name} {getattr(args, name)}: expected {least} or more")
    use_threads(args.threads)
    options = SpeedBenchmark(
        objects=args.objects, repetitions=args.repetitions, seed=args.seed, device=args.device
    )
    with Console(stderr=True).status("speed") as status:
        figures = benchmark_speed(options, lambda part: status.update(f"speed: {part}"))
        status.update("speed: memory of the node")
        rss_mib, reason, exit_status = _node_rss_mib(args)
    figures["rss_mib"] = rss_mib
    console = wide_console()
    for table in _tables(figures):
        console.print(table)
    if reason:
        tell([f"memory of the node is not known: {reason}"])
    if args.json is not None:
        write_json(args.json, figures)
    return exit_status


def _node_rss_mib(args: argparse.Namespace) -> tuple[float | None, str, int]:
    """Memory of the pose node's own process, MiB, or why it is not known; and the exit status."""
    if args.no_node:
        return None, "--no-node was given", 0
    stay_on_one_machine()
    try:
        from sdfpose_ros.evaluation.node_benchmark import NodeBenchmark, benchmark_node
    except ImportError as error:
        return None, f"{error} (is the ROS 2 environment set up?)", 0
    options = NodeBenchmark(
        log_dir=_NODE_LOGS.resolve(),
        objects=min(args.objects, _NODE_OBJECTS),
        seconds=_NODE_SECONDS,
        warm_up_s=_NODE_WARM_UP_S,
        node_arguments=("-p", f"threads:={args.threads}", "-p", f"device:={args.device}"),
    )
    try:
        return benchmark_node(options, lambda line: None)["rss_mib"], "", 0
    except SdfposeError as error:  # minutes of measurements are not thrown away for it
        return None, str(error), 1


def _tables(figures: Mapping[str, Any]) -> list[Table]:
    return [
        _stages(figures),
        _row("Tracking, ms per frame, by number of objects", figures["scaling"]),
        _row("Detection, ms per object, by number of observed points", figures["points"]),
        _row("Decoding a shape, ms, by cells along each axis", figures["mesh_resolution"]),
        _machine(figures),
    ]


def _stages(figures: Mapping[str, Any]) -> Table:
    """The paper's refinement is ICP, and has no segmentation of its own."""
    table = Table(
        title=f"Milliseconds per object, {figures['objects']} on the table", title_justify="left"
    )
    table.add_column("")
    for name in ("segment", "encode", "refine", "mesh", "total", "95 %", "paper / this"):
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
    table = Table(title=title, title_justify="left")
    for name in milliseconds:
        table.add_column(name, justify="right")
    table.add_row(*(f"{x:.2f}" for x in milliseconds.values()))
    return table


def _machine(figures: Mapping[str, Any]) -> Table:
    machine, rss = figures["machine"], figures["rss_mib"]
    table = Table(title="Machine", title_justify="left")
    table.add_column("")
    table.add_column("", justify="right")
    table.add_row("processor", machine["cpu"])
    table.add_row(
        "threads, of CPUs",
        f"{machine['threads']} to {machine['burst_threads']} of {machine['cpus']}",
    )
    table.add_row("device, torch", f"{machine['device']}, {machine['torch']}")
    table.add_row("peak, float32, GFLOP/s", f"{figures['matmul_gflops']:.1f}")
    table.add_row("decoder, GFLOP/s", f"{figures['decoder_gflops']:.1f}")
    table.add_row("of the peak, %", f"{100.0 * figures['peak_fraction']:.0f}")
    table.add_row("with derivatives, %", f"{100.0 * figures['peak_fraction_jacobian']:.0f}")
    table.add_row("memory of the node, MiB", "" if rss is None else f"{rss:.0f}")
    table.add_row("most of this process, MiB", f"{figures['peak_rss_mib']:.0f}")
    return table
